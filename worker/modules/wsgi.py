"""WsgiModule: hosts a WSGI application (PEP 3333) as a handler.

A body that is whole at once (list, tuple, or one block) goes out in one message with its length.
Of any other iterable each block is sent before the next is asked for, but for one that completes
Content-Length. `close()` of the iterable is called once, whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from was import faults
from was.ipc.scoreboard import RequestState
from was.worker.applications.app_loader import ApplicationLoader, Failure, failure_of
from was.worker.applications.not_started import refuse_not_started
from was.worker.applications.wrong_module import explained
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.exchange import ClientGoneError
from was.worker.handler_errors import answer_interrupted, answer_raised
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.threads.application_calls import RequestInterruptedError, inside, settle
from was.worker.wsgi.environ import EnvironBuilder
from was.worker.wsgi.response import WsgiResponse

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.calls.handler_plans import HandlerPlan
    from was.worker.interfaces.context import HttpContext


# A module may make a mapping, and so a plan, for every request.
READY_LIMIT = 256

_STARTED = int(RequestState.STARTED)


class WsgiHandler(HttpModule):
    """The WSGI applications of one application, one for each scriptProcessor."""

    def __init__(self, application: HttpApplication) -> None:
        self._environ = EnvironBuilder(application)
        self._loaders = application.loaders
        # What runs for a plan, once it has loaded; plans are made anew with the configuration.
        self._ready: dict[HandlerPlan | None, Callable[..., Any]] = {}
        for handler in application.settings.handlers.entries:
            if "WsgiModule" in handler.modules:
                reference = handler.script_processor
                outcome = self._loader(reference, application.physical_path).load()
                application.programs[reference] = failure_of(outcome)

    def _loader(self, reference: str, folder: str) -> ApplicationLoader:
        loader = self._loaders.get(reference)
        if loader is None:
            loader = self._loaders[reference] = ApplicationLoader(reference, folder)
        return loader

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the application and send what it answers."""
        plan = context.plan
        application = self._ready.get(plan)
        if application is None:
            reference = plan.script_map.script_processor if plan is not None else ""
            loader = self._loader(reference, context.application.physical_path)
            outcome = loader.load()
            if isinstance(outcome, Failure):
                return refuse_not_started(context, outcome)
            context.application.programs[reference] = None
            application = outcome
            if len(self._ready) < READY_LIMIT:
                self._ready[plan] = application
        response = WsgiResponse(context, context.response)
        environ = self._environ.build(context)
        exchange = context.exchange
        proof = context.proof
        try:
            inside[proof] = get_ident()
            try:
                # From here on code that is not ours runs: only now can a second run do harm.
                exchange.words[exchange.row] = proof | _STARTED
                faults.reach("worker.begun")
                result = application(environ, response.start_response)
            finally:
                if inside.pop(proof, None) is None:
                    settle(proof)
            response.send(result)
        except ClientGoneError:
            context.is_cut = True
        except RequestInterruptedError as error:
            answer_interrupted(context, error)
        except BaseException as raised:  # noqa: BLE001 SystemExit is an application's error here
            reference = plan.script_map.script_processor if plan is not None else ""
            failure = explained(raised, reference, "WsgiModule")
            answer_raised(context, failure, reference, "WsgiModule")
        context.is_handled = True
        return CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(WsgiHandler), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
