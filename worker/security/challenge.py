"""Challenge: an authentication scheme that is offered with every 401 (RFC 9110, 11.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

__all__ = ["Challenge", "register_challenge"]


class Challenge(HttpModule):
    """A module of the `scheme`; `challenge` adds its WWW-Authenticate where there is none yet."""

    wants_errors_only = True
    scheme = ""  # in lower case

    def challenge(self, context: HttpContext) -> None:
        """Add the field, as somebody is asked who has proved nothing yet."""
        raise NotImplementedError

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Say with every 401 that this scheme may be used."""
        if context.response.status == 401 and provider.headers_being_sent:
            self._offer(context)
        return CONTINUE

    def on_end_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """The same for a child request, which raises no SEND_RESPONSE: its parent may not know."""
        if context.response.status == 401 and context.parent_context is not None:
            self._offer(context)
        return CONTINUE

    def _offer(self, context: HttpContext) -> None:
        for name, value in context.response.fields:
            if name.lower() == "www-authenticate" and value.lower().startswith(self.scheme):
                return
        self.challenge(context)


def register_challenge(
    registration_info: ModuleRegistrationInfo, make: Callable[[HttpApplication], HttpModule]
) -> None:
    """Subscribe a scheme to AUTHENTICATE_REQUEST, and to SEND_RESPONSE and END_REQUEST for 401."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(make),
        RequestNotification.AUTHENTICATE_REQUEST
        | RequestNotification.SEND_RESPONSE
        | RequestNotification.END_REQUEST,
        0,
    )
