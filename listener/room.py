"""Room for clients: whom crowd.py names has to leave when they hold too many descriptors."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import TYPE_CHECKING

from was.listener.crowd import budget, crowded_port, who_leaves
from was.listener.endings import abort
from was.log import log

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.spool import SpoolMemory

__all__ = ["Room"]

# For so long after a look at all connections its finding stands: which port is the crowded one, and
# that no connection is idle there.
FULL_S = 0.25


class Room:
    """The connections of a listener, and how many descriptors they may hold."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spools: SpoolMemory) -> None:
        self.connections: set[ClientConnection] = set()
        self._loop = loop
        self._spools = spools
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_descriptors = budget(limit)
        # Where room cannot wait to be made: a third of what is kept for everything else is used.
        self._far_too_many = self._most_descriptors + (limit - self._most_descriptors) // 3
        self._crowded: Counter[int] = Counter()  # closed since that was last said, by port
        self._full_port = 0
        self._full_until = 0.0
        self._crowded_port = 0
        self._crowded_until = 0.0
        self._is_looking = False

    def join(self, connection: ClientConnection) -> None:
        """A client has come; others may have to leave."""
        self.connections.add(connection)
        if self._is_enough():
            return
        port = connection.peer[3]
        if port == self._full_port and self._loop.time() < self._full_until:
            self._dismiss([connection])
        elif self._make() == [connection]:
            # A look at all connections takes its time; this one has found none idle.
            self._full_port, self._full_until = port, self._loop.time() + FULL_S

    def look(self) -> None:
        """Somebody has come to hold more, or time has passed: make room if there is none."""
        if not self._is_enough() and not self._is_looking:
            self._is_looking = True
            self._loop.call_soon(self._make)

    def may_hold_more(self, connection: ClientConnection) -> bool:
        """Whether a client may be sent a file now.

        One turn of the loop can bring more of them than are left until room is made at its end:
        then those of the crowded port get none, so that everybody else does.
        """
        if len(self.connections) + self._spools.held_descriptors < self._far_too_many:
            return True
        if self._loop.time() >= self._crowded_until:
            self._crowded_port = crowded_port(self.connections)
            self._crowded_until = self._loop.time() + FULL_S
        return connection.peer[3] != self._crowded_port

    def tell(self) -> None:
        """Log who had to leave since the last time."""
        for port, closed in self._crowded.items():
            log("connections_crowded", port=port, closed=closed)
        self._crowded.clear()

    def _is_enough(self) -> bool:
        return len(self.connections) + self._spools.held_descriptors <= self._most_descriptors

    def _make(self) -> list[ClientConnection]:
        self._is_looking = False
        leaving = who_leaves(self.connections, self._most_descriptors)
        self._dismiss(leaving)
        return leaving

    def _dismiss(self, leaving: list[ClientConnection]) -> None:
        for guest in leaving:
            self._crowded[guest.peer[3]] += 1
            self.connections.discard(guest)
            abort(guest, "Connections_Refused")
