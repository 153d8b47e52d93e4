"""ObjectCache: what UriCacheModule, FileCacheModule and TokenCacheModule keep their entries in.

Bounded; what nobody has asked for during two rounds of ROUND_S goes. The rounds are looked at when
the cache is used: a cache that nobody uses holds what it holds.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from was.worker.caches.data import let_go
from was.worker.caches.keys import CacheOperation
from was.worker.notifications import GL_CONTINUE, GL_HANDLED, GlobalNotificationStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from was.worker.caches.data import CacheSpecificData
    from was.worker.caches.keys import CacheKey
    from was.worker.global_modules.providers import CacheProvider

__all__ = ["ROUND_S", "ObjectCache"]

ROUND_S = 30.0


class ObjectCache:
    """The entries of one cache name. Any thread."""

    def __init__(self, name: str, most: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._most = most
        self._now = now
        self._lock = threading.Lock()
        self._entries: dict[CacheKey, CacheSpecificData] = {}
        self._round_at = now() + ROUND_S

    def __len__(self) -> int:
        return len(self._entries)

    def operate(self, provider: CacheProvider) -> GlobalNotificationStatus:
        """GL_CACHE_OPERATION: ours is handled, whatever comes of it.

        A record that is found is handed out with a reference that its receiver gives back.
        """
        key = provider.cache_key
        if key.cache_name != self._name:
            return GL_CONTINUE
        match provider.cache_operation:
            case CacheOperation.RETRIEVE:
                provider.set_cache_record(self._retrieve(key))
            case CacheOperation.ADD:
                if provider.cache_record is not None:
                    self._add(key, provider.cache_record)
            case CacheOperation.DELETE:
                self.drop(key)
            case CacheOperation.FLUSH_PREFIX:
                self.drop_below(key)
            case CacheOperation.ENUM:
                for record in list(self._entries.values()):
                    key.enum(record)
        return GL_HANDLED

    def _retrieve(self, key: CacheKey) -> CacheSpecificData | None:
        if self._now() >= self._round_at:
            self._go_round()
        record = self._entries.get(key)
        if record is None or not record.reference_cache_data():
            return None
        record.reset_ttl()
        return record

    def _add(self, key: CacheKey, record: CacheSpecificData) -> None:
        """Replaces what is there; the oldest goes when there are too many."""
        if not record.reference_cache_data():
            return
        with self._lock:
            out = [self._entries.pop(key, None)]
            self._entries[key] = record
            if len(self._entries) > self._most:
                out.append(self._entries.pop(next(iter(self._entries))))
        let_go(out)

    def drop(self, key: CacheKey) -> None:
        """Hold this entry no longer."""
        self._drop([key])

    def drop_below(self, key: CacheKey) -> None:
        """Hold nothing any more that this key is a prefix of."""
        self._drop([known for known in list(self._entries) if key.get_is_prefix(known)])

    def _drop(self, keys: list[CacheKey]) -> None:
        with self._lock:
            out = [self._entries.pop(key, None) for key in keys]
        let_go(out)

    def _go_round(self) -> None:
        with self._lock:
            if self._now() < self._round_at:
                return
            self._round_at = self._now() + ROUND_S
            expired = [key for key, record in self._entries.items() if record.decrement_ttl()]
            out = [self._entries.pop(key) for key in expired]
        let_go(out)

    def flush(self) -> None:
        """GL_CACHE_CLEANUP: hold nothing any more."""
        with self._lock:
            entries, self._entries = self._entries, {}
        let_go(entries.values())
