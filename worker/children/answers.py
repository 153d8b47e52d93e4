"""Handlers whose place a child request may take: a default document, a local redirect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.http_module import HttpModule
from was.worker.notifications import (
    CONTINUE,
    PENDING,
    RequestNotification,
    RequestNotificationStatus,
)

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["ChildAnswers", "answer_by_child"]


def answer_by_child(context: HttpContext, child: HttpContext) -> RequestNotificationStatus:
    """Let a child answer for the handler, as the same user. HResultError: as execute_request."""
    if context.execute_request(True, child, 0, context.user):
        return PENDING
    context.set_request_handled()
    return CONTINUE


class ChildAnswers(HttpModule):
    """A module that answers by children."""

    def on_async_completion(
        self,
        context: HttpContext,
        notification: RequestNotification,
        is_post: bool,
        provider: object,
        completion_info: object,
    ) -> RequestNotificationStatus:
        """The child had answered PENDING, and has ended."""
        context.set_request_handled()
        return CONTINUE
