"""Which URLs are hit frequently: serverRuntime's frequentHitThreshold and frequentHitTimePeriod."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["HitFrequency"]

# URLs that are counted at a time. Beyond it all begin anew: what is hit often is soon known again.
MOST_URLS = 8192


class HitFrequency:
    """Counts hits of URLs; any thread (a hit lost between two threads does no harm)."""

    def __init__(
        self, threshold: int, period_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._threshold = threshold
        self._period_s = period_s
        self._clock = clock
        self._hits: dict[str, tuple[float, int]] = {}

    def hit(self, url: str) -> bool:
        """Count a hit; whether it is at least the threshold's within the period."""
        now = self._clock()
        begin, count = self._hits.get(url, (now, 0))
        if now - begin > self._period_s:
            begin, count = now, 0
        count += 1
        if len(self._hits) >= MOST_URLS and url not in self._hits:
            self._hits.clear()
        self._hits[url] = (begin, count)
        return count >= self._threshold
