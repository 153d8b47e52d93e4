"""HeldSocket: a WebSocket that outlives its worker (decision 0049).

It stands where Upgraded stands for others. What the client sends is taken apart into messages; a
worker is given whole ones, and each stays here until its application has taken it. When the worker
hands the WebSocket over, or dies, the rest waits for the next one, which begins with the oldest
message that nobody has taken. So no message is delivered twice, and none is lost that no
application has had: what became of the one that a dead worker's application had last is not known.

Pings are answered here, whether there is a worker or not. The client is read while fewer than
READ_AHEAD bytes of whole messages are kept; one message may be as long as the worker has said, and
counts as what slow clients hold in the listener's memory: when that is full, 1013.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from was.errors import LocalProtocolError
from was.ipc.messages import CHUNK_BYTES, BodyChunk, HoldSocket, Resumed
from was.listener.held_frames import (
    BINARY,
    CLOSE,
    NO_ROOM,
    PING,
    TEXT,
    BadFrameError,
    ClientFrames,
    WorkerFrames,
    masked_close,
    pong_frame,
)
from was.listener.upgraded import READ_AHEAD

if TYPE_CHECKING:
    from was.listener.request import ClientRequest
    from was.listener.spool import SpoolMemory

__all__ = ["LASTING_S", "HeldSocket"]

# A WebSocket whose workers die one after the other is given up: after the fourth death that came
# while its application was at a message of it, or after many that it only saw. Counted anew when it
# has been handed over, and when a worker has had it for LASTING_S.
MAX_BLAME: Final = 12
BLAME_AT_WORK: Final = 4
LASTING_S: Final = 60.0
PONG_BYTES: Final = 16 * 1024
# What a message costs that is kept, however short it is.
UNIT_BYTES: Final = 64


class HeldSocket:
    """What is kept for the worker that is, and for the one to come."""

    __slots__ = (
        "_blame",
        "_extensions",
        "_frames",
        "_granted",
        "_has_ended",
        "_has_said_close",
        "_is_end_told",
        "_kept_bytes",
        "_memory",
        "_offset",
        "_pong",
        "_request",
        "_said_bytes",
        "_sent",
        "_since",
        "_state",
        "_taken",
        "_units",
        "_written",
        "is_attached",
        "is_interrupted",
        "is_leaving",
        "is_over",
    )

    def __init__(self, request: ClientRequest, item: HoldSocket, memory: SpoolMemory) -> None:
        self._request = request
        self._memory = memory
        self._state = item.state
        self._extensions = item.extensions
        self._frames = ClientFrames(item.limit_bytes, may_fold=bool(item.extensions))
        self._written = WorkerFrames()
        # (is a message, frames) in the client's order: first those that are with the worker and
        # not taken, `_sent` of them, then the others; `_offset` bytes of the first of those are.
        self._units: deque[tuple[bool, bytes]] = deque()
        self._sent = 0
        self._offset = 0
        self._taken = 0  # by this worker, as it has said
        self._granted = 0
        self._kept_bytes = 0
        self._pong = b""
        self._said_bytes = 0  # of pongs that the client may not have read
        self._has_ended = False
        self._has_said_close = False  # the client, or we in its name: nothing of it counts any more
        self._is_end_told = False
        self._blame = 0
        self._since = 0.0
        self.is_attached = False
        self.is_interrupted = False
        self.is_leaving = False  # the END that comes hands it over
        self.is_over = False
        self._account(len(item.state))

    # ── the worker ──────────────────────────────────────────────────────────────────────────────

    def store(self, item: HoldSocket) -> None:
        """Another state."""
        self._account(len(item.state) - len(self._state))
        self._state = item.state

    def attach(self, now: float) -> None:
        """A worker has answered 101: it goes on."""
        self.is_attached = True
        self.is_interrupted = False
        self._since = now

    def detach(self, *, is_interrupted: bool) -> None:
        """The worker has ended, or let go of it: what it has not taken is the next one's."""
        self.is_attached = self.is_leaving = False
        self.is_interrupted = is_interrupted
        self._sent = self._offset = self._taken = self._granted = 0
        self._is_end_told = False
        if not is_interrupted:
            self._blame = 0

    def resumption(self) -> Resumed:
        """What the next worker is told before the request."""
        return Resumed(self._request.id, self._state, self._extensions, self.is_interrupted)

    @property
    def can_go_on(self) -> bool:
        """Whether another worker can take it: nothing is half said, and no close has begun."""
        written = self._written
        return self.is_attached and written.is_between_messages and not written.has_closed

    def survives(self, taken: int, now: float, lasting_s: float) -> bool:
        """The worker has died; its application had taken `taken` messages, as the proof has it.

        False where the WebSocket has seen too many deaths.
        """
        if now - self._since > lasting_s:
            self._blame = 0
        more = taken - self._taken
        self._blame += BLAME_AT_WORK if more else 1
        given = self._given()
        self._take(more if 0 <= more <= given else given)
        return self._blame <= MAX_BLAME

    def taken(self, count: int) -> None:
        """The application has taken so many messages. Raises LocalProtocolError."""
        if not 0 < count <= self._given():
            raise LocalProtocolError(f"{count} messages taken of {self._given()}")
        self._taken += count
        self._take(count)

    def _given(self) -> int:
        """Messages that the worker has and has not said to be taken; a close may be behind them."""
        sent = self._sent
        return sent - 1 if sent and not self._units[sent - 1][0] else sent

    def _take(self, count: int) -> None:
        for _ in range(count):
            _, frames = self._units.popleft()
            self._account(-len(frames) - UNIT_BYTES)
        self._sent -= count

    def pulled(self, count: int) -> None:
        """The worker takes so many bytes more."""
        if self.is_attached:
            self._granted = min(self._granted + count, 64 * CHUNK_BYTES)
            self._send()

    def written(self, data: bytes) -> None:
        """Bytes of the worker's for the client."""
        self._written.feed(data)

    @property
    def is_closing(self) -> bool:
        """Whether the worker has sent its close."""
        return self._written.has_closed

    def answer(self, *, is_clear: bool) -> bytes:
        """The pong that is due and can be sent; `is_clear`: the client has read all before it.

        A client that pings and does not read is answered PONG_BYTES, and then the last one only.
        """
        if is_clear:
            self._said_bytes = 0
        pong = self._pong
        if not pong or not self.may_speak or self._said_bytes + len(pong) > PONG_BYTES:
            return b""
        self._said_bytes += len(pong)
        self._pong = b""
        return pong

    @property
    def may_speak(self) -> bool:
        """Whether a frame of ours may be sent now."""
        return self._written.is_between_frames and not self._written.has_closed

    # ── the client ──────────────────────────────────────────────────────────────────────────────

    def arrived(self, data: bytes) -> int:
        """Bytes from the client, in so many pieces; see `answer`."""
        if self.is_over or self._has_said_close:
            return 0
        frames = self._frames
        before = len(frames.partial)
        pieces = frames.count
        try:
            for opcode, unit in frames.feed(data):
                self._unit(opcode, unit)
        except BadFrameError as error:
            frames.partial = bytearray()
            self._close_for_client(error.code)
        self._account(len(frames.partial) - before)
        if len(frames.partial) > READ_AHEAD and self._memory.is_full():
            self._account(-len(frames.partial))
            frames.partial = bytearray()
            self._close_for_client(NO_ROOM)
        self._send()
        return frames.count - pieces

    def _unit(self, opcode: int, frames: bytes) -> None:
        if self._has_said_close:
            return
        if opcode == PING:
            self._pong = pong_frame(frames)  # only the last one has to be answered (5.5.3)
        elif opcode in (TEXT, BINARY):
            if not self._written.has_closed:  # else no application hears of it
                self._keep(frames, is_message=True)
        elif opcode == CLOSE:
            self._has_said_close = True
            self._keep(frames, is_message=False)
        elif self.is_attached and self._sent == len(self._units):
            self._keep(frames, is_message=False)  # a pong: of interest at once, or not at all

    def _keep(self, frames: bytes, *, is_message: bool) -> None:
        self._units.append((is_message, frames))
        self._account(len(frames) + UNIT_BYTES)

    def _close_for_client(self, code: int) -> None:
        """As if the client had closed so: the worker, or the next one, answers it."""
        self._has_said_close = True
        self._keep(masked_close(code), is_message=False)

    def ended(self) -> None:
        """The client sends no more."""
        self._has_ended = True
        self._send()

    @property
    def is_full(self) -> bool:
        """Whether the client is to wait; not where its close is all that is awaited of it."""
        if self._written.has_closed:
            return False
        return self._kept_bytes - len(self._state) - len(self._frames.partial) >= READ_AHEAD

    def _send(self) -> None:
        request = self._request
        worker = request.worker
        if worker is None or worker.is_blocked:
            return  # who asks and does not read is owed it: see pulled_bodies
        if not self.is_attached or self.is_leaving or self.is_over:
            return
        post = request.pool.outbox.post
        while self._granted > 0 and self._sent < len(self._units):
            data = self._next(min(self._granted, CHUNK_BYTES))
            self._granted -= len(data)
            post(worker, BodyChunk(request.id, request.attempt, data, False), len(data) + 64)
        if self._has_ended and not self._is_end_told and self._sent == len(self._units):
            self._is_end_told = True
            post(worker, BodyChunk(request.id, request.attempt, b"", True))

    def _next(self, size: int) -> bytes:
        """Up to `size` bytes of what is to be sent next."""
        parts: list[bytes] = []
        while size > 0 and self._sent < len(self._units):
            is_message, frames = self._units[self._sent]
            part = frames[self._offset : self._offset + size]
            parts.append(part)
            size -= len(part)
            self._offset += len(part)
            if self._offset < len(frames):
                break
            self._offset = 0
            self._sent += 1
            if not is_message and frames[0] & 0x0F != CLOSE:
                # Nobody says that it was taken.
                self._sent -= 1
                del self._units[self._sent]
                self._account(-len(frames) - UNIT_BYTES)
        return b"".join(parts)

    # ── what it costs ───────────────────────────────────────────────────────────────────────────

    def _account(self, count: int) -> None:
        self._kept_bytes += count
        self._memory.held_bytes += count

    def close(self) -> None:
        """Nothing is kept any more."""
        if not self.is_over:
            self.is_over = True
            self._units.clear()
            self._account(-self._kept_bytes)
