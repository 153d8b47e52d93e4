"""When each pool has something to do next: remembered, since the manager asks at every turn."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.manager.pool import ApplicationPool

__all__ = ["PoolDeadlines"]


class PoolDeadlines:
    """The deadlines of all pools, as they were when each was last noted (monotonic seconds).

    One that has since moved on costs a look at a pool that is not due; so whoever looks notes.
    """

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def note(self, pool: ApplicationPool) -> float:
        """Something has happened to the pool: when it is due now, infinity for never."""
        deadline = pool.next_deadline()
        time = inf if deadline is None else deadline
        self._times[pool.settings.name] = time
        return time

    def drop(self, name: str) -> None:
        """The pool is gone."""
        self._times.pop(name, None)

    def earliest(self) -> float:
        """The first of all, infinity for none."""
        return min(self._times.values(), default=inf)
