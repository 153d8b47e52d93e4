"""Answering: a handler. It is asked where a handler's `modules` name it."""

from was.api import (
    CONTINUE,
    HttpContext,
    HttpModule,
    ModuleRegistrationInfo,
    RequestNotification,
    RequestNotificationStatus,
)


class Answering(HttpModule):
    """Answers whatever it is asked."""

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """set_request_handled: the modules behind this one are not asked; later events are."""
        context.response.write_entity_chunks([b"from the handler"])
        context.set_request_handled()
        return CONTINUE


class AnsweringFactory:
    """Makes them."""

    def get_http_module(self, allocator: object) -> HttpModule:
        """A module for one request."""
        return Answering()

    def terminate(self) -> None:
        """The worker ends."""


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """In the handler's event alone."""
    registration_info.set_request_notifications(
        AnsweringFactory(), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
