"""denyAction: what a client gets that is kept out by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.choices import DenyAction
from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus
from was.worker.response import REASONS

if TYPE_CHECKING:
    from was.worker.context import HttpContext

__all__ = ["deny", "refuse_busy", "refuse_forwarded"]

_E_ACCESSDENIED = 0x80070005
_STATUSES = {DenyAction.UNAUTHORIZED: 401, DenyAction.FORBIDDEN: 403, DenyAction.NOT_FOUND: 404}


def deny(context: HttpContext, action: DenyAction, sub_status: int) -> RequestNotificationStatus:
    """Answer with the action's status, or cut the connection without an answer."""
    status = _STATUSES.get(action)
    if status is None:
        context.response.reset_connection()
    else:
        context.response.set_status(status, REASONS[status], sub_status, _E_ACCESSDENIED)
    return FINISH_REQUEST


def refuse_forwarded(context: HttpContext) -> RequestNotificationStatus:
    """400.10: an X-Forwarded-For that cannot be read."""
    context.response.set_status(400, "Bad Request", 10, 0x8007000D)
    return FINISH_REQUEST


def refuse_busy(context: HttpContext) -> RequestNotificationStatus:
    """503: too many wait for the same slow answer already."""
    response = context.response
    response.set_status(503, "Service Unavailable", 2, 0x80070046)
    response.set_header("Retry-After", "1")
    return FINISH_REQUEST
