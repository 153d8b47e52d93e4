"""AnonymousAuthenticationModule: who has not been authenticated is the anonymous user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.user import ANONYMOUS
from was.worker.notifications import (
    CONTINUE,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext


class AnonymousAuthentication(HttpModule):
    """Sets the anonymous user where no module before it has set one."""

    def on_authenticate_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Runs last of the authentication modules."""
        if context.user is None:
            context.user = ANONYMOUS
        return CONTINUE


def _make(application: HttpApplication) -> HttpModule:
    if application.settings.anonymous_authentication.enabled:
        return AnonymousAuthentication()
    return HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to AUTHENTICATE_REQUEST, after all others."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.AUTHENTICATE_REQUEST, 0
    )
    registration_info.set_priority_for_request_notification(
        RequestNotification.AUTHENTICATE_REQUEST, Priority.LAST
    )
