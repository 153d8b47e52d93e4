"""HalfMessages: connections to the pools' queues on which a message begins and never ends.

A ZeroMQ message may have any number of frames, and all of them are kept until the last has come:
MAXMSGSIZE bounds one frame, the high-water mark whole messages, and nothing both. So a worker, or
whatever its application runs, could fill the listener's memory within seconds by frames that are
always to be followed by another. What a connection has kept here ZeroMQ does not tell.

So the memory is watched. Once there is more of it than clients account for, the connections are
looked at with every tick: one on which bytes keep arriving, look after look, while no whole message
comes of them is cut, and ZeroMQ lets go of all it kept for it. A whole message is at most a few MiB
from a process of this machine: it is never on its way for that long. A worker that loses its
connection so is replaced, as any is that loses it.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from was.ipc.channel import RouterChannel
from was.log import log

if TYPE_CHECKING:
    from was.listener.service import ListenerService

__all__ = ["HalfMessages"]

# What the listener may use, and what it may for each client, before connections are looked at.
CALM_BYTES = 256 * 1024 * 1024
CLIENT_BYTES = 64 * 1024
# At so many looks bytes were arriving, and no whole message came from the first to the last.
LOOKS = 5
# Looks after a cut until the memory that ZeroMQ has let go of is given back to the machine.
SETTLED = 10
# Who does it again and again is named now and then.
SAY_AGAIN_S = 60.0

_PAGE = os.sysconf("SC_PAGE_SIZE")


class HalfMessages:
    """The watch over all queues of this listener."""

    def __init__(self, service: ListenerService) -> None:
        self._service = service
        self._seen: dict[tuple[RouterChannel, int], int] = {}
        self._is_looking = False
        self._trim_in = 0
        self._said_at: dict[str, float] = {}  # by pool

    def look(self) -> None:
        """With every tick."""
        if self._trim_in:
            self._trim_in -= 1
            if not self._trim_in:
                _trim()
        service = self._service
        clients = service.spool_memory.held_bytes + CLIENT_BYTES * len(service.connections)
        try:
            resident = _resident_bytes()
        except OSError:
            return  # no descriptor is left: the next look is soon
        if resident > CALM_BYTES + clients:
            self._is_looking = True
            for pool in service.pools.values():
                if isinstance(pool.router, RouterChannel):
                    self._look_at(pool.router, pool.settings.name)
        elif self._is_looking:
            self._is_looking = False
            self._seen.clear()
            for channel in service.channels:
                channel.heard = None

    def _look_at(self, channel: RouterChannel, pool: str) -> None:
        channel.read_disconnects()
        heard, channel.heard = channel.heard, set()
        if heard is None:
            return  # who was heard since the last look is not known yet
        for connection in list(channel.connections):
            key = channel, connection
            if connection in heard:
                self._seen.pop(key, None)
            elif channel.is_arriving(connection):
                self._seen[key] = looks = self._seen.get(key, 0) + 1
                if looks >= LOOKS:
                    del self._seen[key]
                    self._cut(channel, connection, pool)

    def _cut(self, channel: RouterChannel, connection: int, pool: str) -> None:
        pid = channel.cut(connection)
        if pid:
            self._service.records.count("half_messages")
            self._trim_in = SETTLED
            now = self._service.time()
            if now - self._said_at.get(pool, -SAY_AGAIN_S) >= SAY_AGAIN_S:
                self._said_at[pool] = now
                log("message_without_end", app_pool=pool, pid=pid)


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * _PAGE


def _trim() -> None:
    """Give free memory back: that of many small frames else stays the process's for ever."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
