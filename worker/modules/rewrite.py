"""RewriteModule: URL Rewrite. Inbound rules at BEGIN_REQUEST; see worker/rewriting for the rules.

Rules are compiled once for a configuration. Expressions come with the content and may take any
time, so the request counts as started while rules run: a worker that hangs in one is told by
the time limit, and what has killed two workers so does not get a third.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from was.config.patterns import InvalidPatternError
from was.config.templates import InvalidTemplateError
from was.ipc.scoreboard import RequestState
from was.worker.moving import NotOurPoolError, RequestMovedError
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.registration import ApplicationModuleFactory, HttpModule, ModuleRegistrationInfo
from was.worker.rewriting.expressions import RewriteError, RewriteMap
from was.worker.rewriting.inbound import Abort, Answer, Ending, InboundRule, Redirect, run_rules
from was.worker.rewriting.requests import RuleRequest

if TYPE_CHECKING:
    from was.config.model import PathSettings
    from was.worker.application import HttpApplication
    from was.worker.context import HttpContext

_REWRITE = "system.webServer/rewrite/"
_STARTED = int(RequestState.STARTED)
_INVALID_DATA = 0x8007000D


class Rewrite(HttpModule):
    """The inbound rules of one application."""

    def __init__(self, rules: tuple[InboundRule, ...]) -> None:
        self._rules = rules

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the rules."""
        request = RuleRequest(context)
        words, row = context.exchange.words, context.exchange.row
        before = words[row]
        words[row] = context.proof | _STARTED
        try:
            ending = run_rules(self._rules, request)
            if ending is not None:
                return _end(context, ending)
            request.commit()
        except RewriteError as error:
            return _refuse(context, str(error), 50)
        except NotOurPoolError:
            context.response.set_status(403, "Forbidden", 18, 0x80070005)
            return FINISH_REQUEST
        finally:
            words[row] = before
        if request.is_rewritten:
            raise RequestMovedError
        return CONTINUE


class BrokenRules(HttpModule):
    """Rules in force that cannot be compiled: every request is refused."""

    def __init__(self, text: str) -> None:
        self._text = text

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """500.50."""
        return _refuse(context, self._text, 50)


def _refuse(context: HttpContext, text: str, sub_status: int) -> RequestNotificationStatus:
    response = context.response
    response.set_status(500, "URL Rewrite Module Error.", sub_status, _INVALID_DATA)
    response.set_error_description(text)
    return FINISH_REQUEST


def _end(context: HttpContext, ending: Ending) -> RequestNotificationStatus:
    response = context.response
    match ending:
        case Redirect():
            response.redirect(ending.location, ending.status)
        case Answer():
            response.set_status(ending.status, ending.reason, ending.sub_status)
            if ending.description:
                response.set_header("Content-Type", "text/html; charset=utf-8")
                response.set_body(escape(ending.description).encode())
        case Abort():
            response.reset_connection()
    return FINISH_REQUEST


# ── compiling ───────────────────────────────────────────────────────────────────────────────────


def _make(application: HttpApplication) -> HttpModule:
    settings = application.settings
    if not settings.sections:  # the application's configuration cannot be read
        return HttpModule()
    views = [v for v in settings.section(_REWRITE + "rules").items if v["enabled"]]
    if not views:
        return HttpModule()
    maps = _maps(settings)
    allowed = frozenset(
        str(item["name"]).upper()
        for item in settings.section(_REWRITE + "allowedServerVariables").items
    )
    rules: list[InboundRule] = []
    for view in views:
        folder = settings.rule_folders.get((view.file, view.line), "")
        try:
            rules.append(InboundRule(view, folder, maps, allowed))
        except (RewriteError, InvalidPatternError, InvalidTemplateError) as error:
            return BrokenRules(f"{view.file}:{view.line}: rule {view['name']}: {error}")
    return Rewrite(tuple(rules))


def _maps(settings: PathSettings) -> dict[str, RewriteMap]:
    return {
        str(view["name"]).lower(): RewriteMap(
            {str(item["key"]): str(item["value"]) for item in view.items},
            str(view["defaultValue"]),
            bool(view["ignoreCase"]),
        )
        for view in settings.section(_REWRITE + "rewriteMaps").items
    }


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to BEGIN_REQUEST."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.BEGIN_REQUEST, 0
    )
