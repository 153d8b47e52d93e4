"""Where a worker's Python stacks go when something is wrong with it, readable after its death.

The manager opens a file for each worker and passes the descriptor with the welcome. faulthandler
writes there at a fatal signal, and whenever DUMP_SIGNAL comes: from C, without the interpreter's
lock, so that a worker that hangs in an extension has stacks too.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path

__all__ = ["DUMP_SIGNAL", "can_dump", "write_stacks", "write_stacks_to"]

# A real-time signal, as applications hardly use them.
DUMP_SIGNAL = signal.SIGRTMIN + 5


_stacks_fd = 2


def write_stacks() -> None:
    """In a worker: all threads' stacks as they are now."""
    faulthandler.dump_traceback(_stacks_fd, all_threads=True)


def write_stacks_to(fd: int) -> None:
    """In a worker, once: fatal signals and DUMP_SIGNAL write all threads' stacks to `fd`."""
    global _stacks_fd
    _stacks_fd = fd
    faulthandler.enable(fd, all_threads=True)
    faulthandler.register(DUMP_SIGNAL, fd, all_threads=True)
    os.register_at_fork(after_in_child=_forget_in_child)


def _forget_in_child() -> None:
    # What a child of the application dies of is not the worker's end.
    faulthandler.enable(2, all_threads=True)
    faulthandler.unregister(DUMP_SIGNAL)


def can_dump(pid: int) -> bool:
    """Whether the process catches DUMP_SIGNAL; one that does not would die of it."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return False
    for line in status.splitlines():
        if line.startswith(b"SigCgt:"):
            return bool(int(line.split()[1], 16) >> (DUMP_SIGNAL - 1) & 1)
    return False
