"""Turns: who has much to be done is served one after the other, one step a turn of the loop. Pure.

A loop takes what it finds: libuv reads a socket up to 32 times before it looks at the next one, a
quarter of a megabyte each, and a few dozen clients that send without end, or in the smallest
pieces, would have it for seconds. So whoever has filled a read, or sent more pieces than are read
at once, stands in line for its next step. A turn takes as long as one step and what all others
ask, however many stand there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["Turns"]


class Turns:
    """The line of one loop."""

    __slots__ = ("_call_soon", "_line")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._line: deque[Callable[[], None]] = deque()

    def wait(self, step: Callable[[], None]) -> None:
        """Have `step` called when it is its turn: not in this one."""
        if not self._line:
            self._call_soon(self._next)
        self._line.append(step)

    def _next(self) -> None:
        step = self._line.popleft()
        if self._line:
            self._call_soon(self._next)
        step()
