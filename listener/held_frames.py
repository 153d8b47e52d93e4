"""WebSocket frames as far as a listener that holds a WebSocket must know them. Pure.

Of what the client sends: whole messages, put together from their frames but not unfolded or even
unmasked, and the control frames between them. Of what the worker sends: whether it has ended where
a frame ends, since only there another voice may speak. RFC 6455, section 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

__all__ = [
    "BINARY",
    "CLOSE",
    "GOING_WRONG",
    "NO_ROOM",
    "PING",
    "RESTART",
    "TEXT",
    "BadFrameError",
    "ClientFrames",
    "WorkerFrames",
    "close_frame",
    "masked_close",
    "pong_frame",
    "unmasked",
]

PROTOCOL_ERROR: Final = 1002
TOO_BIG: Final = 1009
GOING_WRONG: Final = 1011
RESTART: Final = 1012
NO_ROOM: Final = 1013

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_FIN, _RSV1, _RSV23, _CONTROL, _MASK = 0x80, 0x40, 0x30, 0x08, 0x80


class BadFrameError(Exception):
    """The client broke the protocol, or wants too much at once: `code` closes its WebSocket."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame of a server's."""
    payload = struct.pack("!H", code) + reason.encode()[:123]
    return bytes((_FIN | CLOSE, len(payload))) + payload


def masked_close(code: int) -> bytes:
    """A close frame as a client would send it; its masking key is 0."""
    return struct.pack("!BB4xH", _FIN | CLOSE, _MASK | 2, code)


def pong_frame(ping: bytes) -> bytes:
    """The answer to a client's ping (5.5.3)."""
    payload = unmasked(ping)
    return bytes((_FIN | PONG, len(payload))) + payload


def unmasked(frame: bytes) -> bytes:
    """The payload of a control frame of a client's."""
    key = frame[2:6]
    return bytes(byte ^ key[at & 3] for at, byte in enumerate(frame[6:]))


def _head_of(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Size of the head that begins at `at`, and of its payload; 0, 0 if more is needed."""
    there = len(data) - at
    if there < 2:
        return 0, 0
    second = data[at + 1]
    length = second & 0x7F
    size = 6 if second & _MASK else 2
    if length == 126:
        size += 2
        if there >= size:
            (length,) = struct.unpack_from("!H", data, at + 2)
    elif length == 127:
        size += 8
        if there >= size:
            (length,) = struct.unpack_from("!Q", data, at + 2)
    return (size, length) if there >= size else (0, 0)


class ClientFrames:
    """What a client sends, byte by byte if it likes; at most `limit_bytes` of a message."""

    __slots__ = ("_control", "_head", "_is_within", "_left", "_limit_bytes", "_may_fold", "count",
                 "partial")  # fmt: skip

    def __init__(self, limit_bytes: int, *, may_fold: bool) -> None:
        """`limit_bytes` of a message as it crosses the wire; `may_fold`: RSV1 is spoken for."""
        self._limit_bytes = limit_bytes
        self._may_fold = may_fold
        self._head: bytes = b""  # of a head that has not come whole
        self._left = 0  # of the payload of the frame that arrives
        self._control: bytearray | None = None  # a control frame that arrives
        self._is_within = False  # a message whose last frame has not begun
        self.partial: bytearray = bytearray()  # of a message, its frames up to here
        self.count = 0  # frames that have begun

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what has become whole: (opcode, frames); TEXT and BINARY are whole messages.

        Raises BadFrameError at what no client may send; nothing is to be fed after that.
        """
        at = 0
        while at < len(data):
            if self._left == 0:
                data, at, found = self._begin(data, at)
                if not found:
                    return
            taken = data[at : at + self._left]
            at += len(taken)
            self._left -= len(taken)
            target = self.partial if self._control is None else self._control
            target += taken
            if self._left:
                return
            if self._control is not None:
                frame, self._control = bytes(self._control), None
                yield frame[0] & 0x0F, frame
            elif not self._is_within:
                message, self.partial = bytes(self.partial), bytearray()
                yield message[0] & 0x0F, message

    def _begin(self, data: bytes, at: int) -> tuple[bytes, int, bool]:
        """Read a head: the data, where its payload begins in it, and whether there was one."""
        if self._head:
            data, at, self._head = self._head + data[at:], 0, b""
        if len(data) > at:
            self._check_first(data[at])
        if len(data) > at + 1:
            self._check_second(data[at], data[at + 1])
        size, length = _head_of(data, at)
        if size == 0:
            self._head = data[at:]
            return data, len(data), False
        self.count += 1
        head = data[at : at + size]
        first = head[0]
        if first & _CONTROL:
            self._control = bytearray(head)
        else:
            if len(self.partial) + size + length > self._limit_bytes:
                raise BadFrameError(TOO_BIG, "the message is too long")
            self._is_within = not first & _FIN
            self.partial += head
        self._left = length
        return data, at + size, True

    def _check_first(self, first: int) -> None:
        opcode = first & 0x0F
        if opcode not in _OPCODES or first & _RSV23:
            raise BadFrameError(PROTOCOL_ERROR, "an unknown kind of frame")
        if first & _RSV1 and (not self._may_fold or opcode not in (TEXT, BINARY)):
            raise BadFrameError(PROTOCOL_ERROR, "a reserved bit is set")
        if opcode & _CONTROL:
            if not first & _FIN:
                raise BadFrameError(PROTOCOL_ERROR, "a control frame in pieces")
        elif (opcode == CONTINUATION) != self._is_within:
            raise BadFrameError(PROTOCOL_ERROR, "a message within a message, or the rest of none")

    def _check_second(self, first: int, second: int) -> None:
        if not second & _MASK:
            raise BadFrameError(PROTOCOL_ERROR, "a frame without a mask")
        if first & _CONTROL and second & 0x7F > 125:
            raise BadFrameError(PROTOCOL_ERROR, "a control frame that is too long")


class WorkerFrames:
    """Where what a worker sends has come to."""

    __slots__ = ("_head", "_is_within", "_left", "has_closed")

    def __init__(self) -> None:
        self._head: bytes = b""
        self._left = 0
        self._is_within = False  # a message of which more frames follow
        self.has_closed = False  # it has sent a close frame

    @property
    def is_between_frames(self) -> bool:
        """Whether a control frame may be sent now."""
        return not self._left and not self._head

    @property
    def is_between_messages(self) -> bool:
        """Whether somebody else may begin a message now."""
        return self.is_between_frames and not self._is_within

    def feed(self, data: bytes) -> None:
        """More of it."""
        at = 0
        if self._head:
            data, self._head = self._head + data, b""
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            size, length = _head_of(data, at)
            if size == 0:
                self._head = data[at:]
                return
            first = data[at]
            if first & 0x0F == CLOSE:
                self.has_closed = True
            elif not first & _CONTROL:
                self._is_within = not first & _FIN
            self._left = length
            at += size
