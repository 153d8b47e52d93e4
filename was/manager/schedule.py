"""Times of day at which a pool's workers are replaced: `recycling/periodicRestart/schedule`.

Times are local, so they follow the clock on the wall, which jumps: twice a year by an hour, and
whenever somebody sets it. Each time of day counts once a day. One that daylight saving leaves out
counts when the clock has passed the gap, one that it repeats counts the first time. One that a
clock set forward, or a machine asleep, has skipped counts when it is noticed. A clock set back by
less than JUMP_BACK_S repeats nothing; set back further it was wrong before, and counts anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta

__all__ = ["JUMP_BACK_S", "ScheduleWatch", "latest_time"]

JUMP_BACK_S = 3 * 3600.0

_DAY_S = 86400


def latest_time(schedule: Iterable[float], wall: float) -> float | None:
    """The last moment, up to and including `wall`, at which the local time was one of these.

    `schedule` holds seconds since local midnight; None when it is empty.
    """
    today = datetime.fromtimestamp(wall).date()
    moments: list[float] = []
    for seconds in schedule:
        hour, rest = divmod(int(seconds) % _DAY_S, 3600)
        at = time(hour, rest // 60, rest % 60)
        moments += [
            datetime.combine(today - timedelta(days=back), at).timestamp() for back in (0, 1)
        ]
    return max((moment for moment in moments if moment <= wall), default=None)


class ScheduleWatch:
    """Notices that a scheduled time has come; nothing counts that was before the first look."""

    def __init__(self) -> None:
        self._seen: float | None = None

    def has_come(self, schedule: Iterable[float], wall: float) -> bool:
        """Whether one of these times of day has come since the last look."""
        seen = self._seen
        if seen is None or wall < seen - JUMP_BACK_S:
            self._seen = wall
            return False
        if wall <= seen:
            return False
        self._seen = wall
        latest = latest_time(schedule, wall)
        return latest is not None and latest > seen
