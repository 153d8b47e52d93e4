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
    """What of the new call lists' head is left behind the step that has moved the request.

    All of it where the module has no step there: a configuration that cannot be read refuses.
    """
    head = context.calls.head
    for number, run in enumerate(head):
        for at, other in enumerate(run.steps):
            if (
                other.registration is step.registration
                and other.notification is step.notification
                and other.is_post is step.is_post
            ):
                return (*map(single, run.steps[at + 1 :]), *head[number + 1 :])
    return head
