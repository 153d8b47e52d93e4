"""Hello: answers every request of the applications that list it."""

from was.api import (
    FINISH_REQUEST,
    HttpContext,
    HttpModule,
    ModuleRegistrationInfo,
    RequestNotification,
    RequestNotificationStatus,
)


class Hello(HttpModule):
    """One object for each request."""

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Write the answer, and go to the request's end."""
        context.response.clear()
        context.response.set_header("Content-Type", "text/plain")
        context.response.write_entity_chunks([b"Hello"])
        return FINISH_REQUEST


class HelloFactory:
    """Makes them."""

    def get_http_module(self, allocator: object) -> HttpModule:
        """A module for one request."""
        return Hello()

    def terminate(self) -> None:
        """The worker ends."""


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """The one entry point of a module file."""
    registration_info.set_request_notifications(
        HelloFactory(), RequestNotification.BEGIN_REQUEST, 0
    )
