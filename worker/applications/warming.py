"""Warming: whether an application is still being warmed up, and who waits until it is not."""

from __future__ import annotations

import threading

__all__ = ["Warming"]


class Warming:
    """Counts who warms something up. Any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def begin(self) -> None:
        """One more."""
        with self._changed:
            self._count += 1

    def end(self) -> None:
        """One less; an end that nobody has begun does nothing."""
        with self._changed:
            self._count = max(0, self._count - 1)
            self._changed.notify_all()

    @property
    def is_warming_up(self) -> bool:
        """Whether anybody has begun and not ended."""
        return self._count > 0

    def wait(self) -> None:
        """Until nobody warms anything up."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)
