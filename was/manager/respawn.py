"""When a process of ours that has died is started anew. Pure."""

from __future__ import annotations

from was.manager.health import Backoff

__all__ = ["Respawn"]


class Respawn:
    """At once if it had come to work, else after a delay that doubles until one does."""

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._has_worked = False
        self.at: float | None = None
        self.failed_starts = 0  # since one has come to work

    def started(self) -> None:
        """There is one."""
        self._has_worked = False
        self.at = None

    def worked(self) -> None:
        """It does what it is for: its end will be no failed start."""
        self._has_worked = True
        self.failed_starts = 0
        self._backoff.reset()

    def died(self, now: float) -> None:
        """It has gone, or could not be made; `at` says when the next one may start."""
        if self._has_worked:
            self.at = now
        else:
            self.failed_starts += 1
            self.at = now + self._backoff.take()
