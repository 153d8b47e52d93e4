"""Where a message's body ends: the one thing both engines must agree on. Pure.

An engine that is given more than its message reads on into the next one, unscanned (llhttp), or
keeps it in a buffer of its own (h11). So this file finds the end first, by length or by walking
over the chunks without touching their data, and the engine gets the message's bytes and no more.
Its grammar is RFC 9112 7.1 without the leniencies: no blanks around a chunk size, CR LF only, sizes
of at most 15 digits. Chunk lines are bounded, trailers together like a head; their fields obey the
rules of the head and are dropped, but for those that would frame a message: they are refused.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from was.config.http_text import TOKEN_CHARACTER
from was.errors import RemoteProtocolError
from was.listener.head import Head, Limits

__all__ = ["BodyEnd", "disagreement"]

_TOKEN = TOKEN_CHARACTER.encode()
_NEXT_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,15}+)\r\n")
# The groups are not possessive: before Python 3.11.5 one that fails half-way keeps what it took
# (gh-106052). Nothing is tried twice all the same: each part begins with a character of its own.
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15}+)"
    rb"(?:;" + _TOKEN + rb"++(?:=(?:" + _TOKEN + rb"++|"
    rb"\"(?:[\t !#-\[\]-~]|\\[\t -~])*\"))?)*\r\n"
)
# RFC 9110 6.5.1: none of these may be a trailer, and llhttp acts on each as in a head.
_FRAMING_TRAILER = re.compile(
    rb"(?:connection|content-length|proxy-connection|transfer-encoding|upgrade):", re.IGNORECASE
)
_TRAILER_LINE = re.compile(_TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n")
_CHUNK_LINE_BYTES = 4096


class _At(Enum):
    """What the next control line is."""

    CHUNK = auto()
    AFTER_DATA = auto()
    TRAILER = auto()


class BodyEnd:
    """`advance` says how many bytes belong to the message begun last; then see `is_complete`."""

    __slots__ = ("_at", "_data_bytes", "_is_chunked", "_limits", "_line", "_trailer_bytes",
                 "is_complete")  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._is_chunked = False
        self._data_bytes = 0  # of the body, or of the present chunk, still to come
        self._at = _At.CHUNK
        self._line = b""  # the present control line as far as it has come
        self._trailer_bytes = 0
        self.is_complete = True

    def begin(self, head: Head) -> bool:
        """Take the next message's head; True when it has no body."""
        self._is_chunked = head.chunked
        self._data_bytes = 0 if head.chunked else max(head.content_length, 0)
        self._at = _At.CHUNK
        self._line = b""
        self._trailer_bytes = 0
        self.is_complete = not head.chunked and self._data_bytes == 0
        return self.is_complete

    def advance(self, data: bytes) -> int:
        """How many of these bytes belong to the message. Raises RemoteProtocolError."""
        if self.is_complete:
            return 0
        if not self._is_chunked:
            taken = min(self._data_bytes, len(data))
            self._data_bytes -= taken
            self.is_complete = self._data_bytes == 0
            return taken
        position = 0
        size = len(data)
        while True:
            if self._data_bytes:
                step = min(self._data_bytes, size - position)
                position += step
                self._data_bytes -= step
            if position == size:
                return size
            if self._at is _At.AFTER_DATA and not self._line:
                usual = _NEXT_CHUNK.match(data, position)
                if usual is not None:
                    position = usual.end()
                    self._open_chunk(usual[1])
                    continue
            end = data.find(b"\n", position) + 1
            self._line += data[position : end or size]
            self._check_length()
            if not end:
                return size
            position = end
            line, self._line = self._line, b""
            if self._end_line(line):
                self.is_complete = True
                return position

    def _end_line(self, line: bytes) -> bool:
        """Act on a whole control line; True when it is the message's last."""
        if self._at is _At.TRAILER:
            if line == b"\r\n":
                return True
            if _TRAILER_LINE.fullmatch(line) is None:
                raise _refuse("a trailer that is no header field", "Header")
            if _FRAMING_TRAILER.match(line) is not None:
                raise _refuse("a trailer that would frame a message", "Header")
            self._trailer_bytes += len(line)
        elif self._at is _At.AFTER_DATA:
            if line != b"\r\n":
                raise _refuse("a chunk is longer than its size", "BadRequest")
            self._at = _At.CHUNK
        else:
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise _refuse("a chunk size that is none", "Number")
            self._open_chunk(match[1])
        return False

    def _open_chunk(self, size: bytes) -> None:
        self._data_bytes = int(size, 16)
        self._at = _At.AFTER_DATA if self._data_bytes else _At.TRAILER

    def _check_length(self) -> None:
        length = len(self._line)
        if self._at is _At.TRAILER:
            if length > self._limits.max_field_length:
                raise _refuse("a trailer that is too long", "FieldLength")
            if self._trailer_bytes + length > self._limits.max_request_bytes:
                raise _refuse("trailers that are too long", "RequestLength")
        elif length > _CHUNK_LINE_BYTES or (self._at is _At.AFTER_DATA and length > 2):
            raise _refuse("a chunk line that is too long", "BadRequest")


def _refuse(detail: str, reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(detail, reason=reason)


def disagreement() -> RemoteProtocolError:
    """An engine has found another end than is found here."""
    return RemoteProtocolError("the parsers disagree about the end of the body")
