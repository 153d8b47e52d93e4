"""Refusals: an error in place of what was asked for, with which a request goes on to its end."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from was.worker.interfaces.hresult import E_INVALID_DATA, E_SHARING_PAUSED, E_UNEXPECTED
from was.worker.interfaces.request import EntityTooLargeError
from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["refuse", "refuse_busy", "refuse_configuration", "refuse_failed", "refuse_method"]


def refuse(
    context: HttpContext, status: int, sub_status: int = 0, hresult: int = 0, description: str = ""
) -> RequestNotificationStatus:
    """Answer with an error; `description` is a sentence for the detailed page."""
    context.response.set_status(status, "", sub_status, hresult)
    if description:
        context.response.set_error_description(description)
    return FINISH_REQUEST


def refuse_method(context: HttpContext, allowed: str) -> RequestNotificationStatus:
    """405: what is there answers only these methods."""
    context.response.set_header("Allow", allowed)
    return refuse(context, 405)


def refuse_busy(context: HttpContext) -> RequestNotificationStatus:
    """503.2: too many run at once, or wait for the same slow answer."""
    context.response.set_header("Retry-After", "1")
    return refuse(context, 503, 2, E_SHARING_PAUSED)


def refuse_failed(
    context: HttpContext, error: BaseException, module: str = "", notification: str = ""
) -> None:
    """413.1, or 500.0 with the traceback for those who may see it.

    `module` says whose fault it is where its step will not.
    """
    response = context.response
    response.clear()
    if isinstance(error, EntityTooLargeError):
        response.set_status(413, "Request Entity Too Large", 1)
        response.set_need_disconnect()
        return
    response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED)
    if response.error is not None:
        response.error.traceback = "".join(traceback.format_exception(error))
        response.error.module_name = module
        response.error.notification = notification


def refuse_configuration(context: HttpContext, _: object) -> RequestNotificationStatus:
    """500.19: what is configured for the path cannot be read."""
    errors = context.calls.errors
    first = errors.errors[0] if errors is not None and errors.errors else None
    hresult = first.hresult if first is not None else E_INVALID_DATA
    context.response.set_status(500, "", 19, hresult, errors)
    return FINISH_REQUEST
