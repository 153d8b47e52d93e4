"""The door of a control socket: whoever knocks there is let in on an event loop.

Where that cannot be done, for want of a descriptor, they wait: whoever is in may leave meanwhile,
and a loop that was woken by who still stands there would do nothing else.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from was.ipc.descriptors import ControlSocket

__all__ = ["Door"]

# So many are let in in a turn of the loop: others knock on, perhaps faster than that can be done.
LET_IN_A_TURN = 64
# How long who cannot be let in waits.
AGAIN_S = 0.1


class Door:
    """Accepts on a listening socket until it is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        let_in: Callable[[ControlSocket], None],
    ) -> None:
        """Takes over the socket; `let_in` is given each connection, and has it from then on."""
        self._loop = loop
        self._listening = listening
        self._let_in = let_in
        self._timer: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._watch()

    def _watch(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listening.fileno(), self._knocked)

    def _knocked(self) -> None:
        for _ in range(LET_IN_A_TURN):
            try:
                sock, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError:
                self._loop.remove_reader(self._listening.fileno())
                self._timer = self._loop.call_later(AGAIN_S, self._watch)
                return
            self._let_in(ControlSocket(sock))

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
