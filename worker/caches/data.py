"""IHttpCacheSpecificData: what a cache holds, counted by who holds it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from was.worker.interfaces.stored_contexts import ModuleContextContainer

if TYPE_CHECKING:
    from was.worker.caches.keys import CacheKey

__all__ = ["FIRST_TTL", "CacheSpecificData", "let_go"]

# So often an entry may be passed by before it has to be loaded anew.
FIRST_TTL = 2


class CacheSpecificData:
    """An entry: count 1 at birth, ended when the count is 0, which happens once.

    Its stored contexts are told when it ends: flushed from the cache, and the last reference gone.
    """

    def __init__(self, key: CacheKey) -> None:
        self.cache_key = key
        self.module_context_container = ModuleContextContainer()
        self._count = 1
        self._ttl = FIRST_TTL
        self._is_flushed = False
        self._lock = threading.Lock()

    def reference_cache_data(self) -> bool:
        """One more holds it; False if it has ended already."""
        with self._lock:
            if not self._count:
                return False
            self._count += 1
            return True

    def dereference_cache_data(self) -> None:
        """One less holds it; the last one ends it."""
        with self._lock:
            if not self._count:
                return
            self._count -= 1
            if self._count:
                return
        self.module_context_container.cleanup()
        self.release()

    def release(self) -> None:
        """Nobody holds it any more: give back what it has. Override it."""

    def reset_ttl(self) -> None:
        """It was asked for: it lives on."""
        self._ttl = FIRST_TTL

    def decrement_ttl(self) -> bool:
        """A while has passed; whether it has expired."""
        self._ttl = max(0, self._ttl - 1)
        return not self._ttl

    def set_flushed(self) -> None:
        """It is in no cache any more."""
        self._is_flushed = True

    @property
    def is_flushed(self) -> bool:
        """Whether it is in no cache any more."""
        return self._is_flushed


def let_go(records: Iterable[CacheSpecificData | None]) -> None:
    """They are in a cache no more."""
    for record in records:
        if record is not None:
            record.set_flushed()
            record.dereference_cache_data()
