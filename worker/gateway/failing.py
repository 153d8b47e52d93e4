"""How a request ends whose program has failed, and what the log has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.log import log
from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["fail", "log_failed"]


def fail(
    context: HttpContext, status: int, sub_status: int, hresult: int, text: str
) -> RequestNotificationStatus:
    """Answer with an error, or cut what was begun."""
    if context.exchange.started:
        context.is_cut = True
        return FINISH_REQUEST
    context.response.clear()
    return refuse(context, status, sub_status, hresult, text)


def log_failed(context: HttpContext, error: str) -> None:
    """Say in the pool's log what a program has done wrong in a request."""
    log("program_failed", error=error, request=context.request_id, url=context.message.target[:256])
