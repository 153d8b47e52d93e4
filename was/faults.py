"""Named points at which a process ends itself, once: for tests of what its end costs others.

Only in a home that holds `run/testing` and, when the process starts, `run/faults`: a byte for each
point, shared by all who map it. Whoever sets a byte has the next process that comes there exit.
Without that file `reach` is a look at a variable.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["EXIT_STATUS", "POINTS", "arm", "map_points", "reach"]

# In the order of the file's bytes; the name's first part is the process.
POINTS = (
    "manager.spawned",  # the template was asked for a worker
    "manager.activating",  # a worker is ready, the listener has not been told
    "manager.reloading",  # pools have their new settings, sockets and routes not yet
    "listener.sockets",  # it has the sockets and accepts, and has not said so
    "listener.dispatched",  # requests were sent to a worker
    "listener.answered",  # a worker's response came
    "template.forking",  # it was asked for a worker
    "template.forked",  # the middle process is there
    "worker.loaded",  # the applications are loaded, the manager has not been told
    "worker.begun",  # a request is marked as started, its application has not been called
    "worker.answering",  # the response is complete and has not been sent
    "supervisor.watching",  # it has just begun
    "supervisor.started",  # it has just started a manager
)
EXIT_STATUS = 86

_INDEX = {name: index for index, name in enumerate(POINTS)}
_points: memoryview | None = None


def map_points(home: Path) -> memoryview | None:
    """The bytes of a home, None when it has none."""
    file = home / "run" / "faults"
    if not ((home / "run" / "testing").exists() and file.exists()):
        return None
    import mmap

    fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, len(POINTS))
        return memoryview(mmap.mmap(fd, len(POINTS)))
    finally:
        os.close(fd)


def arm(home: Path) -> None:
    """Look at the points of this home from now on; forked children do too."""
    global _points
    _points = map_points(home)


def reach(point: str) -> None:
    """A process is at this point: it ends here if it is to."""
    if _points is not None and _points[_INDEX[point]]:
        _points[_INDEX[point]] = 0
        os._exit(EXIT_STATUS)
