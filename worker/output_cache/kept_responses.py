"""OutputCache: whole responses in a worker's memory, bounded, by URL and what they vary by.

Of one URL there may be many variants; what they vary by is said by the last response that was kept
and holds for all. What has not been asked for longest goes first when there is too much.
Pure but for its lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

__all__ = ["CachedResponse", "OutputCache", "VaryBy"]

# What an entry costs beside its bytes, roughly.
_ENTRY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class VaryBy:
    """Request fields in lower case and names of query parameters ("*": the whole query)."""

    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response as the handler left it; `stamp` is the file's that it is valid for."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    block: bytes
    body: bytes
    expires: float  # by the clock of whoever stores it
    file: str = ""
    stamp: tuple[int, int, int] | None = None

    @property
    def cost(self) -> int:
        """Bytes of memory that it takes, about."""
        return len(self.body) + 3 * len(self.block) + _ENTRY_BYTES


class OutputCache:
    """Cached responses of a worker; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[Hashable, Hashable], CachedResponse] = OrderedDict()
        # For each URL its rule and the variants there are of it.
        self._rules: dict[Hashable, tuple[VaryBy, set[Hashable]]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used_bytes(self) -> int:
        """What all entries cost."""
        return self._bytes

    def rule(self, key: Hashable) -> VaryBy | None:
        """What responses of a URL vary by, None if there is none of it."""
        found = self._rules.get(key)
        return None if found is None else found[0]

    def find(self, key: Hashable, variant: Hashable) -> CachedResponse | None:
        """The response of one variant; it counts as used."""
        whole = (key, variant)
        with self._lock:
            entry = self._entries.get(whole)
            if entry is not None:
                self._entries.move_to_end(whole)
        return entry

    def keep(
        self,
        key: Hashable,
        rule: VaryBy,
        variant: Hashable,
        response: CachedResponse,
        limit_bytes: int,
    ) -> None:
        """Keep a response in place of what there was; nothing if it alone is beyond the limit."""
        with self._lock:
            before = self._rules.get(key)
            if before is not None and before[0] != rule:
                self._drop_all(key)
            self._drop((key, variant))
            if response.cost > limit_bytes:
                return
            self._entries[(key, variant)] = response
            self._rules.setdefault(key, (rule, set()))[1].add(variant)
            self._bytes += response.cost
            while self._bytes > limit_bytes:
                self._drop(next(iter(self._entries)))

    def drop(self, key: Hashable, variant: Hashable) -> None:
        """A response is not valid any more."""
        with self._lock:
            self._drop((key, variant))

    def drop_all(self, key: Hashable) -> None:
        """No response of a URL is valid any more."""
        with self._lock:
            self._drop_all(key)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._entries.clear()
            self._rules.clear()
            self._bytes = 0

    def _drop_all(self, key: Hashable) -> None:
        if key in self._rules:
            for variant in tuple(self._rules[key][1]):
                self._drop((key, variant))

    def _drop(self, whole: tuple[Hashable, Hashable]) -> None:
        entry = self._entries.pop(whole, None)
        if entry is None:
            return
        self._bytes -= entry.cost
        key, variant = whole
        _, variants = self._rules[key]
        variants.discard(variant)
        if not variants:
            del self._rules[key]
