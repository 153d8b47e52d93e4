"""Counter: how many requests an application has had in this worker."""

from itertools import count

from was.api import (
    CONTINUE,
    HttpContext,
    HttpModule,
    HttpResponse,
    ModuleRegistrationInfo,
    RequestNotification,
    RequestNotificationStatus,
)


class Count:
    """A stored context: it lives as long as the application does in this worker."""

    def __init__(self) -> None:
        self.requests = count(1)

    def cleanup_stored_context(self) -> None:
        """The application ends."""


class Counter(HttpModule):
    """Counts at the beginning, and says the number when the response is sent."""

    def __init__(self, module_id: int) -> None:
        self._module_id = module_id
        self._number = 0

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """One more."""
        container = context.application.module_context_container
        stored = container.get_module_context(self._module_id)
        if not isinstance(stored, Count):
            stored = Count()
            container.set_module_context(stored, self._module_id)
        self._number = next(stored.requests)
        return CONTINUE

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Only before the fields have gone can one be added."""
        if provider.headers_being_sent:
            context.response.set_header("X-Request-Number", str(self._number))
        return CONTINUE


class CounterFactory:
    """Knows the id under which the number is kept."""

    def __init__(self, module_id: int) -> None:
        self._module_id = module_id

    def get_http_module(self, allocator: object) -> HttpModule:
        """A module for one request."""
        return Counter(self._module_id)

    def terminate(self) -> None:
        """The worker ends."""


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """In two events; last of all in the second, so that nobody takes the field away."""
    events = RequestNotification.BEGIN_REQUEST | RequestNotification.SEND_RESPONSE
    registration_info.set_request_notifications(CounterFactory(registration_info.id), events, 0)
    registration_info.set_priority_for_request_notification(
        RequestNotification.SEND_RESPONSE, "FIRST"
    )
