"""win32event: the constants that waits take."""

from __future__ import annotations

__all__ = ["INFINITE", "WAIT_OBJECT_0", "WAIT_TIMEOUT"]

INFINITE = -1
WAIT_OBJECT_0 = 0
WAIT_TIMEOUT = 258
