"""Upgraded: a connection that has left HTTP, after the worker's 101 (RFC 9110, 7.8).

The bytes are opaque here. What the worker sends goes through the ResponseStream like a body that
ends with the connection; what the client sends is kept here, at most READ_AHEAD of it, until the
worker has asked for it (BodyPull), so neither side can make the listener hold much for the other.
The end of what the client sends is told as the last BodyChunk; a reset as for any request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from was.errors import LocalProtocolError
from was.ipc.messages import CHUNK_BYTES, BodyChunk, Response
from was.listener.headers import check_block

if TYPE_CHECKING:
    from was.listener.request import ClientRequest

__all__ = ["READ_AHEAD", "Upgraded", "upgrade_head"]

READ_AHEAD: Final = 64 * 1024


def upgrade_head(
    request: ClientRequest, item: Response, standing: dict[tuple[bool, bool], bytes]
) -> bytes:
    """The bytes of a 101. Raises LocalProtocolError where the client has not asked for one."""
    head = request.head
    if not item.more or not head.upgrade or not request.is_body_complete:
        raise LocalProtocolError("101 for a request that asks for no upgrade")
    flags = check_block(item.block)
    return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n%b%b\r\n" % (
        _agreed(head.upgrade).encode("latin-1"),
        item.block,
        standing[flags],
    )


def _agreed(wanted: str) -> str:
    """Of the protocols that the client names WebSocket, which a worker speaks, or its favourite."""
    names = [name.strip() for name in wanted.split(",")]
    return next((name for name in names if name.lower() == "websocket"), names[0])


class Upgraded:
    """What has come from the client and was not asked for yet."""

    __slots__ = ("_granted", "_has_ended", "_is_end_told", "_request", "_waiting")

    def __init__(self, request: ClientRequest, data: bytes) -> None:
        """`data` is what the client sent after its head."""
        self._request = request
        self._waiting = bytearray(data)
        self._granted = 0
        self._has_ended = False
        self._is_end_told = False

    def arrived(self, data: bytes) -> None:
        """Bytes from the client."""
        size = len(data)
        request = self._request
        worker = request.worker
        is_owed = self._waiting or size > self._granted or size > CHUNK_BYTES
        if is_owed or worker is None or worker.is_blocked:
            self._waiting += data
            self._send()
            return
        # As nearly always: they are asked for already.
        self._granted -= size
        chunk = BodyChunk(request.id, request.attempt, bytes(data), False)
        request.pool.outbox.post(worker, chunk, size + 64)

    def ended(self) -> None:
        """The client sends no more."""
        self._has_ended = True
        self._send()

    def pulled(self, count: int) -> None:
        """The worker takes so many more."""
        self._granted = min(self._granted + count, 64 * CHUNK_BYTES)
        self._send()

    @property
    def is_full(self) -> bool:
        """Whether the client is to wait."""
        return len(self._waiting) >= READ_AHEAD

    def _send(self) -> None:
        request = self._request
        worker = request.worker
        if worker is None or worker.is_blocked or self._is_end_told:
            return  # who asks and does not read is owed it: see pulled_bodies
        post = request.pool.outbox.post
        while self._waiting and self._granted > 0:
            size = min(self._granted, CHUNK_BYTES)
            data = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._granted -= len(data)
            post(worker, BodyChunk(request.id, request.attempt, data, False), len(data) + 64)
        if self._has_ended and not self._waiting:
            self._is_end_told = True
            post(worker, BodyChunk(request.id, request.attempt, b"", True))
