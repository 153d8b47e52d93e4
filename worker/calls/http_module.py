"""HttpModule: the base of request modules, with one method for each notification.

IIS's base class writes a line and breaks into the debugger where a module has registered for a
notification and not overridden its method; ours writes the line, once for each class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.log import log
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.completion import AsyncCompletion
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.providers import MapPathProvider
    from was.worker.interfaces.request import ReadEntityProvider
    from was.worker.interfaces.response import HttpResponse

__all__ = ["HttpModule", "warn_of_missing"]

Status = RequestNotificationStatus

_warned: set[tuple[type, str]] = set()


def warn_of_missing(cls: type, name: str) -> None:
    """Say once that a class has no method for what it has registered for."""
    if (cls, name) not in _warned:
        _warned.add((cls, name))
        log("module_failed", module=cls.__name__, error=f"registered for {name} but has no method")


def _missing(module: HttpModule, name: str) -> Status:
    warn_of_missing(type(module), name)
    return CONTINUE


class HttpModule:
    """CHttpModule: override the methods of the notifications you registered for.

    Each answers CONTINUE, PENDING or FINISH_REQUEST. The provider of the deterministic events is
    the context itself. `on_async_completion` belongs to no bit: it answers for the notification
    that was PENDING. `dispose` is called once, at the request's end.
    """

    # SEND_RESPONSE is raised to this module only for a status of 400 and above.
    wants_errors_only = False

    def on_begin_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_BEGIN_REQUEST."""
        return _missing(self, "on_begin_request")

    def on_post_begin_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_BEGIN_REQUEST."""
        return _missing(self, "on_post_begin_request")

    def on_authenticate_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_AUTHENTICATE_REQUEST."""
        return _missing(self, "on_authenticate_request")

    def on_post_authenticate_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_AUTHENTICATE_REQUEST."""
        return _missing(self, "on_post_authenticate_request")

    def on_authorize_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_AUTHORIZE_REQUEST."""
        return _missing(self, "on_authorize_request")

    def on_post_authorize_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_AUTHORIZE_REQUEST."""
        return _missing(self, "on_post_authorize_request")

    def on_resolve_request_cache(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_RESOLVE_REQUEST_CACHE."""
        return _missing(self, "on_resolve_request_cache")

    def on_post_resolve_request_cache(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_RESOLVE_REQUEST_CACHE."""
        return _missing(self, "on_post_resolve_request_cache")

    def on_map_request_handler(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_MAP_REQUEST_HANDLER."""
        return _missing(self, "on_map_request_handler")

    def on_post_map_request_handler(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_MAP_REQUEST_HANDLER."""
        return _missing(self, "on_post_map_request_handler")

    def on_acquire_request_state(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_ACQUIRE_REQUEST_STATE."""
        return _missing(self, "on_acquire_request_state")

    def on_post_acquire_request_state(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_ACQUIRE_REQUEST_STATE."""
        return _missing(self, "on_post_acquire_request_state")

    def on_pre_execute_request_handler(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_PRE_EXECUTE_REQUEST_HANDLER."""
        return _missing(self, "on_pre_execute_request_handler")

    def on_post_pre_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> Status:
        """After RQ_PRE_EXECUTE_REQUEST_HANDLER."""
        return _missing(self, "on_post_pre_execute_request_handler")

    def on_execute_request_handler(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_EXECUTE_REQUEST_HANDLER."""
        return _missing(self, "on_execute_request_handler")

    def on_post_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> Status:
        """After RQ_EXECUTE_REQUEST_HANDLER."""
        return _missing(self, "on_post_execute_request_handler")

    def on_release_request_state(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_RELEASE_REQUEST_STATE."""
        return _missing(self, "on_release_request_state")

    def on_post_release_request_state(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_RELEASE_REQUEST_STATE."""
        return _missing(self, "on_post_release_request_state")

    def on_update_request_cache(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_UPDATE_REQUEST_CACHE."""
        return _missing(self, "on_update_request_cache")

    def on_post_update_request_cache(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_UPDATE_REQUEST_CACHE."""
        return _missing(self, "on_post_update_request_cache")

    def on_log_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_LOG_REQUEST."""
        return _missing(self, "on_log_request")

    def on_post_log_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_LOG_REQUEST."""
        return _missing(self, "on_post_log_request")

    def on_end_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """RQ_END_REQUEST."""
        return _missing(self, "on_end_request")

    def on_post_end_request(self, context: HttpContext, provider: HttpContext) -> Status:
        """After RQ_END_REQUEST."""
        return _missing(self, "on_post_end_request")

    def on_custom_request_notification(self, context: HttpContext, provider: object) -> Status:
        """RQ_CUSTOM_NOTIFICATION: a module has called notify_custom_notification."""
        return _missing(self, "on_custom_request_notification")

    def on_send_response(self, context: HttpContext, provider: HttpResponse) -> Status:
        """RQ_SEND_RESPONSE: bytes are about to be sent."""
        return _missing(self, "on_send_response")

    def on_read_entity(self, context: HttpContext, provider: ReadEntityProvider) -> Status:
        """RQ_READ_ENTITY: a block of the body was read."""
        return _missing(self, "on_read_entity")

    def on_map_path(self, context: HttpContext, provider: MapPathProvider) -> Status:
        """RQ_MAP_PATH: a URL is being mapped to a file."""
        return _missing(self, "on_map_path")

    def on_async_completion(
        self,
        context: HttpContext,
        notification: RequestNotification,
        is_post: bool,
        provider: object,
        completion_info: AsyncCompletion,
    ) -> Status:
        """An operation that this module had started with PENDING has completed."""
        return CONTINUE

    def dispose(self) -> None:
        """The request is over. As with events, it is the class that has it, or not."""
