"""denyAction: what a client gets that is kept out by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.choices import DenyAction
from was.worker.interfaces.hresult import E_ACCESSDENIED, E_INVALID_DATA
from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["deny", "refuse_forwarded"]

_STATUSES = {DenyAction.UNAUTHORIZED: 401, DenyAction.FORBIDDEN: 403, DenyAction.NOT_FOUND: 404}


def deny(context: HttpContext, action: DenyAction, sub_status: int) -> RequestNotificationStatus:
    """Answer with the action's status, or cut the connection without an answer."""
    status = _STATUSES.get(action)
    if status is None:
        context.response.reset_connection()
        return FINISH_REQUEST
    return refuse(context, status, sub_status, E_ACCESSDENIED)


def refuse_forwarded(context: HttpContext) -> RequestNotificationStatus:
    """400.10: an X-Forwarded-For that cannot be read."""
    return refuse(context, 400, 10, E_INVALID_DATA)
