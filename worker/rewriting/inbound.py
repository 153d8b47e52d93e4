"""Inbound rules: what becomes of a request's URL, in the order of the rules.

A rule looks at the path below the folder that its configuration stands for, without the first "/"
and without the query. Pattern first, then the conditions; then its server variables are set and
its action is done. The next rule sees what a rewrite has left. Rules run once: a rewrite does
not start them again, so they cannot turn in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from was.config.model import SectionView
from was.config.templates import InvalidTemplateError, parse_template
from was.worker.rewriting.conditions import Conditions, groups_of, searcher
from was.worker.rewriting.expressions import (
    Expression,
    Maps,
    RewriteError,
    Scope,
    build_expression,
    build_url,
)
from was.worker.rewriting.targets import add_query, location_of, split_target
from was.worker.url_text import tidy_url

__all__ = ["Abort", "Answer", "Ending", "InboundRule", "Redirect", "RewrittenRequest", "run_rules"]

REDIRECT_STATUSES = {"Permanent": 301, "Found": 302, "SeeOther": 303, "Temporary": 307}


class RewrittenRequest(Protocol):
    """The request, as rules see and change it."""

    path: str
    query: str
    logs_rewritten: bool

    def variable(self, name: str) -> str:
        """A server variable by its name in capitals, "" if there is none."""
        ...

    def set_variable(self, name: str, value: str, replace: bool) -> None:
        """Set a server variable, or with HTTP_ in front a request header."""
        ...

    def rewrite(self, path: str, query: str) -> None:
        """Be for another URL from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a Location."""

    status: int
    location: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with a status."""

    status: int
    sub_status: int
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Cut the connection."""


Ending = Redirect | Answer | Abort


class InboundRule:
    """One rule, compiled; raises RewriteError if it cannot be.

    `folder` is the URL path whose configuration it belongs to, without "/" at the end, in lower
    case. `allowed` are the server variables it may set, None: all.
    """

    def __init__(
        self, view: SectionView, folder: str, maps: Maps, allowed: frozenset[str] | None
    ) -> None:
        self.name = str(view["name"])
        self._folder = folder
        self.start = len(folder) + 1
        self.stops = bool(view["stopProcessing"])
        syntax, match = str(view["patternSyntax"]), view.elements["match"]
        self.search = searcher(str(match["url"]), syntax, bool(match["ignoreCase"]))
        self.negate = bool(match["negate"])
        self.conditions = Conditions(view.elements["conditions"], syntax, maps)
        self._variables = [
            (
                str(item["name"]).upper(),
                build_expression(parse_template(str(item["value"])), maps),
                bool(item["replace"]),
            )
            for item in view.elements["serverVariables"].items
        ]
        self._allowed = allowed
        self._action = _action(view.elements["action"], maps)

    def is_about(self, path: str) -> bool:
        """Whether a path is in the rule's folder: a rewrite may have led out of it."""
        end = self.start - 1
        return path[:end].lower() == self._folder and path[end : end + 1] in ("", "/")

    def set_variables(self, request: RewrittenRequest, scope: Scope) -> None:
        """Set what the rule sets. Raises RewriteError for what it may not."""
        for name, value, replace in self._variables:
            if self._allowed is not None and name not in self._allowed:
                raise RewriteError(
                    f'The server variable "{name}" is not allowed to be set. Add the server '
                    "variable name to the allowed server variable list"
                )
            request.set_variable(name, value(scope), replace)

    def act(self, request: RewrittenRequest, scope: Scope) -> Ending | None:
        """Do what the rule does."""
        return self._action.act(request, scope, request.path[: self.start - 1])


def run_rules(rules: Iterable[InboundRule], request: RewrittenRequest) -> Ending | None:
    """Run the rules in order; what the request ends with, None if it goes on.

    Raises RewriteError for a rule that cannot be carried out.
    """
    path = request.path
    start, text = 1, path[1:]
    scope: Scope | None = None
    for rule in rules:
        if rule.start != start:
            start, text = rule.start, path[rule.start :]
        match = rule.search(text)
        if (match is None) is not rule.negate:
            continue
        if scope is None:
            scope = Scope(request.variable)
        scope.rule = () if match is None else groups_of(match)
        scope.conditions = ()
        if not (rule.is_about(path) and rule.conditions.hold(scope)):
            continue
        rule.set_variables(request, scope)
        ending = rule.act(request, scope)
        if ending is not None:
            return ending
        if rule.stops:
            return None
        if request.path is not path:
            path = request.path
            text = path[start:]
    return None


# ── actions ─────────────────────────────────────────────────────────────────────────────────────


class _Action:
    """`None`: nothing beyond the rule's server variables."""

    def act(self, request: RewrittenRequest, scope: Scope, folder: str) -> Ending | None:
        return None


class _Rewrite(_Action):
    def __init__(self, view: SectionView, maps: Maps) -> None:
        self._url = build_url(parse_template(str(view["url"])), maps)
        self._appends = bool(view["appendQueryString"])
        self._logs = bool(view.attributes.get("logRewrittenUrl", False))

    def act(self, request: RewrittenRequest, scope: Scope, folder: str) -> Ending | None:
        path, query = split_target(self._url(scope), folder)
        if self._appends:
            query = add_query(query, request.query)
        request.logs_rewritten = request.logs_rewritten or self._logs
        request.rewrite(path, query)
        return None


class _Redirect(_Action):
    def __init__(self, view: SectionView, maps: Maps) -> None:
        template = parse_template(str(view["url"]))
        self._url = build_url(template, maps)
        first = template[0] if template else ""
        # A rule that begins with a reference may mean a whole URL: a map's value, say.
        self._may_be_absolute = not isinstance(first, str) or "://" in first
        self._names_server = isinstance(first, str) and first.startswith("//")
        self._appends = bool(view["appendQueryString"])
        self._status = REDIRECT_STATUSES[str(view["redirectType"])]

    def act(self, request: RewrittenRequest, scope: Scope, folder: str) -> Ending | None:
        url = self._url(scope)
        is_absolute = self._names_server or (
            self._may_be_absolute and "://" in url.partition("?")[0]
        )
        query = tidy_url(request.query) if self._appends else ""
        return Redirect(self._status, location_of(url, tidy_url(folder), query, is_absolute))


class _Respond(_Action):
    def __init__(self, view: SectionView, maps: Maps) -> None:
        self._status = int(str(view["statusCode"])) or 200
        self._sub_status = int(str(view["subStatusCode"]))
        self._reason = _text(str(view["statusReason"]), maps)
        self._description = _text(str(view["statusDescription"]), maps)

    def act(self, request: RewrittenRequest, scope: Scope, folder: str) -> Ending | None:
        return Answer(self._status, self._sub_status, self._reason(scope), self._description(scope))


class _Abort(_Action):
    def act(self, request: RewrittenRequest, scope: Scope, folder: str) -> Ending | None:
        return Abort()


def _text(text: str, maps: Maps) -> Expression:
    try:
        return build_expression(parse_template(text), maps)
    except (InvalidTemplateError, RewriteError):  # words with a brace in them
        return lambda scope: text


def _action(view: SectionView, maps: Maps) -> _Action:
    match str(view["type"]):
        case "Rewrite":
            return _Rewrite(view, maps)
        case "Redirect":
            return _Redirect(view, maps)
        case "CustomResponse":
            return _Respond(view, maps)
        case "AbortRequest":
            return _Abort()
        case _:
            return _Action()
