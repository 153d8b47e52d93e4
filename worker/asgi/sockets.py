"""OpenSockets: the WebSockets of a worker, and how they end when it is replaced.

A WebSocket does not end by itself, and would hold its old worker until shutdownTimeLimit kills it.
So at GL_STOP_LISTENING each gets 1012 (service restart) and its client connects again, to the
successor: one after the other, a hundred a second where time allows, because all at once would be a
crowd at its door; within the greater part of the limit in any case.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["OpenSockets"]

INTERVAL_S = 0.01
PART_OF_LIMIT = 0.8


class Socket(Protocol):
    """An open WebSocket."""

    def go_away(self) -> None:
        """Close with 1012."""
        ...


class OpenSockets:
    """Used on the loop's thread only."""

    def __init__(self) -> None:
        self._open: dict[Socket, None] = {}
        self._is_leaving = False

    def add(self, socket: Socket) -> None:
        """A handshake has succeeded."""
        self._open[socket] = None
        if self._is_leaving:
            asyncio.get_running_loop().call_soon(socket.go_away)

    def discard(self, socket: Socket) -> None:
        """It is over."""
        self._open.pop(socket, None)

    def leave(self, limit_s: float) -> None:
        """The worker takes no more requests; it has `limit_s` (0 = any time) to finish."""
        self._is_leaving = True
        count = len(self._open)
        interval_s = INTERVAL_S
        if limit_s > 0 and count:
            interval_s = min(interval_s, limit_s * PART_OF_LIMIT / count)
        loop = asyncio.get_running_loop()
        for number, socket in enumerate(self._open):
            loop.call_later(number * interval_s, socket.go_away)
