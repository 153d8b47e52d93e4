"""Who has to leave when there are too many connections: pure.

Descriptors are the one thing that all sites share. Without a bound whoever opens enough connections
to one site, or takes files from it slowly, keeps the clients of all others out. So a part of the
descriptors is kept for everything else, and beyond it room is made where the crowd is: on the port
whose clients hold the most of them, by those that no request runs on, the oldest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

__all__ = ["Guest", "budget", "crowded_port", "who_leaves"]

# Three quarters of the descriptors are for clients; workers, spools and logs need some too.
_SHARE = 0.75
# Made at once, so that looking at all connections is rare.
_ROOM = 1 / 32
# A connection, its request's body, its response: a file, a spool, and a way to wait. Who holds
# this many holds files by the dozen.
_MANY = 8


class Guest(Protocol):
    """A connection, as far as it matters here."""

    id: int
    peer: tuple[str, int, str, int]

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is with a pool."""
        ...

    @property
    def descriptors(self) -> int:
        """How many it has open, itself and for what it is sent."""
        ...


G = TypeVar("G", bound=Guest)


def budget(descriptors: int) -> int:
    """How many descriptors clients may have."""
    return max(1, int(descriptors * _SHARE))


def crowded_port(guests: Iterable[Guest]) -> int:
    """The port whose clients hold the most descriptors; 0 where there is nobody."""
    held = _held(guests)
    return held.most_common(1)[0][0] if held else 0


def who_leaves(guests: Collection[G], most: int) -> list[G]:
    """Those to close, [] when there is room; where all are busy the ones that came last.

    Of those that are busy one that holds very many descriptors goes before all others.
    """
    held = _held(guests)
    too_many = held.total() - most
    if too_many <= 0:
        return []
    crowded = held.most_common(1)[0][0]
    there = sorted((g for g in guests if g.peer[3] == crowded), key=lambda guest: guest.id)
    waiting = [guest for guest in there if guest.is_waiting]
    if waiting:
        return _as_many_as(waiting, too_many + int(most * _ROOM))
    there.sort(key=lambda guest: (guest.descriptors // _MANY, guest.id), reverse=True)
    return _as_many_as(there, too_many)


def _held(guests: Iterable[Guest]) -> Counter[int]:
    """Descriptors by port."""
    held: Counter[int] = Counter()
    for guest in guests:
        held[guest.peer[3]] += guest.descriptors
    return held


def _as_many_as(guests: list[G], descriptors: int) -> list[G]:
    """The first of them, until they hold so many."""
    for number, guest in enumerate(guests, 1):
        descriptors -= guest.descriptors
        if descriptors <= 0:
            return guests[:number]
    return guests
