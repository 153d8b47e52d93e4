"""A pool's use of the processors against its `cpu` limit: arithmetic without a clock.

100 % is all processors of the machine, as on IIS. Over an interval a pool has a budget of
limit x processors x interval, in seconds of processor time. NoAction and KillW3wp look at the
budget; Throttle and ThrottleUnderLoad are rates, for which there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from was.config.model import Cpu, CpuAction

__all__ = [
    "PERIOD_US",
    "CpuBudget",
    "CpuThrottle",
    "affinity_of",
    "has_budget",
    "is_limited",
    "nice_of",
    "quota_us",
    "share_of",
    "weight_of",
]

MOST_LIMIT = 100_000  # 1/1000 of a percent

# A budget is looked at when it could have been used up, but no more often than this.
MOST_LOOKS = 100

PERIOD_US = 100_000
# What the kernel takes as the least quota of a period.
LEAST_QUOTA_US = 1000

# A throttled pool may use up so many seconds of its rate at once.
BURST_S = 0.1
LEAST_LOOK_S = 0.01


def is_limited(cpu: Cpu) -> bool:
    """Whether there is a limit of any kind."""
    if cpu.limit <= 0:
        return False
    return cpu.reset_interval_s > 0 or not has_budget(cpu)


def has_budget(cpu: Cpu) -> bool:
    """Whether the limit is one of an interval; an interval of 0 turns it off."""
    return cpu.action in (CpuAction.NO_ACTION, CpuAction.KILL_W3WP)


def share_of(cpu: Cpu) -> float:
    """The limit as a share of the whole machine, at most 1."""
    return min(cpu.limit, MOST_LIMIT) / MOST_LIMIT


def quota_us(share: float, processors: int) -> int:
    """Microseconds of processor time in each PERIOD_US."""
    return max(LEAST_QUOTA_US, round(share * processors * PERIOD_US))


def weight_of(share: float, usual: int) -> int:
    """The weight that leaves this share beside one competitor of the `usual` weight."""
    if share >= 1.0:
        return usual * 100
    return max(2, min(usual * 100, round(usual * share / (1.0 - share))))


def nice_of(share: float) -> int:
    """The niceness that leaves about this share beside one competitor of niceness 0."""
    # Each step of niceness is worth a factor of 1.25 to the kernel.
    if share >= 0.5:
        return 0
    return min(19, round(math.log((1.0 - share) / share) / math.log(1.25)))


def affinity_of(cpu: Cpu, processors: Iterable[int]) -> frozenset[int]:
    """Those of the `processors` that the two masks name, bit 0 of the first being processor 0."""
    mask = cpu.smp_processor_affinity_mask | cpu.smp_processor_affinity_mask2 << 32
    return frozenset(p for p in processors if mask >> p & 1)


class CpuBudget:
    """What a pool may use in an interval (NoAction, KillW3wp)."""

    def __init__(self, now: float, used_s: float) -> None:
        self._began = now
        self._used_then = used_s
        self._is_exceeded = False
        self.ends_at = now
        self.next_at = now

    def look(
        self, now: float, used_s: float, *, share: float, processors: int, interval_s: float
    ) -> bool:
        """Whether the budget has just been found to be used up; `used_s` only ever grows."""
        if now >= self._began + interval_s:
            self._began, self._used_then = now, used_s
            self._is_exceeded = False
        self.ends_at = self._began + interval_s
        left_s = share * processors * interval_s - (used_s - self._used_then)
        was_exceeded, self._is_exceeded = self._is_exceeded, self._is_exceeded or left_s < 0
        self.next_at = self.ends_at
        if not self._is_exceeded:
            soonest_s = max(left_s / processors, interval_s / MOST_LOOKS)
            self.next_at = min(self.ends_at, now + soonest_s)
        return self._is_exceeded and not was_exceeded


class CpuThrottle:
    """When a pool's processes are held so that they do not use more than their rate.

    For machines where the kernel cannot be asked to do it. What the pool has left grows with its
    rate up to BURST_S; when it is used up the processes are held until there is something again.
    """

    def __init__(self, now: float, used_s: float) -> None:
        self._at = now
        self._used_s = used_s
        self._left_s = 0.0
        self.is_held = False
        self.next_at = now

    def look(self, now: float, used_s: float, *, share: float, processors: int) -> bool:
        """Whether they are to be held from now on; `next_at` is when to look again."""
        rate = share * processors
        grown = self._left_s + rate * (now - self._at) - (used_s - self._used_s)
        most = rate * BURST_S
        self._left_s = min(most, grown)
        self._at, self._used_s = now, used_s
        if self._left_s < 0:
            self.is_held = True
        elif not self.is_held or self._left_s >= most / 2:
            self.is_held = False
        wait_s = (most / 2 - self._left_s) / rate if self.is_held else self._left_s / processors
        self.next_at = now + max(LEAST_LOOK_S, wait_s)
        return self.is_held
