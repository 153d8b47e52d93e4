"""AsgiModule: hosts an ASGI 3 application as a handler.

The request thread hands the request to the worker's event loop and answers PENDING; the loop ends
it. The loop is started where the first application has an ASGI handler, and nothing of asyncio is
imported before.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

from was.config.model import RecycleReason
from was.worker.applications.app_loader import Failure, failure_of
from was.worker.applications.not_started import refuse_not_started
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.exchange import Exchange
from was.worker.interfaces.hresult import E_INVALID_DATA
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    GL_CONTINUE,
    PENDING,
    GlobalNotification,
    GlobalNotificationStatus,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.threads.spare_threads import run_on_spare_thread
from was.worker.websocket.handshake import (
    VERSION,
    BadHandshakeError,
    is_upgrade,
    read_handshake,
)

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.asgi.hosted import HostedApplication
    from was.worker.asgi.leading_loop import LeadingLoop
    from was.worker.asgi.loop import LoopThread
    from was.worker.asgi.run import RequestRun
    from was.worker.calls.handler_plans import HandlerPlan
    from was.worker.interfaces.context import HttpContext
    from was.worker.threads.loop_limits import LoopLimits

WEB_SOCKET = "system.webServer/webSocket"
# A module may make a mapping, and so a plan, for every request.
READY_LIMIT = 256


class Server(Protocol):
    """What the module needs of IHttpServer."""

    limits: LoopLimits
    ask_for_recycle: Callable[[str, str], None]


class AsgiFactory(ApplicationModuleFactory):
    """Owns the loop, which outlives applications and configurations."""

    def __init__(self, server: Server, module_id: int) -> None:
        super().__init__(self._make_module)
        self.server = server
        self.module_id = module_id
        self._loop: LoopThread | None = None
        self._lead: LeadingLoop | None = None

    def _make_module(self, application: HttpApplication) -> HttpModule:
        if any("AsgiModule" in h.modules for h in application.settings.handlers.entries):
            return AsgiHandler(application, self)
        return HttpModule()

    @property
    def loop(self) -> LoopThread:
        """The worker's event loop; started when it is first asked for."""
        if self._loop is None:
            from was.worker.asgi.leading_loop import LeadingLoop
            from was.worker.asgi.loop import LoopThread

            server = self.server
            loop = self._loop = LoopThread(
                server.limits.concurrency,
                lambda detail: server.ask_for_recycle(RecycleReason.ISAPI_UNHEALTHY.value, detail),
            )
            server.limits.look_regularly.append(
                lambda now: loop.look(now, server.limits.time_limit_s)
            )
            server.limits.look_regularly.append(lambda _now: loop.signals.look())
            lead = self._lead = LeadingLoop(loop, server.limits)
            server.limits.look_regularly.append(lambda _now: lead.look())
            server.limits.offer(lead)
        return self._loop

    def hosted(self, application: HttpApplication, reference: str) -> HostedApplication:
        """What runs for a scriptProcessor in an application, whatever its settings become."""
        from was.worker.asgi.hosted import HostedApplications

        container = application.module_context_container
        found = container.get_module_context(self.module_id)
        if not isinstance(found, HostedApplications):
            found = HostedApplications(application, self.loop)
            container.set_module_context(found, self.module_id)
        return found.get(reference)

    def leave(self) -> None:
        """The worker takes no more requests: WebSockets are told to come back elsewhere.

        An application that has asked for SIGTERM is told so by that.
        """
        loop = self._loop
        if loop is not None:
            limit_s = self.server.limits.shutdown_time_limit_s
            loop.submit(lambda: loop.sockets.leave(limit_s))
            loop.signals.came(signal.SIGTERM)

    def terminate(self) -> None:
        """The worker ends: so does the loop."""
        if self._loop is not None:
            if self._lead is not None:
                self._loop.submit(self._lead.leave)
            self._loop.stop()


