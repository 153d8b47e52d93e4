"""How a request ends whose program has failed: an error of its own, or a cut of what was begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.context import HttpContext

__all__ = ["fail", "refuse"]


def fail(
    context: HttpContext, status: int, sub_status: int, hresult: int, text: str
) -> RequestNotificationStatus:
    """Answer with an error, or cut what was begun."""
    if context.exchange.started:
        context.is_cut = True
        return FINISH_REQUEST
    context.response.clear()
    return refuse(context, status, sub_status, hresult, text)


def refuse(
    context: HttpContext, status: int, sub_status: int, hresult: int, text: str = ""
) -> RequestNotificationStatus:
    """Answer with an error; `text` is its description."""
    context.response.set_status(status, "", sub_status, hresult)
    if text:
        context.response.set_error_description(text)
    return FINISH_REQUEST
