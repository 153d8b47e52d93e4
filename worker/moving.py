"""A request that goes on under another URL of its site: what a rewrite does to it.

Everything that hangs off the URL is chosen anew: application, settings in force, call lists. What
the pipeline has done already is not done again: it goes on behind the module that has moved the
request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.event_calls import single
from was.worker.calls.objects import change_calls

if TYPE_CHECKING:
    from was.worker.calls.call_lists import CallLists
    from was.worker.calls.event_calls import Run, Step
    from was.worker.interfaces.context import HttpContext

__all__ = ["NotOurPoolError", "RequestMovedError", "move", "runs_after"]


class NotOurPoolError(Exception):
    """The URL belongs to an application of another pool: 403.18."""


class RequestMovedError(Exception):
    """Raised by a step of the pipeline that has moved the request, in place of an outcome."""


def move(context: HttpContext, path: str, query: str) -> None:
    """Let a request be for another canonical path of its site.

    Raises NotOurPoolError, and has changed nothing then. In BEGIN_REQUEST, RequestMovedError must
    follow.
    """
    application = context.application.locate(context.site.site_id, path)
    if application is None:
        raise NotOurPoolError(path)
    context.application = application
    change_calls(context, application.paths.at(path))
    context.set_path(path)
    context.query = query


def runs_after(context: HttpContext, step: Step) -> tuple[Run, ...]:
    """What of the new call lists' head lies behind the step that has moved the request.

    The module itself may have no step there: it has no rules at the new path.
    """
    calls = context.calls
    if calls.errors is not None or calls.bad_modules:
        return calls.head  # which refuses
    head, here = calls.head, _place(calls, step)
    for number, run in enumerate(head):
        for at, other in enumerate(run.steps):
            if _place(calls, other) > here:
                return (*map(single, run.steps[at:]), *head[number + 1 :]) if at else head[number:]
    return ()


def _place(calls: CallLists, step: Step) -> tuple[int, bool, int, int]:
    """Where a step comes in the order of these call lists; the core's own before its event."""
    notification, is_post, registration = step.notification, step.is_post, step.registration
    if registration is None:
        return int(notification), is_post, -1, -1
    priority = registration.priority(notification, is_post)
    return int(notification), is_post, int(priority), calls.place_of(registration)
