"""Files whose change replaces all processes: monitorChangesTo, and the one they write errors to.

Standard error is the pool's log as it was when a process was started. After SIGUSR1 that is another
file, and the one of before may be about to be packed or removed.
"""

from __future__ import annotations

import os

__all__ = ["WatchedFiles"]

LOOK_S = 1.0


class WatchedFiles:
    """Looked at when somebody asks, once in LOOK_S at most; times are monotonic seconds."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: object = None
        self._looked_at = 0.0

    def is_due(self, now: float) -> bool:
        """Whether they are to be looked at."""
        return now - self._looked_at >= LOOK_S

    def has_changed(self, now: float) -> bool:
        """Whether one is another than the last time; not at the first."""
        self._looked_at = now
        errors = os.fstat(2)
        own = _stamp(self._path) if self._path else None
        before, self._seen = self._seen, (own, errors.st_dev, errors.st_ino)
        return before is not None and before != self._seen


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino
