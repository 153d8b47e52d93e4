"""The one timer of the manager's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Alarm"]

# Turns of the loop between a time that comes and what is done about it: one takes a connection that
# waits, the next reads from it. A manager that has stood still gives nobody up for a silence that
# was its own.
TURNS_TO_HEAR = 2
# Never at once: a deadline that could not be met must not keep the loop from its queue.
LEAST_S = 0.001


class Alarm:
    """Rings once when a time has come, after what was said until then has been heard."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, now: Callable[[], float], ring: Callable[[], object]
    ) -> None:
        """`now` gives monotonic seconds; `ring` must be quick."""
        self._loop = loop
        self._now = now
        self._ring = ring
        self._timer: asyncio.Handle | None = None
        self._due_at = 0.0

    def set(self, due_at: float) -> None:
        """Ring at this time instead of any other; to say the same again puts nothing off."""
        if self._timer is not None:
            if due_at == self._due_at:
                return
            self._timer.cancel()
        self._due_at = due_at
        delay_s = max(LEAST_S, due_at - self._now())
        self._timer = self._loop.call_later(delay_s, self._hear_first, TURNS_TO_HEAR)

    def _hear_first(self, turns: int) -> None:
        if turns:
            self._timer = self._loop.call_soon(self._hear_first, turns - 1)
        else:
            self._timer = None
            self._ring()

    def cancel(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
