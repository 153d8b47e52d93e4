"""The bell of a request thread: what rings it while it waits for its program."""

from __future__ import annotations

import os
import threading

__all__ = ["GATHER_S", "own_bell"]

# How long output is held back for more to come: one message carries a short response whole.
GATHER_S = 0.02

# Never closed: who rings may be late.
_own = threading.local()


def own_bell() -> int:
    """The calling thread's, an eventfd."""
    bell: int | None = getattr(_own, "bell", None)
    if bell is None:
        bell = _own.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    return bell
