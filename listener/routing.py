"""Which application a request belongs to: the longest prefix of the first bucket that matches.

HTTP.SYS searches bucket by bucket (strong wildcard, host, address, weak wildcard), in each for the
longest path, segment by segment and without regard to case; the first bucket with a match ends the
search. Inside the host bucket a name bound to an address comes before the bare name, an exact name
before `*.domain`, and a longer domain before a shorter one. Hence for one (scheme, host, port,
address) the search is a walk down one list; the lists of the places asked for lately are kept.

A table never changes: the listener builds a new one and swaps it in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from was.config.urls import Bucket, UrlPrefix, canonical_ip, fold_path
from was.known import keep

__all__ = ["HOST_UNKNOWN", "PATH_UNKNOWN", "RouteMiss", "RoutingTable"]

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class RouteMiss:
    """Why a request has no application: the answer and its HTTPERR reason."""

    status: int
    reason: str


HOST_UNKNOWN = RouteMiss(400, "Hostname")
PATH_UNKNOWN = RouteMiss(404, "NotFound")


# (scheme, host or wildcard, port, bound address) -> where to look, and what for.
_Place = tuple[str, str, int, str]
_CACHE_LIMIT = 4096


class RoutingTable(Generic[C]):
    """Immutable; built whole, swapped whole."""

    __slots__ = ("_cache", "_has_domains", "_places")

    def __init__(self, entries: Iterable[tuple[UrlPrefix, C]]) -> None:
        """Raises ValueError when two entries have one prefix."""
        places: dict[_Place, dict[str, C]] = {}
        for prefix, context in entries:
            paths = places.setdefault(_place_of(prefix), {})
            if prefix.path in paths:
                raise ValueError(f"{prefix} is registered twice")
            paths[prefix.path] = context
        # Longest first, so that the first that matches is the one.
        self._places: dict[_Place, list[tuple[str, C]]] = {
            place: sorted(paths.items(), key=lambda item: len(item[0]), reverse=True)
            for place, paths in places.items()
        }
        self._has_domains = any(host.startswith("*.") for _, host, _, _ in places)
        self._cache: dict[_Place, list[tuple[str, C]]] = {}

    def changed(
        self, removed: Iterable[UrlPrefix], added: Iterable[tuple[UrlPrefix, C]]
    ) -> RoutingTable[C]:
        """The table without some prefixes and with others. ValueError when one is there already."""
        table: RoutingTable[C] = RoutingTable([])
        places = table._places
        places.update(self._places)
        for prefix in removed:
            place = _place_of(prefix)
            left = [entry for entry in places.get(place, ()) if entry[0] != prefix.path]
            if left:
                places[place] = left
            else:
                places.pop(place, None)
        for prefix, context in added:
            place = _place_of(prefix)
            paths = places.get(place, [])
            if any(path == prefix.path for path, _ in paths):
                raise ValueError(f"{prefix} is registered twice")
            paths = [*paths, (prefix.path, context)]
            places[place] = sorted(paths, key=lambda item: len(item[0]), reverse=True)
        table._has_domains = any(host.startswith("*.") for _, host, _, _ in places)
        return table

    def lookup(self, scheme: str, host: str, port: int, local_ip: str, path: str) -> C | RouteMiss:
        """The context of the matching prefix, or a RouteMiss (a value, never raised).

        `host` is lower-case without port, `path` canonical: as in a Head.
        """
        key = (scheme, host, port, local_ip)
        candidates = self._cache.get(key)
        if candidates is None:
            candidates = self._candidates(scheme, host, port, local_ip)
            keep(self._cache, key, candidates, _CACHE_LIMIT)
        if not candidates:
            return HOST_UNKNOWN
        folded = ""
        for prefix, context in candidates:
            if prefix == "/":
                return context
            if not folded:
                # With a slash at its end the path "/app" lies under the prefix "/app/" too.
                folded = fold_path(path)
            if folded.startswith(prefix):
                return context
        return PATH_UNKNOWN

    def _candidates(self, scheme: str, host: str, port: int, local_ip: str) -> list[tuple[str, C]]:
        found: list[tuple[str, C]] = []
        address = canonical_ip(local_ip)
        for name, bound in self._places_for(host, address):
            found += self._places.get((scheme, name, port, bound), ())
        return found

    def _places_for(self, host: str, address: str) -> Iterator[tuple[str, str]]:
        """(host form, bound address) in the order of the search."""
        yield "+", ""
        if host:
            for name in (host, *(self._domains_of(host) if self._has_domains else ())):
                if address:
                    yield name, address
                yield name, ""
        if address:
            yield "", address
        yield "*", ""

    @staticmethod
    def _domains_of(host: str) -> Iterator[str]:
        rest = host.partition(".")[2]
        while rest:
            yield f"*.{rest}"
            rest = rest.partition(".")[2]


def _place_of(prefix: UrlPrefix) -> _Place:
    if prefix.bucket is Bucket.IP_BOUND:
        # Any host that arrives there; a Host field that names the address has no bucket of its own.
        return prefix.scheme, "", prefix.port, prefix.host
    return prefix.scheme, prefix.host, prefix.port, prefix.local_ip
