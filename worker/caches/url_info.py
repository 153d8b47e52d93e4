"""IHttpUrlInfo: what modules attach to a URL, and whether it is asked for often."""

from __future__ import annotations

import time
from collections.abc import Callable

from was.worker.caches.data import CacheSpecificData
from was.worker.caches.keys import UriKey

__all__ = ["UrlInfo"]


class UrlInfo(CacheSpecificData):
    """One URL path of a site in this worker.

    Hits are the requests in which somebody asked for this object: a worker where nobody does counts
    nothing.
    """

    def __init__(
        self,
        key: UriKey,
        threshold: int,
        period_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Frequently hit: `threshold` hits within `period_s` (serverRuntime)."""
        super().__init__(key)
        self._threshold = threshold
        self._period_s = period_s
        self._now = now
        self._hits = 0
        self._since = now()

    def hit(self) -> None:
        """One more request."""
        now = self._now()
        if now - self._since > self._period_s:
            self._hits, self._since = 0, now
        self._hits += 1

    def is_frequently_hit(self) -> bool:
        """Whether the period that runs has seen as many hits as serverRuntime asks for."""
        return self._hits >= self._threshold and self._now() - self._since <= self._period_s
