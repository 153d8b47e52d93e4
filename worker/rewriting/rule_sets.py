"""Inbound rules in force at one place, run for a request: what becomes of the request itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from html import escape
from typing import TYPE_CHECKING

from was.config.patterns import InvalidPatternError
from was.config.templates import InvalidTemplateError, parse_template, variables_in
from was.ipc.scoreboard import RequestState
from was.worker.interfaces.hresult import E_ACCESSDENIED, E_INVALID_DATA
from was.worker.moving import NotOurPoolError
from was.worker.rewriting.expressions import Maps, RewriteError, RewriteMap
from was.worker.rewriting.inbound import Abort, Answer, Ending, InboundRule, Redirect, run_rules
from was.worker.rewriting.requests import RuleRequest

if TYPE_CHECKING:
    from was.config.model import SectionView
    from was.worker.interfaces.context import HttpContext

__all__ = ["FAULTS", "REWRITE", "STARTED", "Fate", "InboundRules", "refuse", "rewrite_maps"]

REWRITE = "system.webServer/rewrite/"
STARTED = int(RequestState.STARTED)
FAULTS = (RewriteError, InvalidPatternError, InvalidTemplateError)
# Those that say no more than the URL and the process do.
_OF_THE_URL = frozenset(
    {
        *("APPL_MD_PATH", "APPL_PHYSICAL_PATH", "APP_POOL_ID", "CACHE_URL", "DOCUMENT_ROOT"),
        *("GATEWAY_INTERFACE", "HTTP_HOST", "HTTP_URL", "PATH_INFO", "PATH_TRANSLATED"),
        *("QUERY_STRING", "REQUEST_FILENAME", "REQUEST_URI", "SCRIPT_FILENAME", "SCRIPT_NAME"),
        *("SCRIPT_TRANSLATED", "SERVER_SOFTWARE", "UNENCODED_URL", "URL"),
    }
)


class Fate(Enum):
    """What rules have done with a request."""

    GOES_ON = 0
    MOVED = 1  # for another URL
    ANSWERED = 2


class InboundRules:
    """The rules of one collection; those that cannot be compiled answer every request."""

    def __init__(
        self,
        views: Iterable[SectionView],
        folders: Mapping[tuple[str, int], str],
        maps: Maps,
        allowed: frozenset[str] | None,
        sub_status: int,
    ) -> None:
        """`sub_status` is that of a 500 where a rule cannot be carried out."""
        views = list(views)
        self._sub_status = sub_status
        self._fault = ""
        rules: list[InboundRule] = []
        for view in views:
            folder = folders.get((view.file, view.line), "")
            try:
                rules.append(InboundRule(view, folder, maps, allowed))
            except FAULTS as error:
                self._fault = f"{view.file}:{view.line}: rule {view['name']}: {error}"
                break
        self._rules = tuple(rules)
        # What decides about a request beside its URL, by which a cache knows it.
        self._varying = () if self._fault else tuple(sorted(_variables(views) - _OF_THE_URL))

    def run(self, context: HttpContext) -> Fate:
        """Run the rules; the request counts as started meanwhile."""
        if self._fault:
            refuse(context, self._fault, self._sub_status)
            return Fate.ANSWERED
        request = RuleRequest(context)
        words, row = context.exchange.words, context.exchange.row
        before = words[row]
        words[row] = context.proof | STARTED
        try:
            ending = run_rules(self._rules, request)
            if ending is not None:
                _end(context, ending)
                return Fate.ANSWERED
            request.commit()
            if request.is_rewritten or self._varying:
                self._vary(context, request)
        except RewriteError as error:
            refuse(context, str(error), self._sub_status)
            return Fate.ANSWERED
        except NotOurPoolError:
            context.response.set_status(403, "Forbidden", 18, E_ACCESSDENIED)
            return Fate.ANSWERED
        finally:
            words[row] = before
        return Fate.MOVED if request.is_rewritten else Fate.GOES_ON

    def _vary(self, context: HttpContext, request: RuleRequest) -> None:
        """The output cache keeps one response for each URL asked for, and each value used."""
        policy = context.response.cache_policy
        values = [request.variable(name) for name in self._varying]
        policy.set_vary_by_value("\n".join([policy.vary_by_value or "", *values]))
        if request.is_rewritten:
            policy.append_vary_by_header("X-Original-URL")


def _variables(views: Iterable[SectionView]) -> set[str]:
    """The variables that rules use, in conditions and in what they compose."""
    found: set[str] = set()
    for view in views:
        texts = [str(view.elements["action"]["url"])]
        texts += [str(item["input"]) for item in view.elements["conditions"].items]
        texts += [str(item["value"]) for item in view.elements["serverVariables"].items]
        for text in texts:
            found |= variables_in(parse_template(text))
    return found


def refuse(context: HttpContext, text: str, sub_status: int) -> None:
    """500: a rule cannot be carried out, or the rules cannot be compiled."""
    response = context.response
    response.set_status(500, "URL Rewrite Module Error.", sub_status, E_INVALID_DATA)
    response.set_error_description(text)


def _end(context: HttpContext, ending: Ending) -> None:
    response = context.response
    match ending:
        case Redirect():
            response.redirect(ending.location, ending.status)
        case Answer():
            is_page = bool(ending.description) and ending.status >= 400
            response.set_status(
                ending.status, ending.reason, ending.sub_status, try_skip_custom_errors=is_page
            )
            if ending.description:
                response.set_header("Content-Type", "text/html; charset=utf-8")
                response.set_body(escape(ending.description).encode())
        case Abort():
            response.reset_connection()


def rewrite_maps(section: SectionView) -> dict[str, RewriteMap]:
    """The maps of a `rewriteMaps`, by name in lower case."""
    return {
        str(view["name"]).lower(): RewriteMap(
            {str(item["key"]): str(item["value"]) for item in view.items},
            str(view["defaultValue"]),
            bool(view["ignoreCase"]),
        )
        for view in section.items
    }
