"""RewriteModule: URL Rewrite; see worker/rewriting for what rules do.

Global rules run at GL_PRE_BEGIN_REQUEST, inbound ones at BEGIN_REQUEST, outbound ones at
SEND_RESPONSE, or at RELEASE_REQUEST_STATE where rewriteBeforeCache says so and the whole body is
there. Rules are compiled once for a configuration. Expressions come with the content and may take
any time, so the request counts as started while rules run: a worker that hangs in one is told by
the time limit, and what has killed two workers so does not get a third.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.moving import RequestMovedError
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    GL_CONTINUE,
    GL_HANDLED,
    GlobalNotification,
    GlobalNotificationStatus,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.rewriting.expressions import RewriteError
from was.worker.rewriting.outbound import OutboundRules
from was.worker.rewriting.responses import RuleResponse
from was.worker.rewriting.rule_sets import (
    FAULTS,
    REWRITE,
    STARTED,
    Fate,
    InboundRules,
    refuse,
    rewrite_maps,
)

if TYPE_CHECKING:
    from was.config.files import LoadedServer
    from was.worker.applications.application import HttpApplication
    from was.worker.global_modules.http_server import HttpServer
    from was.worker.global_modules.providers import PreBeginRequestProvider
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

_NAME = "RewriteModule"

# Sub-statuses of 500.
INBOUND_FAILED = 50
GLOBAL_FAILED = 51
OUTBOUND_FAILED = 52
BEFORE_CACHE_FAILED = 53


class GlobalRewrite(GlobalModule):
    """The global rules of the server; idle where there are none."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._compiled_of: LoadedServer | None = None
        self._rules: InboundRules | None = None

    def is_idle(self) -> bool:
        """Whether there is nothing to do under the configuration in force."""
        loaded = self._server.applications.loaded
        if loaded is not self._compiled_of:
            self._compiled_of = loaded
            self._rules = None if loaded is None else _global_rules(loaded)
        return self._rules is None

    def on_global_pre_begin_request(
        self, provider: PreBeginRequestProvider
    ) -> GlobalNotificationStatus:
        """Run the rules."""
        rules = self._rules
        if rules is not None and rules.run(provider.http_context) is Fate.ANSWERED:
            provider.finish_request()
            return GL_HANDLED
        return GL_CONTINUE


def _global_rules(loaded: LoadedServer) -> InboundRules | None:
    views = [v for v in loaded.section(REWRITE + "globalRules").items if v["enabled"]]
    if not views:
        return None
    maps = rewrite_maps(loaded.section(REWRITE + "rewriteMaps"))
    return InboundRules(views, {}, maps, None, GLOBAL_FAILED)


class Rewrite(HttpModule):
    """The inbound rules of one application."""

    def __init__(self, rules: InboundRules) -> None:
        self._rules = rules

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the rules; for what a client has asked for, not for child requests.

        A rule that sends /index.html to / would go round for ever with default documents.
        """
        if context.child is not None:
            return CONTINUE
        fate = self._rules.run(context)
        if fate is Fate.MOVED:
            raise RequestMovedError
        return FINISH_REQUEST if fate is Fate.ANSWERED else CONTINUE


class OutboundRewrite(HttpModule):
    """The outbound rules of one application."""

    def __init__(self, outbound: OutboundRules, is_before_cache: bool) -> None:
        self._outbound = outbound
        self._is_before_cache = is_before_cache

    def on_release_request_state(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the rules before the response may be kept."""
        if context.exchange.started:
            return CONTINUE
        is_root, is_head = context.child is None, context.message.method == "HEAD"
        if (is_head or context.served_file is not None) and self._is_about_body(context):
            # What rules look into is compressed after them, if at all: a default document, too.
            context.served_file = None
            if is_head and is_root:
                # Nobody knows how long the body would be after them.
                context.response.discard_body()
                context.response.flush()
                return CONTINUE
        if self._is_before_cache and is_root:
            self._run(context, BEFORE_CACHE_FAILED, is_end=True)
        return CONTINUE

    def _is_about_body(self, context: HttpContext) -> bool:
        return RuleResponse(context, self._outbound).is_about_body()

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Run the rules; hold the body back until all of it is there."""
        if self._is_before_cache and self._is_from_cache(context):
            return CONTINUE
        self._run(context, OUTBOUND_FAILED, is_end=provider.ready_to_log_data)
        return CONTINUE

    def _is_from_cache(self, context: HttpContext) -> bool:
        """Whether the rules ran before this response was kept."""
        is_kept = context.response.cache_policy.is_cached
        return is_kept and context.named_context_container.get_named_context(_NAME) is None

    def _run(self, context: HttpContext, sub_status: int, *, is_end: bool) -> None:
        contexts = context.named_context_container
        rules = contexts.get_named_context(_NAME)
        words, row = context.exchange.words, context.exchange.row
        before = words[row]
        if not context.exchange.started:
            words[row] = context.proof | STARTED
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

    def __init__(self, rules: InboundRules, outbound: OutboundRules, is_before_cache: bool) -> None:
        Rewrite.__init__(self, rules)
        OutboundRewrite.__init__(self, outbound, is_before_cache)


class BrokenRules(HttpModule):
    """Outbound rules in force that cannot be compiled: every request is refused."""

    def __init__(self, text: str) -> None:
        self._text = text

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """500.52."""
        refuse(context, self._text, OUTBOUND_FAILED)
        return FINISH_REQUEST


def _fail_response(context: HttpContext, text: str, sub_status: int) -> None:
    """An outbound rule cannot be carried out: the response is none any more."""
    if context.exchange.started:
        context.is_cut = True
        return
    context.response.clear()
    refuse(context, text, sub_status)


def _make(application: HttpApplication) -> HttpModule:
    settings = application.settings
    if not settings.sections:  # the application's configuration cannot be read
        return HttpModule()
    inbound = [v for v in settings.section(REWRITE + "rules").items if v["enabled"]]
    section = settings.section(REWRITE + "outboundRules")
    outbound = any(view["enabled"] for view in section.items)
    if not (inbound or outbound):
        return HttpModule()
    maps = rewrite_maps(settings.section(REWRITE + "rewriteMaps"))
    items = settings.section(REWRITE + "allowedServerVariables").items
    allowed = frozenset(str(item["name"]).upper() for item in items)
    rules = InboundRules(inbound, settings.rule_folders, maps, allowed, INBOUND_FAILED)
    if not outbound:
        return Rewrite(rules)
    try:
        compiled = OutboundRules(section, maps)
    except FAULTS as error:
        return BrokenRules(f"{section.file}:{section.line}: {error}")
    is_before_cache = bool(section["rewriteBeforeCache"])
    if not inbound:
        return OutboundRewrite(compiled, is_before_cache)
    return FullRewrite(rules, compiled, is_before_cache)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: HttpServer
) -> None:
    """Subscribe to PRE_BEGIN_REQUEST, BEGIN_REQUEST, RELEASE_REQUEST_STATE and SEND_RESPONSE."""
    rq = RequestNotification
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make),
        rq.BEGIN_REQUEST | rq.RELEASE_REQUEST_STATE | rq.SEND_RESPONSE,
        0,
    )
    # Before StaticCompressionModule, which cannot know that a file is to be rewritten.
    registration_info.set_priority_for_request_notification(rq.RELEASE_REQUEST_STATE, Priority.HIGH)
    registration_info.set_global_notifications(
        GlobalRewrite(http_server), GlobalNotification.PRE_BEGIN_REQUEST
    )
