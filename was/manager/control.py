"""The manager's end of the control connections: who connected, and whole messages from it.

A connection is nobody's until its first message says who it is and the service has compared that
with the pid the kernel vouches for (SO_PEERCRED). Until then it may say nothing else.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from was.errors import IllFormedMessageError
from was.ipc.codec import ToManager, decode_to_manager, encode
from was.ipc.descriptors import ControlLink, ControlSocket
from was.ipc.door import Door

__all__ = ["ControlServer", "Peer"]

# How many connections of another user may be nobody's at once. A pool that opens more takes
# descriptors that the next worker of another one would need.
MAX_STRANGERS = 256

# The longest message of who is nobody yet, or a worker. Each may send many, and it costs it nothing
# to make one of them long.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


@dataclass(eq=False, slots=True)
class Peer:
    """One connected process. `kind` is "" until the service has recognised it."""

    pid: int
    uid: int
    kind: str = ""
    worker_id: int = 0
    link: ControlLink | None = field(default=None, repr=False)
    on_close: Callable[[], object] = field(default=lambda: None, repr=False)
    # Closes those connections of the process on which it never says anything.
    end_life_lines: Callable[[], object] = field(default=lambda: None, repr=False)

    def send(self, message: Any, descriptors: Sequence[int] = ()) -> None:  # noqa: ANN401 any of ours
        """Send a message; to one that has gone it is lost."""
        if self.link is not None:
            self.link.send(encode(message), descriptors)

    def trust(self) -> None:
        """It is our own listener: what it says may be long."""
        if self.link is not None:
            self.link.trust()

    def close(self) -> None:
        """Hang up."""
        if self.link is not None:
            self.link.close()
            self.link = None
        self.on_close()


class ControlServer:
    """Accepts on the control socket until it is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        on_message: Callable[[Peer, ToManager, list[int]], None],
        on_faulty: Callable[[Peer, str], None],
        on_gone: Callable[[Peer], None],
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._on_faulty = on_faulty
        self._on_gone = on_gone
        self._peers: set[Peer] = set()
        self._door = Door(loop, listening, self._come_in)

    def _come_in(self, end: ControlSocket) -> None:
        pid, uid, _gid = end.peer()
        if uid != os.geteuid() and self._strangers(uid) >= MAX_STRANGERS:
            end.close()
            return
        peer = Peer(pid, uid)
        peer.on_close = partial(self._peers.discard, peer)
        peer.end_life_lines = partial(self._end_life_lines, pid)

        def arrived(content: bytes, descriptors: list[int]) -> None:
            self._arrived(peer, content, descriptors)

        def gone() -> None:
            self._peers.discard(peer)
            self._on_gone(peer)

        peer.link = ControlLink(self._loop, end, arrived, gone, MAX_MESSAGE_BYTES)
        self._peers.add(peer)

    def _strangers(self, uid: int) -> int:
        return sum(1 for peer in self._peers if peer.uid == uid and not peer.kind)

    def _end_life_lines(self, pid: int) -> None:
        for peer in [peer for peer in self._peers if peer.pid == pid and not peer.kind]:
            peer.close()

    def _arrived(self, peer: Peer, content: bytes, descriptors: list[int]) -> None:
        try:
            message = decode_to_manager(content)
        except IllFormedMessageError as error:
            for fd in descriptors:
                os.close(fd)
            self._on_faulty(peer, str(error))
            return
        self._on_message(peer, message, descriptors)

    def close(self) -> None:
        """Stop accepting and hang up on everybody."""
        self._door.close()
        for peer in list(self._peers):
            peer.close()
