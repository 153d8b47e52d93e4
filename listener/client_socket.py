"""ClientSocket: a client's transport, whatever is said on it: who, how much, how fast, how it ends.

What the client sends beyond what it may is left in its socket, and so is what it sends faster than
its turn comes (turns.py). What it does not read is bounded by the transport's water marks. An end
of ours is a half-close, and what still comes is read and thrown away for a while, so that no reset
destroys the last answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from was.listener.service import ListenerService

__all__ = ["MUCH_BYTES", "READ_AHEAD", "ClientSocket"]

READ_AHEAD: Final = 64 * 1024
# In one read: more waits behind it.
MUCH_BYTES: Final = 128 * 1024
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 1024 * 1024
# The transport's own buffer: above HIGH we stop writing, at LOW we go on.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024


class ClientSocket(asyncio.Protocol):
    """A client's socket, from accept to close."""

    __slots__ = (
        "_left_bytes",
        "_wants_empty",
        "buffer",
        "deadline",
        "deadline_reason",
        "discarded",
        "id",
        "is_eof",
        "is_in_line",
        "is_paused",
        "is_reading_paused",
        "loop",
        "peer",
        "service",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, service: ListenerService) -> None:
        self.service = service
        self.loop = service.loop
        self.buffer = b""
        self.discarded = 0
        self.is_eof = False
        self.is_reading_paused = False
        self.is_in_line = False  # to be read further
        self.is_paused = False
        self._wants_empty = False
        self._left_bytes = -1
        self.deadline = 0.0
        self.deadline_reason = ""
        self.id = 0
        self.peer = ("", 0, "", 0)

    def _accepted(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        remote = transport.get_extra_info("peername") or ("", 0)
        local = transport.get_extra_info("sockname") or ("", 0)
        self.peer = (
            _plain_ip(remote[0]),
            int(remote[1]),
            _plain_ip(local[0]),
            int(local[1]),
        )
        self.id = self.service.next_connection_id()
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def fileno(self) -> int:
        """The socket's descriptor; it stays the transport's."""
        sock: Any = self.transport.get_extra_info("socket")
        return int(sock.fileno())

    # ── what comes ──────────────────────────────────────────────────────────────────────────────

    def read_ahead(self, data: bytes) -> None:
        """Keep what is not for now; the client waits when it is much."""
        self.buffer = self.buffer + data if self.buffer else data
        if len(self.buffer) > READ_AHEAD:
            self.pause_reading()

    def pause_reading(self) -> None:
        """Have the client wait."""
        if not self.is_reading_paused and not self.transport.is_closing():
            self.is_reading_paused = True
            if not self.is_in_line:
                self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Have the client go on, but where much of what it has sent is still to be looked at."""
        if len(self.buffer) > READ_AHEAD:
            return
        if self.is_reading_paused and not self.transport.is_closing():
            self.is_reading_paused = False
            if not self.is_in_line:
                self.transport.resume_reading()

    def stand_in_line(self) -> None:
        """It has sent much at once: the next read is for its next turn."""
        if self.is_in_line or self.transport.is_closing():
            return
        self.is_in_line = True
        if not self.is_reading_paused:
            self.transport.pause_reading()
        self.service.turns.wait(self._leave_line)

    def _leave_line(self) -> None:
        self.is_in_line = False
        if not self.is_reading_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    # ── what goes ───────────────────────────────────────────────────────────────────────────────

    def pause_writing(self) -> None:
        """The transport holds enough."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has run down."""
        self.is_paused = False
        if self._wants_empty:
            self._wants_empty = False
            self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def wait_until_empty(self) -> bool:
        """Whether the transport holds nothing; else `resume_writing` comes when it does."""
        if self.transport.get_write_buffer_size() == 0:
            return True
        self._wants_empty = True
        self.transport.set_write_buffer_limits(0, 0)
        return False

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def _half_close(self) -> bool:
        """Close our half after what was written; False where that had to be the whole of it."""
        self._left_bytes = -1
        self.deadline = self.service.time() + LINGER_S
        self.deadline_reason = "Linger"
        if self.is_eof or not self.transport.can_write_eof():
            self.transport.close()
            return False
        self.discarded = 0
        self.buffer = b""
        self.resume_reading()
        self.transport.write_eof()
        return True

    def reset(self) -> None:
        """End it at once, in such a way that the client cannot take it for an end of ours."""
        sock: Any = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _discard(self, data: bytes) -> None:
        """What comes after our half was closed."""
        self.discarded += len(data)
        if self.discarded > LINGER_BYTES:
            self.transport.abort()

    def linger_on(self) -> None:
        """The time to linger is over; it begins again while a client is still taking the answer."""
        left = self.transport.get_write_buffer_size()
        before = self._left_bytes
        if left == 0 or (before >= 0 and left > max(0, before - self.service.least_bytes)):
            self.transport.abort()
            return
        self._left_bytes = left
        self.deadline = self.service.send_deadline()


def _plain_ip(address: str) -> str:
    """An IPv4 client of a dual-stack socket is an IPv4 client."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address
