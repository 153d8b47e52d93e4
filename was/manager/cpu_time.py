"""How much processor time processes have used, as the kernel tells it without control groups."""

from __future__ import annotations

import os
import time
from pathlib import Path

from was.manager.process import children_of

__all__ = ["CpuMeter", "cpu_time_of"]

_TICKS_S = 1.0 / os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2


def cpu_time_of(pid: int) -> float:
    """Seconds that a process, its living descendants and its reaped children have used."""
    own_s = _clock_s(pid)
    return own_s + _reaped_s(pid) + sum(cpu_time_of(child) for child in children_of(pid))


def _clock_s(pid: int) -> float:
    # The clock that clock_getcpuclockid(3) names; /proc tells hundredths of a second only.
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return 0.0


def _reaped_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) * _TICKS_S


class CpuMeter:
    """The time that a pool has used since the manager began to look, the dead included."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._gone_s = 0.0

    def read(self, workers: dict[int, int]) -> float:
        """Seconds so far; `workers` are the living ones, id -> pid. Never less than before."""
        for worker_id in self._seen.keys() - workers.keys():
            self._gone_s += self._seen.pop(worker_id)
        for worker_id, pid in workers.items():
            # A grandchild that was left behind takes its time with it.
            self._seen[worker_id] = max(self._seen.get(worker_id, 0.0), cpu_time_of(pid))
        return self._gone_s + sum(self._seen.values())
