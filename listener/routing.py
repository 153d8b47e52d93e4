"""Which application a request belongs to (stub: signatures first)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from was.listener.urls import UrlPrefix

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class RouteMiss:
    """Why a request has no application: the answer and its HTTPERR reason."""

    status: int
    reason: str


HOST_UNKNOWN = RouteMiss(400, "Hostname")
PATH_UNKNOWN = RouteMiss(404, "NotFound")


class RoutingTable(Generic[C]):
    """Immutable; built whole, swapped whole."""

    def __init__(self, entries: Iterable[tuple[UrlPrefix, C]]) -> None:
        raise NotImplementedError

    def lookup(
        self, scheme: str, host: str, port: int, local_ip: str, path: str
    ) -> C | RouteMiss:
        """The context of the longest matching prefix, or a RouteMiss value (never raised)."""
        raise NotImplementedError