class AsgiHandler(HttpModule):
    """The ASGI handlers of one application."""

    def __init__(self, application: HttpApplication, factory: AsgiFactory) -> None:
        from was.worker.asgi.http import HttpRun
        from was.worker.asgi.plain_exchange import PlainExchange
        from was.worker.asgi.websocket import SocketSettings, WebSocketRun

        self._factory = factory
        self._limits = factory.server.limits
        self._loop = factory.loop
        self._make_run = HttpRun
        self._make_plain = PlainExchange
        self._make_socket = WebSocketRun
        self._sockets = SocketSettings.of(application.settings.sections.get(WEB_SOCKET))
        # What runs for a plan, once it has started; plans are made anew with the configuration.
        self._ready: dict[HandlerPlan | None, HostedApplication] = {}
        for handler in application.settings.handlers.entries:
            if "AsgiModule" in handler.modules:
                reference = handler.script_processor
                outcome = factory.hosted(application, reference).load()
                application.programs[reference] = failure_of(outcome)

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Hand the request to the loop."""
        plan = context.plan
        hosted = self._ready.get(plan)
        if hosted is None:
            reference = plan.script_map.script_processor if plan is not None else ""
            hosted = self._factory.hosted(context.application, reference)
            if hosted.application is None and get_ident() == self._loop.ident:
                # Its start would wait for a turn of the loop, which waits for this one.
                found = hosted
                run_on_spare_thread(lambda: self._start_and_run(context, found))
                return PENDING
            outcome = hosted.load()
            if isinstance(outcome, Failure):
                return refuse_not_started(context, outcome)
            context.application.programs[reference] = None
            if len(self._ready) < READY_LIMIT:
                self._ready[plan] = hosted
        run = self._run(context, hosted)
        if run is None:
            return FINISH_REQUEST
        loop = self._loop
        if loop.is_receiving and get_ident() == loop.ident:
            loop.start_here(run)
            if run.is_over:
                # In its first step. What is left to be done may have to be done elsewhere.
                if run.can_end_here:
                    return CONTINUE
                loop.loop.call_soon(context.post_completion, 0)
                return PENDING
        else:
            loop.submit_request(run)
        run.exchange.park()
        return PENDING

    def _start_and_run(self, context: HttpContext, hosted: HostedApplication) -> None:
        """On a thread of its own, after PENDING."""
        outcome = hosted.load()
        if isinstance(outcome, Failure):
            refuse_not_started(context, outcome)
            run = None
        else:
            context.application.programs[hosted.reference] = None
            run = self._run(context, hosted)
        if run is None:
            context.is_handled = True
            context.post_completion(0)
            return
        self._loop.submit_request(run)
        run.exchange.park()

    def _run(self, context: HttpContext, hosted: HostedApplication) -> RequestRun | None:
        """What runs the request; None for a WebSocket that cannot be."""
        can_end_here = not (self._limits.has_foreign_modules or context.calls.may_block)
        exchange = context.exchange
        if type(exchange) is not Exchange:
            plain = self._make_plain(exchange)
            return self._make_run(context, plain, hosted, self._loop, can_end_here)
        message = context.message
        if (
            self._sockets.is_enabled
            and not message.head_number  # no head that has one asks for an upgrade
            and is_upgrade(context.method, message.version, context.fields)
        ):
            try:
                handshake = read_handshake(context.fields)
            except BadHandshakeError as error:
                _refuse_handshake(context, error)
                return None
            resumed = exchange.take_resumed()
            if resumed is not None and not self._sockets.may_be_held:
                context.response.set_status(503)  # by now nobody is to be held here
                return None
            return self._make_socket(
                context,
                exchange,
                hosted,
                self._loop,
                can_end_here=can_end_here,
                handshake=handshake,
                settings=self._sockets,
                sockets=self._loop.sockets,
                resumed=resumed,
            )
        return self._make_run(context, exchange, hosted, self._loop, can_end_here)

    def on_async_completion(
        self,
        context: HttpContext,
        notification: RequestNotification,
        is_post: bool,
        provider: object,
        completion_info: object,
    ) -> RequestNotificationStatus:
        """The loop has posted the end: the pipeline goes on on this thread.

        Not where another module has completed twice: the application still runs.
        """
        return CONTINUE if context.is_handled else PENDING


def _refuse_handshake(context: HttpContext, error: BadHandshakeError) -> None:
    """400.11; 426 with the version that is spoken here (RFC 6455, 4.4)."""
    response = context.response
    response.set_status(error.status, "", 11 if error.status == 400 else 0, E_INVALID_DATA)
    response.set_error_description(str(error))
    if error.status == 426:
        response.set_header("Sec-WebSocket-Version", VERSION)


class StopListening(GlobalModule):
    """WebSockets do not end by themselves: they are told when the worker is to go."""

    def __init__(self, factory: AsgiFactory) -> None:
        self._factory = factory

    def on_global_stop_listening(self, provider: object) -> GlobalNotificationStatus:
        """GL_STOP_LISTENING."""
        self._factory.leave()
        return GL_CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: Server
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER and STOP_LISTENING."""
    factory = AsgiFactory(http_server, registration_info.id)
    registration_info.set_request_notifications(
        factory, RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
    registration_info.set_global_notifications(
        StopListening(factory), GlobalNotification.STOP_LISTENING
    )
