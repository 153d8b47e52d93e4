"""Which programs may add which URLs: reservations (`netsh http add urlacl`). Pure.

The longest reservation in the prefix's own bucket decides: it names users and groups. Without one
only administrators may: root, and whoever the server itself runs as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from was.config.urls import UrlPrefix, parse_prefix
from was.ipc.served import UrlReservation

__all__ = ["Reservations", "Who"]


@dataclass(frozen=True, slots=True)
class Who:
    """A program's user and groups, as the kernel says."""

    uid: int
    groups: frozenset[int]


class Reservations:
    """The reservations in force."""

    def __init__(
        self,
        reservations: Iterable[UrlReservation],
        uid_of: Callable[[str], int | None],
        gid_of: Callable[[str], int | None],
    ) -> None:
        """`uid_of` and `gid_of` find the number of a name, None if there is none."""
        self._uid_of = uid_of
        self._gid_of = gid_of
        # By place, longest path first.
        self._by_place: dict[tuple[object, ...], list[tuple[str, UrlReservation]]] = {}
        for reservation in reservations:
            prefix = parse_prefix(reservation.url)
            self._by_place.setdefault(_place(prefix), []).append((prefix.path, reservation))
        for listed in self._by_place.values():
            listed.sort(key=lambda entry: len(entry[0]), reverse=True)

    def may_listen(self, who: Who, prefix: UrlPrefix, administrators: frozenset[int]) -> bool:
        """Whether `who` may add this URL."""
        if who.uid in administrators:
            return True
        reservation = self._find(prefix)
        if reservation is None or not reservation.listen:
            return False
        if "*" in reservation.users:
            return True
        return any(_number(name, self._uid_of) == who.uid for name in reservation.users) or any(
            _number(name, self._gid_of) in who.groups for name in reservation.groups
        )

    def _find(self, prefix: UrlPrefix) -> UrlReservation | None:
        for path, reservation in self._by_place.get(_place(prefix), ()):
            if prefix.path.startswith(path):
                return reservation
        return None


def _place(prefix: UrlPrefix) -> tuple[object, ...]:
    return prefix.scheme, prefix.host, prefix.port, prefix.local_ip


def _number(name: str, number_of: Callable[[str], int | None]) -> int | None:
    return int(name) if name.isdecimal() else number_of(name)
