"""The answer of an application that has not started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.interfaces.hresult import E_FAIL
from was.worker.notifications import RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.applications.app_loader import Failure
    from was.worker.interfaces.context import HttpContext

__all__ = ["refuse_not_started"]


def refuse_not_started(context: HttpContext, failure: Failure) -> RequestNotificationStatus:
    """500.30, as where an application of ASP.NET Core fails to start."""
    _note(context, failure)
    text = f"The application failed to start: {failure.message}"
    status = refuse(context, 500, 30, E_FAIL, text)
    if context.response.error is not None:
        context.response.error.traceback = failure.traceback
    if failure.is_the_process_s:
        failure.is_the_process_s = False  # said once
        context.application.server.report_unhealthy(f"a further attempt failed: {failure.message}")
    return status


def _note(context: HttpContext, failure: Failure) -> None:
    """What it says now, unless another request has started it in this moment."""
    programs = context.application.programs
    reference = context.plan.script_map.script_processor if context.plan is not None else ""
    if programs.get(reference) is not None:
        programs[reference] = failure
