"""IHttpPerfCounterInfo: counters of a server or site in this worker, by number."""

from __future__ import annotations

import threading
from collections import defaultdict

__all__ = ["PerfCounterInfo"]

_LIMIT = 1 << 64


class PerfCounterInfo:
    """Counters that modules count in; a number's meaning is theirs. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[int, int] = defaultdict(int)

    def increment_counter(self, index: int, value: int = 1) -> int:
        """Add to a counter; what it is then. It goes round at 2 to the 64th."""
        with self._lock:
            self._values[index] = (self._values[index] + value) % _LIMIT
            return self._values[index]

    def decrement_counter(self, index: int, value: int = 1) -> int:
        """Take from a counter, which does not go below 0; what it is then."""
        with self._lock:
            self._values[index] = max(0, self._values[index] - value)
            return self._values[index]

    def set_counter(self, index: int, value: int) -> None:
        """Give a counter a value."""
        with self._lock:
            self._values[index] = value % _LIMIT

    def get_counter(self, index: int) -> int:
        """What a counter is at; 0 if nobody has counted in it."""
        return self._values.get(index, 0)

    def all_counters(self) -> dict[int, int]:
        """Every counter that was counted in."""
        with self._lock:
            return dict(self._values)
