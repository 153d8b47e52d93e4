"""Local redirects (RFC 3875, 6.2.2): a program names another path of this server as the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.child_requests import CloneFlag
from was.worker.hresult import HResultError
from was.worker.notifications import (
    CONTINUE,
    PENDING,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse
from was.worker.registration import HttpModule

if TYPE_CHECKING:
    from was.worker.context import HttpContext

__all__ = ["GatewayModule", "answer_by_redirect"]


def answer_by_redirect(context: HttpContext, location: str) -> RequestNotificationStatus:
    """Let `location` answer as a child request: GET, no body, the client's fields.

    502.2 where a program redirects to itself for ever.
    """
    child = context.clone_context(
        CloneFlag.BASICS | CloneFlag.HEADERS | CloneFlag.NO_PRECONDITION | CloneFlag.NO_DAV
    )
    child.request.set_http_method("GET")
    child.request.set_url(location)
    try:
        if context.execute_request(True, child, 0, context.user):
            return PENDING
    except HResultError:
        return refuse(context, 502, 2, 0, "The program redirects to itself.")
    context.is_handled = True
    return CONTINUE


class GatewayModule(HttpModule):
    """A module whose programs may redirect locally."""

    def on_async_completion(
        self,
        context: HttpContext,
        notification: RequestNotification,
        is_post: bool,
        provider: object,
        completion_info: object,
    ) -> RequestNotificationStatus:
        """What a program has redirected to had answered PENDING, and has ended."""
        context.set_request_handled()
        return CONTINUE
