"""ConfigurationValidationModule: 500.22 to 500.24 below settings of ASP.NET's classic pipeline.

A web.config whose system.web has httpModules, httpHandlers or impersonation was written for another
pipeline: what it says would not happen. `validation/@validateIntegratedModeConfiguration="false"`
lets such files pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.hresult import E_NOT_SUPPORTED
from was.worker.notifications import RequestNotification, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.config.integrated import NotIntegrated
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext


class ConfigurationValidation(HttpModule):
    """Refuses the requests of one application for one setting."""

    def __init__(self, setting: NotIntegrated) -> None:
        self._sub_status = setting.sub_status
        self._description = (
            "An ASP.NET setting has been detected that does not apply in the integrated pipeline: "
            f"{setting.what} ({setting.file}:{setting.line})."
        )

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """500 with the setting's sub-status."""
        return refuse(context, 500, self._sub_status, E_NOT_SUPPORTED, self._description)


def _make(application: HttpApplication) -> HttpModule:
    settings = application.settings
    validation = settings.sections.get("system.webServer/validation")
    is_on = validation is None or bool(validation["validateIntegratedModeConfiguration"])
    if not is_on or not settings.not_integrated:
        return HttpModule()
    return ConfigurationValidation(min(settings.not_integrated))


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to BEGIN_REQUEST."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.BEGIN_REQUEST, 0
    )
