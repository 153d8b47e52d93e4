"""RewriteModule: URL Rewrite; see worker/rewriting for what rules do.

Inbound rules run at BEGIN_REQUEST; outbound ones at SEND_RESPONSE, or at RELEASE_REQUEST_STATE
where rewriteBeforeCache says so and the whole body is there.

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
from was.worker.rewriting.outbound import OutboundRules
from was.worker.rewriting.requests import RuleRequest
from was.worker.rewriting.responses import RuleResponse

if TYPE_CHECKING:
    from was.config.model import PathSettings
    from was.worker.application import HttpApplication
    from was.worker.context import HttpContext
    from was.worker.response import HttpResponse

_REWRITE = "system.webServer/rewrite/"
_STARTED = int(RequestState.STARTED)
_INVALID_DATA = 0x8007000D
_NAME = "RewriteModule"
_FAULTS = (RewriteError, InvalidPatternError, InvalidTemplateError)

# Sub-statuses of 500.
INBOUND_FAILED = 50
OUTBOUND_FAILED = 52
BEFORE_CACHE_FAILED = 53


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
            return _refuse(context, str(error), INBOUND_FAILED)
        except NotOurPoolError:
            context.response.set_status(403, "Forbidden", 18, 0x80070005)
            return FINISH_REQUEST
        finally:
            words[row] = before
        if request.is_rewritten:
            raise RequestMovedError
        return CONTINUE


class OutboundRewrite(HttpModule):
    """The outbound rules of one application."""

    def __init__(self, outbound: OutboundRules, is_before_cache: bool) -> None:
        self._outbound = outbound
        self._is_before_cache = is_before_cache

    def on_release_request_state(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the rules before the response may be kept."""
        if self._is_before_cache and not context.exchange.started and context.child is None:
            self._run(context, BEFORE_CACHE_FAILED, is_end=True)
        return CONTINUE

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Run the rules; hold the body back until all of it is there."""
        self._run(context, OUTBOUND_FAILED, is_end=provider.ready_to_log_data)
        return CONTINUE

    def _run(self, context: HttpContext, sub_status: int, *, is_end: bool) -> None:
        contexts = context.named_context_container
        rules = contexts.get_named_context(_NAME)
        words, row = context.exchange.words, context.exchange.row
        before = words[row]
        if not context.exchange.started:
            words[row] = context.proof | _STARTED
        try:
            if not isinstance(rules, RuleResponse):
                rules = RuleResponse(context, self._outbound)
                contexts.set_named_context(rules, _NAME)
                rules.begin()
            rules.go_on(is_end=is_end)
        except RewriteError as error:
            if isinstance(rules, RuleResponse):
                rules.has_failed = True
            _fail_response(context, str(error), sub_status)
        finally:
            words[row] = before


class FullRewrite(Rewrite, OutboundRewrite):
    """Rules of both kinds."""

    def __init__(
        self, rules: tuple[InboundRule, ...], outbound: OutboundRules, is_before_cache: bool
    ) -> None:
        Rewrite.__init__(self, rules)
        OutboundRewrite.__init__(self, outbound, is_before_cache)


class BrokenRules(HttpModule):
    """Rules in force that cannot be compiled: every request is refused."""

    def __init__(self, text: str, sub_status: int) -> None:
        self._text = text
        self._sub_status = sub_status

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """500 with the sub-status of the kind of rules."""
        return _refuse(context, self._text, self._sub_status)


def _fail_response(context: HttpContext, text: str, sub_status: int) -> None:
    """An outbound rule cannot be carried out: the response is none any more."""
    if context.exchange.started:
        context.is_cut = True
        return
    context.response.clear()
    _refuse(context, text, sub_status)


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
    inbound = [v for v in settings.section(_REWRITE + "rules").items if v["enabled"]]
    section = settings.section(_REWRITE + "outboundRules")
    outbound = any(view["enabled"] for view in section.items)
    if not (inbound or outbound):
        return HttpModule()
    maps = _maps(settings)
    allowed = frozenset(
        str(item["name"]).upper()
        for item in settings.section(_REWRITE + "allowedServerVariables").items
    )
    rules: list[InboundRule] = []
    for view in inbound:
        folder = settings.rule_folders.get((view.file, view.line), "")
        try:
            rules.append(InboundRule(view, folder, maps, allowed))
        except _FAULTS as error:
            text = f"{view.file}:{view.line}: rule {view['name']}: {error}"
            return BrokenRules(text, INBOUND_FAILED)
    if not outbound:
        return Rewrite(tuple(rules))
    try:
        compiled = OutboundRules(section, maps)
    except _FAULTS as error:
        return BrokenRules(f"{section.file}:{section.line}: {error}", OUTBOUND_FAILED)
    is_before_cache = bool(section["rewriteBeforeCache"])
    if not rules:
        return OutboundRewrite(compiled, is_before_cache)
    return FullRewrite(tuple(rules), compiled, is_before_cache)


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
    """Subscribe to BEGIN_REQUEST, RELEASE_REQUEST_STATE and SEND_RESPONSE."""
    rq = RequestNotification
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make),
        rq.BEGIN_REQUEST | rq.RELEASE_REQUEST_STATE | rq.SEND_RESPONSE,
        0,
    )
