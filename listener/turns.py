"""Turns: who sends much is read one after the other, one step a turn of the loop.

The loop would read a socket up to 32 times before it looks at the next one (libuv), a quarter of a
megabyte each: a few dozen clients that send without end would have it for seconds. So whoever has
filled a read, or sent more pieces than are read at once, stands in line for its next step. A turn
takes as long as one step and what all others ask, however many stand there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["MUCH_BYTES", "Turns"]

# In one read: more waits behind it.
MUCH_BYTES: Final = 128 * 1024


class Turns:
    """The line of those who send much."""

    __slots__ = ("_line", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._line: deque[Callable[[], None]] = deque()

    def wait(self, step: Callable[[], None]) -> None:
        """Have `step` called when it is its turn: not in this one."""
        if not self._line:
            self._loop.call_soon(self._next)
        self._line.append(step)

    def _next(self) -> None:
        step = self._line.popleft()
        if self._line:
            self._loop.call_soon(self._next)
        step()
