"""How operations that a module did not wait for come out."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.notifications import RequestNotificationStatus

__all__ = ["AsyncCompletion", "Operation", "Routine"]

# PFN_ASYNC_COMPLETION: answers for the event that was pending.
Routine = Callable[["HttpContext", "AsyncCompletion"], "RequestNotificationStatus"]


class Operation(IntEnum):
    """What has completed. IIS's numbers are not public; these are ours."""

    POSTED = 0
    READ = 1
    WRITE = 2
    FLUSH = 3
    CHILD = 4


class AsyncCompletion:
    """IHttpCompletionInfo and 2: how an operation that was PENDING came out."""

    __slots__ = ("completed_operation", "completion_bytes", "completion_status", "routine")

    def __init__(
        self,
        completion_bytes: int,
        completion_status: int = 0,
        completed_operation: Operation = Operation.POSTED,
        routine: Routine | None = None,
    ) -> None:
        """`routine` is called in place of on_async_completion."""
        self.completion_bytes = completion_bytes
        self.completion_status = completion_status
        self.completed_operation = completed_operation
        self.routine = routine
