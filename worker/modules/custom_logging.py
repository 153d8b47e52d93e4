"""CustomLoggingModule: hands each request to a log plug-in of the site's own.

As in IIS a site with logFormat="Custom" has no W3C log: the plug-in that customLogPluginClsid names
writes what it likes. In place of a COM class it is a Python one, "module:Class", found like an
application's program. One object is made for each application, by a call with the site's name; its
`log_information(context)` is called at LOG_REQUEST (ILogPlugin's LogInformation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from was.config.model import LogFormat
from was.ipc.scoreboard import RequestState
from was.log import log
from was.worker.applications.app_loader import ApplicationLoader
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus
from was.worker.threads.application_calls import call

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

_STARTED = int(RequestState.STARTED)


class CustomLogging(HttpModule):
    """The plug-in of one application."""

    def __init__(self, plug_in: Any) -> None:  # noqa: ANN401 anybody's class
        self._log_information = plug_in.log_information

    def on_log_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Have the plug-in log the request. What it raises is logged; the answer stands."""
        exchange = context.exchange
        if not exchange.started:
            exchange.words[exchange.row] = context.proof | _STARTED
        call(context.proof, self._log_information, context)
        return CONTINUE


def _make(application: HttpApplication) -> HttpModule:
    log_file = application.site.config.log_file
    reference = log_file.custom_log_plugin_clsid
    if (
        not log_file.enabled
        or log_file.log_format is not LogFormat.CUSTOM
        or application.settings.http_logging.dont_log
    ):
        return HttpModule()
    if not reference:
        log("module_failed", module="CustomLoggingModule", error="no customLogPluginClsid")
        return HttpModule()
    loaded = ApplicationLoader(reference, application.physical_path).load()
    if callable(loaded):
        return CustomLogging(loaded(application.site.site_name))
    raise ImportError(f"the log plug-in {reference} does not load: {loaded.message}")


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to LOG_REQUEST."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.LOG_REQUEST, 0
    )
