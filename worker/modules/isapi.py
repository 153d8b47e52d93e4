"""IsapiModule: runs ISAPI extensions, compiled ones and those in Python, as a handler.

The extension is the mapping's scriptProcessor, or, where it has none, the file that the URL names.
It is loaded at the first request that comes to it, once a process. What an extension does to the
process is the process's end: give it a pool of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was import faults
from was.ipc.scoreboard import RequestState
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.exchange import ClientGoneError, Exchange
from was.worker.handler_errors import answer_interrupted, answer_raised
from was.worker.interfaces.hresult import E_DISABLED_BY_POLICY, from_win32
from was.worker.notifications import (
    CONTINUE,
    PENDING,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse
from was.worker.restriction import make_restriction
from was.worker.threads.application_calls import RequestInterruptedError

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.isapi.errors import ImageError

MODULE = "IsapiModule"

_STARTED = int(RequestState.STARTED)


class IsapiHandler(HttpModule):
    """The extensions of one application."""

    def __init__(self, application: HttpApplication) -> None:
        self._may_run = make_restriction(application.settings, "notListedIsapisAllowed")

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the extension; PENDING where it answers later."""
        # Loaded for the first request: a worker without extensions has none of it.
        from was.worker.isapi.errors import ImageError
        from was.worker.isapi.images import find_extension
        from was.worker.isapi.note import take_away
        from was.worker.isapi.session import Session

        script_map = context.script_map
        path = script_map.script_processor if script_map is not None else ""
        session = Session(context)
        if not path:
            path = session.paths.script_path
        if not self._may_run(path):
            return _refuse_restricted(context, path)
        exchange = context.exchange
        # From here on code that is not ours may run: only now can a second run do harm.
        exchange.words[exchange.row] = context.proof | _STARTED
        faults.reach("worker.begun")
        try:
            status = find_extension(path, context).call(session)
        except ImageError as error:
            take_away(exchange)
            return _refuse_image(context, error)
        except RequestInterruptedError as error:
            answer_interrupted(context, error)
            status = 4
        except ClientGoneError:
            context.is_cut = True
            status = 4
        except BaseException as error:  # noqa: BLE001 SystemExit is an extension's error here
            if session.is_clients_doing(error):
                context.is_cut = True
            else:
                answer_raised(context, error, path, MODULE)
            status = 0
        if session.returned(status):
            return CONTINUE
        if isinstance(exchange, Exchange):
            exchange.park()
        return PENDING


def _refuse_restricted(context: HttpContext, path: str) -> RequestNotificationStatus:
    text = f"security/isapiCgiRestriction does not allow {path}: "
    text += f'<add path="{path}" allowed="true" /> there would.'
    return refuse(context, 404, 2, E_DISABLED_BY_POLICY, text)


def _refuse_image(context: HttpContext, error: ImageError) -> RequestNotificationStatus:
    text = f"The ISAPI extension could not be loaded: {error}"
    status = refuse(context, 500, 0, from_win32(error.number), text)
    if context.response.error is not None:
        context.response.error.traceback = error.traceback
    return status


class _Factory(ApplicationModuleFactory):
    """Has the extensions told when the worker ends."""

    def terminate(self) -> None:
        """TerminateExtension for all that were loaded."""
        import sys

        images = sys.modules.get("was.worker.isapi.images")
        if images is not None:
            images.terminate_all()


def _make(application: HttpApplication) -> HttpModule:
    handlers = application.settings.handlers.entries
    if any(MODULE in handler.modules for handler in handlers):
        return IsapiHandler(application)
    return HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    from was.worker.isapi import import_names

    import_names.install()
    registration_info.set_request_notifications(
        _Factory(_make), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
