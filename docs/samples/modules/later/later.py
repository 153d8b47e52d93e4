"""Later: leaves a request pending, and completes it from a thread of its own."""

import threading

from was.api import (
    FINISH_REQUEST,
    PENDING,
    AsyncCompletion,
    HttpContext,
    HttpModule,
    ModuleRegistrationInfo,
    RequestNotification,
    RequestNotificationStatus,
)


class Later(HttpModule):
    """The request's own thread is free meanwhile."""

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Start the work; nothing of the request may be touched here any more."""
        threading.Timer(0.05, context.post_completion, [42]).start()
        return PENDING

    def on_async_completion(
        self,
        context: HttpContext,
        notification: RequestNotification,
        is_post: bool,
        provider: object,
        completion_info: AsyncCompletion,
    ) -> RequestNotificationStatus:
        """The work is done: this answers for the event that was pending."""
        text = f"{completion_info.completion_bytes}, later"
        context.response.write_entity_chunks([text.encode()])
        return FINISH_REQUEST


class LaterFactory:
    """Makes them."""

    def get_http_module(self, allocator: object) -> HttpModule:
        """A module for one request."""
        return Later()

    def terminate(self) -> None:
        """The worker ends."""


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """In one event."""
    registration_info.set_request_notifications(
        LaterFactory(), RequestNotification.BEGIN_REQUEST, 0
    )
