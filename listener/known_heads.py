"""KnownHeads: heads that come again, byte for byte, and are read only once.

Who keeps a connection asks for the same things again: programs that poll, probes, proxies, a page
that is reloaded. What scanner and engine make of a head depends on its bytes alone, and an engine
whose message ended with its head is as it was before: so it need not see the next one of the kind.
Nor need the worker find out again what follows from it (Request.head_number).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from was.known import keep
from was.listener.head import Head

__all__ = ["KnownHeads"]

# When there are more, all are forgotten: about 2 MiB at most.
MOST: Final = 256
MOST_BYTES: Final = 2048
# So many that came once are remembered, by a hash: one that never comes again is not kept.
MOST_SEEN: Final = 4096


class KnownHeads:
    """Nobody changes a Head that is known: it is many requests'."""

    __slots__ = ("_heads", "_last_number", "_seen", "get")

    def __init__(self, numbers_from: int) -> None:
        """Their numbers are larger than `numbers_from`, and no two have the same."""
        self._heads: dict[bytes, Head] = {}
        self._seen: set[int] = set()
        self._last_number = numbers_from
        self.get: Callable[[bytes], Head | None] = self._heads.get

    def learn(self, raw: bytes, head: Head) -> None:
        """A message that was complete with its head has come; the second such head is kept."""
        seen = self._seen
        key = hash(raw)
        if key not in seen:
            if len(seen) >= MOST_SEEN:
                seen.clear()
            seen.add(key)
        elif len(raw) <= MOST_BYTES and not head.upgrade and head.method != "CONNECT":
            self._last_number += 1
            head.number = self._last_number
            keep(self._heads, raw, head, MOST)
