"""Listening: the sockets on which clients are accepted; the manager makes and keeps them too."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine

from was.ipc.served import ListeningSocket
from was.listener.health import HEALTH

__all__ = ["Listening", "when_last_are_read"]

BACKLOG = 4096
# Accepting goes on this long before a socket is closed, so that no connection that waits in the
# kernel's queue is reset. And for some turns more: a process that has stood still meanwhile sees
# that the time is over before it sees them, and uvloop takes one a turn.
LAST_ACCEPT_S = 0.05
LAST_TURNS = 1000

# What a client of a binding of such a scheme becomes.
ClientFactory = Callable[[str], Callable[[], asyncio.Protocol]]


def when_last_are_read(loop: asyncio.AbstractEventLoop, then: Callable[[], object]) -> None:
    """Call `then` when whoever waits in the kernel's queue has been accepted, and read."""
    loop.call_later(LAST_ACCEPT_S, _after_turns, loop, LAST_TURNS, then)


def _after_turns(loop: asyncio.AbstractEventLoop, turns: int, then: Callable[[], object]) -> None:
    if turns:
        loop.call_soon(_after_turns, loop, turns - 1, then)
    else:
        then()


class Listening:
    """Every socket of this listener that accepts."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client_factory: ClientFactory) -> None:
        self._loop = loop
        self._client_factory = client_factory
        self._servers: dict[tuple[str, int, str], asyncio.Server] = {}
        self._incoming: list[tuple[ListeningSocket, int]] = []
        self.is_short = False  # some of those have come without their descriptors
        self._changing = asyncio.Lock()
        self._is_over = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._servers)

    def collect(self, sockets: list[ListeningSocket], descriptors: list[int]) -> None:
        """Some of those that `accept` is to accept on; it takes several messages to name many."""
        self._incoming += zip(sockets, descriptors, strict=False)
        self.is_short = self.is_short or len(sockets) != len(descriptors)

    def forget_collected(self) -> None:
        """They are not all there: others will be collected."""
        for _, fd in self._incoming:
            os.close(fd)
        self._incoming, self.is_short = [], False

    def accept(self) -> Coroutine[None, None, None]:
        """Accept on exactly the sockets that were collected; those already open stay as they are.

        Which ones is settled by the call, not when the coroutine gets its turn. Safe to call again
        before the last call has ended: one follows the other.
        """
        incoming, self._incoming = self._incoming, []
        return self._accept(incoming)

    async def _accept(self, incoming: list[tuple[ListeningSocket, int]]) -> None:
        async with self._changing:
            wanted: set[tuple[str, int, str]] = set()
            for item, fd in incoming:
                key = (item.ip, item.port, item.scheme)
                wanted.add(key)
                if key in self._servers or self._is_over:
                    os.close(fd)
                    continue
                sock = socket.socket(fileno=fd)
                sock.setblocking(False)
                self._servers[key] = await self._loop.create_server(
                    self._client_factory(item.scheme), sock=sock, backlog=BACKLOG
                )
            leaving = [key for key in self._servers if key not in wanted]
            if leaving:
                are_read = asyncio.Event()
                when_last_are_read(self._loop, are_read.set)
                await are_read.wait()
            self._close(leaving)
            if self._is_over:
                self._close(list(self._servers))

    def stop(self) -> None:
        """Accept no more, whatever was to be accepted on next."""
        self._is_over = True
        self._close(list(self._servers))

    def _close(self, keys: list[tuple[str, int, str]]) -> None:
        for key in keys:
            server = self._servers.pop(key, None)
            if server is not None:  # else `stop` was quicker
                server.close()

    def is_on(self, port: int) -> bool:
        """Whether sites' clients are accepted on a port, at whatever address."""
        return any(at == port and scheme != HEALTH for _, at, scheme in self._servers)

    def held(self) -> list[tuple[ListeningSocket, int]]:
        """All of them with their descriptors, which stay ours."""
        return [
            (ListeningSocket(*key), server.sockets[0].fileno())
            for key, server in self._servers.items()
        ]
