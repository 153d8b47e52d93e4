"""win32event: waiting for what can be waited for here, notifications of changed folders."""

from __future__ import annotations

from was.worker.isapi.neighbours.change_notifications import wait
from was.worker.isapi.neighbours.pywintypes import error

__all__ = ["INFINITE", "WAIT_OBJECT_0", "WAIT_TIMEOUT", "WaitForSingleObject", "error"]

INFINITE = -1
WAIT_OBJECT_0 = 0
WAIT_TIMEOUT = 258


def WaitForSingleObject(handle: int, milliseconds: int) -> int:
    """WAIT_OBJECT_0 when the folder has changed, else WAIT_TIMEOUT.

    Raises `error` 6 for a handle that is none, or is closed meanwhile.
    """
    has_changed = wait(handle, None if milliseconds == INFINITE else milliseconds / 1000)
    return WAIT_OBJECT_0 if has_changed else WAIT_TIMEOUT
