"""Frames: bytes of the client in, whole messages out; messages in, bytes for the client out. Pure.

wsproto reads and writes the frames, but for pings, pongs and messages that are one whole frame each
where nothing was agreed that folds them (see whole_frames). Here messages are put together, bounded
in size whatever their compression unfolds to, pings are answered, and both sides' closing is
followed:

    OPEN ─we close─▶ CLOSING ─the client's close─▶ CLOSED
      └─the client closes (answered at once)──────▶ CLOSED
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from wsproto.connection import Connection, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    TextMessage,
)
from wsproto.extensions import Extension
from wsproto.utilities import LocalProtocolError

from was.worker.websocket.whole_frames import (
    BINARY,
    FINAL,
    LEAST_BYTES,
    MASKED_HEAD_BYTES,
    PING,
    PONG,
    TEXT,
    frame,
    unmask,
    where,
)

__all__ = ["CLOSED", "CLOSING", "OPEN", "Frames"]

OPEN, CLOSING, CLOSED = 0, 1, 2

TOO_BIG = 1009
ABNORMAL = 1006
# Fed in such steps, since a byte of a compressed message may unfold to a thousand.
STEP_BYTES = 4096
# What a message that waits costs, however short it is.
MESSAGE_BYTES = 64
# So much of a message is as much work as a frame.
BYTES_OF_A_FRAME = 4096


class Frames:
    """One WebSocket after its handshake. `out` is what is to be sent, in order."""

    def __init__(self, extensions: list[Extension], limit_bytes: int) -> None:
        self._connection = Connection(ConnectionType.SERVER, extensions)
        self._is_plain = not extensions
        self._head = b""  # of a frame, as long as it is not all there
        self._owed = 0  # bytes of a frame that wsproto has begun to read
        self._is_message_open = False  # the client's last frame of data was not final
        self._is_own_open = False  # nor ours
        self._limit_bytes = limit_bytes
        self._parts: list[str | bytes | bytearray] = []
        self._part_bytes = 0
        self.state = OPEN
        self.out: deque[bytes] = deque()
        self.messages: deque[str | bytes] = deque()
        self.waiting_bytes = 0  # of messages, and what each costs
        self.close_code = ABNORMAL
        self.close_reason = ""
        self.has_refused = False  # a message that was too long: nothing further is received
        self.pongs = 0
        self.work = 0  # done so far: frames, and what they unfold to

    # ── from the client ─────────────────────────────────────────────────────────────────────────

    @property
    def unfolds(self) -> bool:
        """Whether a message may be a thousand times as long as its frames."""
        return not self._is_plain

    def receive(self, data: bytes) -> None:
        """Take in bytes; see `messages`, `state` and `out` for what has come of them."""
        if self._is_plain:
            self._receive_plain(data)
            return
        for at in range(0, len(data), STEP_BYTES):
            if self.state == CLOSED:
                return
            self._feed(data[at : at + STEP_BYTES])

    def _receive_plain(self, data: bytes) -> None:
        """Read what whole frames there are, and feed wsproto with the others."""
        if self._head:
            data, self._head = self._head + data, b""
        at, size = 0, len(data)
        while at < size and self.state != CLOSED:
            end = at + self._owed
            if not self._owed:
                found = where(data, at)
                if found is None:
                    self._head = data[at:]
                    return
                begin, end = found
                if end <= size and self._take_whole(data, at, begin, end):
                    at = end
                    continue
                if not data[at] & 0x08:  # of data
                    self._is_message_open = not data[at] & FINAL
            self._owed = max(0, end - size)
            self._feed(data[at:end])
            at = end

    def _take_whole(self, data: bytes, at: int, begin: int, end: int) -> bool:
        """Read a frame that is a message; False for any other, and for what is at fault."""
        first = data[at]
        if first != BINARY and first != TEXT:
            return self._take_control(first, data, at, begin, end)
        if (
            not data[at + 1] & 0x80
            or self._is_message_open
            or self.state != OPEN
            or end - begin > self._limit_bytes
            or end - begin < LEAST_BYTES[begin - at]
        ):
            return False
        message: str | bytes = unmask(data, begin, end)
        if first == TEXT:
            try:
                message = message.decode()  # type: ignore[union-attr]
            except UnicodeDecodeError:
                return False
        self.work += 1
        self._keep(message)
        return True

    def _take_control(self, first: int, data: bytes, at: int, begin: int, end: int) -> bool:
        """The same for a ping or a pong: they may come between the frames of a message."""
        if first not in (PING, PONG) or begin - at != MASKED_HEAD_BYTES or self.state != OPEN:
            return False
        self.work += 1
        if first == PING:
            self.out.append(frame(PONG, unmask(data, begin, end)))
        else:
            self.pongs += 1
        return True

    def _keep(self, message: str | bytes) -> None:
        self.waiting_bytes += len(message) + MESSAGE_BYTES
        self.messages.append(message)

    def _feed(self, data: bytes) -> None:
        self._connection.receive_data(data)
        for event in self._connection.events():
            self.work += 1
            if isinstance(event, TextMessage | BytesMessage):
                self._add(event)
            elif isinstance(event, Ping):
                if self.state == OPEN:
                    self.out.append(self._connection.send(event.response()))
            elif isinstance(event, Pong):
                self.pongs += 1
            elif isinstance(event, CloseConnection):
                self._closed_by_client(event)
                return

    def _add(self, event: TextMessage | BytesMessage) -> None:
        part = event.data
        self.work += len(part) // BYTES_OF_A_FRAME
        if self.state != OPEN:
            return
        self._part_bytes += len(part)
        if self._part_bytes > self._limit_bytes:
            self.close(TOO_BIG, "the message is too long")
            self.has_refused = True
            return
        if part:  # of empty fragments there may be any number
            self._parts.append(part)
        if not event.message_finished:
            return
        message: str | bytes
        if isinstance(event, TextMessage):
            message = "".join(part for part in self._parts if isinstance(part, str))
        else:
            message = b"".join(part for part in self._parts if not isinstance(part, str))
        self._parts = []
        self._part_bytes = 0
        self._keep(message)

    def _closed_by_client(self, event: CloseConnection) -> None:
        if self.state == OPEN:
            # An error of the client's comes as such an event too, with the code to be sent.
            self.close_code = int(event.code)
            self.close_reason = event.reason or ""
            with suppress(LocalProtocolError):  # no answer to a close that is none
                self.out.append(self._connection.send(event.response()))
        self.state = CLOSED

    def take(self) -> str | bytes:
        """The next whole message."""
        message = self.messages.popleft()
        self.waiting_bytes -= len(message) + MESSAGE_BYTES
        return message

    def lost(self) -> None:
        """Nothing will come any more: without a close the code is 1006."""
        self.state = CLOSED

    # ── to the client ───────────────────────────────────────────────────────────────────────────

    def send(self, message: str | bytes) -> None:
        """Put a whole message into frames; nothing once the closing has begun."""
        if self.state != OPEN:
            return
        is_text = isinstance(message, str)
        if self._is_plain and not self._is_own_open:
            payload = message.encode() if isinstance(message, str) else message
            self.out.append(frame(TEXT if is_text else BINARY, payload))
            return
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        self.out.append(self._connection.send(event))

    def send_fragment(self, data: str | bytes, is_final: bool) -> None:
        """The same for a part of a message; `is_final` ends it."""
        if self.state != OPEN:
            return
        self._is_own_open = not is_final
        if isinstance(data, str):
            self.out.append(self._connection.send(TextMessage(data, message_finished=is_final)))
        else:
            self.out.append(self._connection.send(BytesMessage(data, message_finished=is_final)))

    def ping(self) -> None:
        """Ask the client for a pong."""
        if self.state == OPEN:
            self.out.append(self._connection.send(Ping()))

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing, once."""
        if self.state != OPEN:
            return
        self.close_code, self.close_reason = code, reason
        # 125 bytes is the most a control frame holds, two are the code's.
        short = reason.encode()[:123].decode("utf-8", "ignore")
        self.out.append(self._connection.send(CloseConnection(code=code, reason=short)))
        self.state = CLOSING
