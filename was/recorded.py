"""Who a process is for good: pid, start ticks and boot. No two ever share all three."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["boot_id", "open_recorded", "start_ticks"]


def start_ticks(pid: int) -> int:
    """When a process started, in ticks since boot; 0 when it has ended, reaped or not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The name in parentheses may hold anything; after it come field 3, the state, and so on.
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


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
