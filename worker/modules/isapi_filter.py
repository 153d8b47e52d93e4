"""IsapiFilterModule: raises the events of ISAPI filters where the pipeline comes to them.

    BEGIN_REQUEST          PREPROC_HEADERS
    MAP_PATH               URL_MAP
    AUTHENTICATE_REQUEST   AUTHENTICATION, then POST: AUTH_COMPLETE
    LOG_REQUEST            the response leaves: ACCESS_DENIED (401), SEND_RESPONSE, SEND_RAW_DATA
                           for its head and each block, END_OF_REQUEST; then LOG

Every method is there only where a filter of the application wants its event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.preconditions import is_satisfied
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import (
    Priority,
    RequestNotification,
)

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.global_modules.http_server import HttpServer
    from was.worker.isapi.filter_chain import FilterEntry

DIGEST = "system.webServer/security/authentication/digestAuthentication"
SECTION = "system.webServer/isapiFilters"
RQ = RequestNotification


def _entries(application: HttpApplication, global_names: frozenset[str]) -> list[FilterEntry]:
    from was.worker.isapi.filter_chain import FilterEntry

    return [
        FilterEntry(str(item["name"]), str(item["path"]), str(item["name"]) in global_names)
        for item in application.settings.section(SECTION).items
        if item["enabled"] and is_satisfied(str(item["preCondition"]), application.pool)
    ]


class _Factory(ApplicationModuleFactory):
    """Has the filters told when the worker ends."""

    def __init__(self, http_server: HttpServer) -> None:
        super().__init__(self._make_module)
        self._http_server = http_server

    def _make_module(self, application: HttpApplication) -> HttpModule:
        if not application.settings.section(SECTION).items:
            return HttpModule()
        # Imported where there are filters: a worker without them has none of it.
        from was.worker.isapi.errors import ImageError
        from was.worker.isapi.filter_chain import FilterChain, load_filters
        from was.worker.isapi.filter_module import Refusal, make_module

        server_level = self._http_server.admin_manager.get_admin_section(SECTION)
        global_names = frozenset(str(item["name"]) for item in server_level.items)
        try:
            loaded = load_filters(_entries(application, global_names))
        except ImageError as error:
            return Refusal(error)
        if not loaded:
            return HttpModule()
        has_digest = bool(application.settings.section(DIGEST)["enabled"])
        return make_module(FilterChain(loaded), has_digest=has_digest)

    def terminate(self) -> None:
        """END_OF_NET_SESSION for what is open, then TerminateFilter."""
        import sys

        chains = sys.modules.get("was.worker.isapi.filter_chain")
        if chains is not None:
            chains.terminate_all()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: HttpServer
) -> None:
    """Subscribe to all of them: first in the order of modules, last where the response is sent."""
    events = RQ.BEGIN_REQUEST | RQ.AUTHENTICATE_REQUEST | RQ.MAP_PATH
    events |= RQ.SEND_RESPONSE | RQ.LOG_REQUEST
    registration_info.set_request_notifications(
        _Factory(http_server), events, RQ.AUTHENTICATE_REQUEST
    )
    registration_info.set_priority_for_request_notification(events, Priority.FIRST)
