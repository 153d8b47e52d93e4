"""ApplicationInitializationModule: a page of its own for clients while an application warms up.

Where `remapManagedRequestsTo` names one, a worker that takes nobody's place takes requests while it
still asks for the initialization pages; what would run the application is answered with that page,
files are served as always. A worker that replaces another warms up first, as without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.applications.warm_up import interim_page
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.variables import NO_CONNECTION
from was.worker.mapping import ScriptMapInfo
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext


class ApplicationInitialization(HttpModule):
    """The interim page of one application."""

    def __init__(self, application: HttpApplication, page: str, static: ScriptMapInfo) -> None:
        self._application = application
        self._path = application.prefix + page
        self._static = static

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Let the page answer for the application."""
        if not self._application.query_is_warming_up() or context.child is not None:
            return CONTINUE
        if context.message.connection_id == NO_CONNECTION:
            return CONTINUE
        handler = context.calls.handlers.find(context.method, context.path, context.resource_mode)
        if handler is None or "StaticFileModule" in handler.modules:
            return CONTINUE
        context.set_path(self._path)
        context.set_script_map(self._static)
        return CONTINUE

    def on_post_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Nobody may keep the page in place of what is to come."""
        if context.script_map is self._static:
            context.response.set_header("Cache-Control", "no-cache")
        return CONTINUE


def _make(application: HttpApplication) -> HttpModule:
    page = interim_page(application.settings)
    handlers = application.settings.handlers.entries
    static = next((h for h in handlers if "StaticFileModule" in h.modules), None)
    if not page or static is None:
        return HttpModule()
    return ApplicationInitialization(application, page, ScriptMapInfo(static))


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to BEGIN_REQUEST and the post-event of EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make),
        RequestNotification.BEGIN_REQUEST,
        RequestNotification.EXECUTE_REQUEST_HANDLER,
    )
