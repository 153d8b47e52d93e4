"""The answer of an application that has not started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.app_loader import Failure
    from was.worker.context import HttpContext

__all__ = ["refuse_not_started"]

_E_FAIL: Final = 0x80004005


def refuse_not_started(context: HttpContext, failure: Failure) -> RequestNotificationStatus:
    """500.30, as where an application of ASP.NET Core fails to start."""
    response = context.response
    response.set_status(500, "Internal Server Error", 30, _E_FAIL)
    response.set_error_description(f"The application failed to start: {failure.message}")
    if response.error is not None:
        response.error.traceback = failure.traceback
    return FINISH_REQUEST
