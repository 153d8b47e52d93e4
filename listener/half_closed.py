"""Clients that have closed their half while they are answered: who reads on, and who has gone.

The end of what a client sends looks the same in both cases (RFC 9112, 9.6), and its socket is read
no more. So one that waits for long is sent octets that mean nothing: before the response an interim
100, in a body in chunks a leading zero of the next chunk's size. Who reads on passes over them; for
who has gone its system answers with a reset, which the state of the connection shows. HTTP/1.0 and
bodies with a length have no such octets: there the kernel asks, and hears the same about a minute
later.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from was.listener.arriving_body import CONTINUE
from was.listener.phases import BUSY
from was.listener.request import Progress

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.request import ClientRequest

__all__ = ["HalfClosed"]

# Who is answered sooner is asked nothing.
PATIENCE_S: Final = 1.0
# When the kernel asks, how often, and how many questions may remain unanswered.
KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
)
TCP_CLOSE: Final = 7  # the first byte of struct tcp_info is the state


class HalfClosed:
    """Those of one listener."""

    def __init__(self) -> None:
        self._waiting: dict[ClientConnection, tuple[ClientRequest, float]] = {}

    def add(self, connection: ClientConnection, request: ClientRequest, now: float) -> None:
        """It is to be answered, and will send nothing more."""
        self._waiting[connection] = request, now + PATIENCE_S
        sock = _socket_of(connection)
        for option in KEEPALIVE:
            sock.setsockopt(*option)

    def look(self, now: float) -> None:
        """Ask who has waited long; end who has gone."""
        for connection, (request, ask_at) in list(self._waiting.items()):
            if connection.request is not request or connection.phase != BUSY:
                del self._waiting[connection]
            elif _is_closed(_socket_of(connection)):
                del self._waiting[connection]
                connection.transport.abort()
            elif now >= ask_at:
                self._waiting[connection] = request, float("inf")
                _ask(connection, request)


def _ask(connection: ClientConnection, request: ClientRequest) -> None:
    if connection.is_paused:
        return  # what it was sent before asks the same
    stream = connection.stream
    if stream is not None:
        stream.ask_for_life()
    elif request.head.version == 11 and request.progress is not Progress.RESPONDING:
        connection.transport.write(CONTINUE)


def _is_closed(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE


def _socket_of(connection: ClientConnection) -> socket.socket:
    found: socket.socket = connection.transport.get_extra_info("socket")
    return found
