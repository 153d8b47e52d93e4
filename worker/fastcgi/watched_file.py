"""monitorChangesTo: a file whose change replaces all processes."""

from __future__ import annotations

import os

__all__ = ["WatchedFile"]

LOOK_S = 1.0


class WatchedFile:
    """Looked at when somebody asks, once in LOOK_S at most; times are monotonic seconds."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: object = None
        self._looked_at = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is to be looked at."""
        return bool(self._path) and now - self._looked_at >= LOOK_S

    def has_changed(self, now: float) -> bool:
        """Whether it is another than the last time; not at the first."""
        self._looked_at = now
        before, self._seen = self._seen, _stamp(self._path)
        return before is not None and before != self._seen


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino
