"""How operations that a module did not wait for come out."""

from __future__ import annotations

__all__ = ["AsyncCompletion"]


class AsyncCompletion:
    """IHttpCompletionInfo: how an operation that was PENDING came out."""

    __slots__ = ("completion_bytes", "completion_status")

    def __init__(self, completion_bytes: int, completion_status: int = 0) -> None:
        self.completion_bytes = completion_bytes
        self.completion_status = completion_status
