"""Which number a pool is known to the kernel by: pure.

A name gets the id its hash points at, or the next free one: the same on every start, also where the
record was lost, unless two names meet. What has been given stays given, so a pool that was away for
a while finds its files again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

__all__ = ["IdRange", "NoIdLeftError", "choose_id", "first_unmapped"]


class NoIdLeftError(OSError):
    """Every id of the range is somebody's."""


@dataclass(frozen=True, slots=True)
class IdRange:
    """Ids from `first` on, `count` of them, for users and groups alike."""

    first: int
    count: int


def first_unmapped(id_map: str, ids: Iterable[int]) -> int | None:
    """The first of these ids that a user namespace with this map has not (user_namespaces(7))."""
    lines = [[int(number) for number in line.split()] for line in id_map.splitlines()]
    held = [range(first, first + count) for first, _, count in lines]
    return next((number for number in ids if not any(number in part for part in held)), None)


def choose_id(
    name: str, home: str, ids: IdRange, given: Collection[int], is_taken: Callable[[int], bool]
) -> int:
    """The id of `name` in this home; raises NoIdLeftError.

    `given` are the ids of other names, `is_taken` says what the machine's own accounts hold.
    """
    digest = hashlib.sha256(f"{home}\0{name}".encode()).digest()
    start = int.from_bytes(digest[:8], "big") % ids.count
    for step in range(ids.count):
        number = ids.first + (start + step) % ids.count
        if number not in given and not is_taken(number):
            return number
    raise NoIdLeftError(f"all {ids.count} ids from {ids.first} on are taken")
