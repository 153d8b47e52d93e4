"""Who has to leave when there are too many connections: pure.

Descriptors are the one thing that all sites share. Without a bound whoever opens enough connections
to one site keeps the clients of all others out. So a part of the descriptors is kept for everything
else, and beyond it room is made where the crowd is: on the port with the most connections, by those
that no request runs on, the oldest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Protocol, TypeVar

__all__ = ["Guest", "budget", "who_leaves"]

# Three quarters of the descriptors are for clients; workers, spools and logs need some too.
_SHARE = 0.75
# Made at once, so that looking at all connections is rare.
_ROOM = 1 / 32


class Guest(Protocol):
    """A connection, as far as it matters here."""

    id: int
    peer: tuple[str, int, str, int]

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is with a pool."""
        ...


G = TypeVar("G", bound=Guest)


def budget(descriptors: int) -> int:
    """How many connections clients may have."""
    return max(1, int(descriptors * _SHARE))


def who_leaves(guests: Collection[G], most: int) -> list[G]:
    """Those to close, [] when there is room; where all are busy the one that came last."""
    if len(guests) <= most:
        return []
    ports = Counter(guest.peer[3] for guest in guests)
    crowded = ports.most_common(1)[0][0]
    there = sorted((g for g in guests if g.peer[3] == crowded), key=lambda guest: guest.id)
    waiting = [guest for guest in there if guest.is_waiting]
    if not waiting:
        return there[-1:]
    return waiting[: len(guests) - most + int(most * _ROOM)]
