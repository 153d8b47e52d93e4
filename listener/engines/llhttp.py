"""The llhttp engine (httptools): C speed, one parser for all messages of a connection.

llhttp reads on past the end of a message and would parse a next head that the scanner has not
seen, so it gets the bytes up to the end that `BodyEnd` found and no more. If it begins or ends a
message elsewhere all the same, two readers disagree and the connection is over.
"""

from __future__ import annotations

import httptools

from was.errors import RemoteProtocolError
from was.listener.engines.body_end import BodyEnd, disagreement
from was.listener.engines.framing_heads import framing_head
from was.listener.head import Head, Limits

__all__ = ["LlhttpEngine"]


class _Events:
    """What the parser calls back. Only the callbacks that are defined cost anything."""

    __slots__ = ("completed", "pieces")

    def __init__(self) -> None:
        self.completed = 0
        self.pieces: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.completed += 1


class LlhttpEngine:
    """See the module and `Engine`."""

    __slots__ = ("_completed_before", "_end", "_events", "_feed")

    def __init__(self, limits: Limits | None = None) -> None:
        self._end = BodyEnd(limits or Limits())
        self._events = _Events()
        self._feed = httptools.HttpRequestParser(self._events).feed_data
        self._completed_before = 0  # messages that ended before the present one

    def begin(self, head_bytes: bytes, head: Head) -> bool:
        """Take a scanned head; True when the message is complete with it."""
        events = self._events
        self._completed_before = before = events.completed
        try:
            self._feed(head_bytes if head.is_plain else framing_head(head))
        except httptools.HttpParserError as error:
            raise _refusal(error) from None
        if head.content_length <= 0 and not head.chunked:
            if events.completed != before + 1:
                raise disagreement()
            return True
        if events.completed != before:
            raise disagreement()
        return self._end.begin(head)

    def feed(self, data: bytes) -> tuple[list[bytes], bool, bytes]:
        """Take bytes of the body of the message begun last, until it is complete."""
        end = self._end
        taken = end.advance(data)
        rest = data[taken:]
        events = self._events
        try:
            self._feed(data[:taken])
        except httptools.HttpParserError as error:
            raise _refusal(error) from None
        if events.completed - self._completed_before != end.is_complete:
            raise disagreement()
        pieces = events.pieces
        events.pieces = []
        return pieces, end.is_complete, rest


def _refusal(error: Exception) -> RemoteProtocolError:
    return RemoteProtocolError(f"llhttp: {error}")
