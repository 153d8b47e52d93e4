"""Who a process is for good: pid, start ticks and boot. No two ever share all three.

Or the lock that it holds: a POSIX lock belongs to one process, and the kernel names it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path

__all__ = ["boot_id", "lock_holder", "open_lock_holder", "open_recorded", "start_ticks"]

# struct flock of Linux on 64-bit: type, whence, (padding) start, length, pid
_FLOCK = struct.Struct("@hhqqi0q")


def start_ticks(pid: int) -> int:
    """When a process started, in ticks since boot; 0 when it has ended, reaped or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    # The name in parentheses may hold anything, also a title that Linux has cut within a letter;
    # after it come field 3, the state, and so on.
    fields = stat.rpartition(b")")[2].split()
    return 0 if fields[0] in b"ZX" else int(fields[19])


def boot_id() -> str:
    """Which boot of this machine it is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def open_recorded(record: Mapping[str, object]) -> int | None:
    """A pidfd of the process that a record means, None when it has gone.

    Opened before the comparison: a pid that is reused in between is never taken for it.
    """
    pid, ticks = record.get("pid"), record.get("start_ticks")
    if not isinstance(pid, int) or pid <= 0 or record.get("boot_id") != boot_id():
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    if ticks and start_ticks(pid) == ticks:
        return pidfd
    os.close(pidfd)
    return None


def lock_holder(path: Path) -> int | None:
    """The pid that holds the lock on a file (fcntl.lockf), None when nobody does."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_GETLK, wanted))
    finally:
        os.close(lock)
    return None if kind == fcntl.F_UNLCK else pid


def open_lock_holder(path: Path) -> tuple[int, int] | None:
    """Pid and pidfd of the process that holds the lock, None when nobody does."""
    pid = lock_holder(path)
    if pid is None or pid <= 0:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if lock_holder(path) == pid:
        return pid, pidfd
    os.close(pidfd)
    return None
