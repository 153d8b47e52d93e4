"""The h11 engine: the reference, in Python, for where httptools is not installed.

h11 keeps a connection's state for both sides; only its reading side is used, so a fresh object
serves each message and nothing has to be said about responses. It holds no byte of the next
message: it gets what `BodyEnd` says belongs to this one.
"""

from __future__ import annotations

import h11

from was.errors import RemoteProtocolError
from was.listener.engines.body_end import BodyEnd, disagreement
from was.listener.engines.framing_heads import framing_head
from was.listener.head import Head, Limits

__all__ = ["H11Engine"]


class H11Engine:
    """See the module and `Engine`."""

    __slots__ = ("_connection", "_end", "_limits")

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._end = BodyEnd(self._limits)
        self._connection: h11.Connection | None = None

    def begin(self, head_bytes: bytes, head: Head) -> bool:
        """Take a scanned head; True when the message is complete with it."""
        # The bound is not h11's to keep: heads, chunk lines and trailers have been measured.
        room = 2 * max(self._limits.max_request_bytes, len(head_bytes)) + 8192
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=room)
        event = self._next(head_bytes if head.is_plain else framing_head(head))
        if not isinstance(event, h11.Request):
            raise disagreement()
        is_complete = self._end.begin(head)
        if is_complete and not isinstance(self._next(None), h11.EndOfMessage):
            raise disagreement()
        return is_complete

    def feed(self, data: bytes) -> tuple[list[bytes], bool, bytes]:
        """Take bytes of the body of the message begun last, until it is complete."""
        taken = self._end.advance(data)
        if not taken:
            return [], self._end.is_complete, data
        pieces: list[bytes] = []
        event = self._next(data[:taken])
        while isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
            event = self._next(None)
        if isinstance(event, h11.EndOfMessage) is not self._end.is_complete:
            raise disagreement()
        return pieces, self._end.is_complete, data[taken:]

    def _next(self, data: bytes | None) -> object:
        connection = self._connection
        if connection is None:
            raise RuntimeError("feed() before begin()")
        try:
            if data is not None:
                connection.receive_data(data)
            return connection.next_event()
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(f"h11: {error}") from None
