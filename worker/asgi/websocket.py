"""WebSocketRun: one WebSocket on the event loop, between the application and the exchange.

The request stays open after the 101: its exchange carries frames both ways, under the windows of
any body. What the client sends is read as long as little waits for the application; pings are
answered meanwhile. Frames leave in order through `_write`; `send` waits until its own has left.

The request ends when both sides have closed, when the client has gone, or CLOSE_WAIT_S after our
own close: LEAVE_WAIT_S where the worker is to go, or every stop would be held up by the one client
that has silently left. The application may go on a while, or be gone before.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from was.errors import LocalProtocolError
from was.worker.asgi.fields import EncodedFields, encode
from was.worker.asgi.holding import EXTENSION, Holding
from was.worker.asgi.run import BLOCK_BYTES, ClientDisconnectedError, RequestRun
from was.worker.asgi.scope import request_scope
from was.worker.asgi.websocket_cycle import (
    ACCEPT,
    CLOSE,
    DENY,
    DENY_BODY,
    REFUSE,
    SEND,
    SocketState,
    WebSocketCycle,
)
from was.worker.exchange import ClientGoneError, Exchange
from was.worker.interfaces.response import REASONS
from was.worker.threads.application_calls import outside
from was.worker.websocket.deflate import choose_extensions
from was.worker.websocket.frames import CLOSED, CLOSING, OPEN, Frames

if TYPE_CHECKING:
    from was.config.model import SectionView
    from was.ipc.messages import Resumed
    from was.worker.asgi.sockets import OpenSockets
    from was.worker.websocket.handshake import Handshake

__all__ = ["SocketSettings", "WebSocketRun"]

CLOSE_WAIT_S = 10.0
LEAVE_WAIT_S = 2.0
# So much may wait for the application, or for the client, before the client is read no more.
HELD_BYTES = 65536
# What has come is read in slices: short ones where they are so much work, frames above all.
SHORT_SLICE_BYTES = 2048
MUCH_WORK = 256

NORMAL, GOING_WRONG, RESTART = 1000, 1011, 1012


class SocketSettings(NamedTuple):
    """system.webServer/webSocket."""

    is_enabled: bool
    receive_limit_bytes: int  # of one message, unfolded
    ping_interval_s: float  # 0 = none
    may_be_held: bool

    @classmethod
    def of(cls, section: SectionView | None) -> SocketSettings:
        """What the section says; None: there is none in force, and so no WebSocket."""
        if section is None:
            return cls(False, 0, 0.0, False)
        return cls(
            bool(section["enabled"]),
            int(str(section["receiveBufferLimit"])),
            float(str(section["pingInterval"])),
            bool(section["hold"]),
        )


class WebSocketRun(RequestRun, kw_only=True, eq=False):
    """One WebSocket."""

    handshake: Handshake
    settings: SocketSettings
    sockets: OpenSockets
    resumed: Resumed | None
    _cycle: WebSocketCycle = msgspec.field(default_factory=WebSocketCycle)
    _frames: Frames | None = None
    _has_connected: bool = False
    _has_returned: bool = False
    _holding: Holding | None = None
    _left_bytes: bytes = b""  # frames that did not go whole, of which
    _left_at: int = 0  # so many bytes have gone
    _pongs_before: int = -1  # the last ping went; -1: none has gone
    _has_read_all: bool = True  # that has come; what comes next is told
    _slice_bytes: int = SHORT_SLICE_BYTES
    _is_in_line: bool = False  # to read the next one
    _is_close_awaited: bool = False  # the client's, for so long
    _timers: list[asyncio.TimerHandle] = msgspec.field(default_factory=list[asyncio.TimerHandle])

    def __post_init__(self) -> None:
        if self.settings.may_be_held:
            exchange, limit_bytes = self.exchange, self.settings.receive_limit_bytes
            assert isinstance(exchange, Exchange)
            self._holding = Holding(exchange, limit_bytes, self.resumed)

    def scope(self) -> dict[str, Any]:
        """Of type websocket."""
        is_secure = self.context.message.secure
        extensions: dict[str, Any] = {}
        scheme = "wss" if is_secure else "ws"
        scope = request_scope(self.context, "websocket", scheme, self.hosted.state, extensions)
        scope["subprotocols"] = self.handshake.subprotocols
        self._cycle.offered = tuple(self.handshake.subprotocols)  # the scope is the application's
        holding = self._holding
        if holding is not None:
            extensions[EXTENSION] = holding.scope_extension()
        if holding is None or not holding.is_resumed:
            extensions["websocket.http.response"] = {}
        return scope

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def check_whole(self) -> None:
        """It may return at any time, but for an unanswered handshake."""
        if self._cycle.state in (SocketState.CONNECTING, SocketState.DENYING):
            if self.exchange.gone:
                self.context.is_cut = True
                return
            raise LocalProtocolError(f"the application returned in state {self._cycle.state.name}")
        if not self._is_leaving:
            self._begin_close(NORMAL, "")

    def failed(self, error: BaseException) -> None:
        """The client is told 1011 where it has a WebSocket."""
        super().failed(error)
        if self._frames is not None and not self.exchange.gone and not self.exchange.is_overdue:
            self.context.is_cut = False
            if self._holding is not None and self._is_leaving:
                self._holding.is_interrupted = True
            else:
                self._begin_close(GOING_WRONG, "")

    def returned(self) -> None:
        """An open WebSocket ends with its closing handshake, or goes to another worker."""
        self._has_returned = True
        self._let_go()
        if self.is_over:
            return
        if self._frames is None or self.exchange.gone or self._frames.state == CLOSED:
            self.end()

    def end(self) -> None:
        """As for any request; timers and registry let go first."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        self.sockets.discard(self)
        if self._holding is not None:
            self._holding.close()
        if self.exchange.gone:
            self.context.is_cut = True
        super().end()

    def go_away(self) -> None:
        """The worker is being replaced."""
        holding, frames = self._holding, self._frames
        if self.is_over:
            return
        if holding is None or frames is None or frames.state != OPEN:
            self._timers.append(self.loop.loop.call_later(LEAVE_WAIT_S, self._end_unanswered))
            self._begin_close(RESTART, "service restart")
        else:
            holding.is_leaving = True
            self.wake()

    def _end_unanswered(self) -> None:
        if self._has_left():
            self.end()

    @property
    def _is_leaving(self) -> bool:
        """Whether another worker is to go on with it."""
        holding, frames = self._holding, self._frames
        if holding is None or frames is None:
            return False
        return holding.is_leaving and frames.state == OPEN

    def _let_go(self) -> None:
        """Hand it over once the application has returned and all that it said has left."""
        if self._has_returned and self._is_leaving and self._has_left() and not self.is_over:
            assert self._holding is not None
            self._holding.hand_over()
            self.end()

    def _begin_close(self, code: int, reason: str) -> None:
        frames = self._frames
        if frames is None or self.is_over or frames.state != OPEN:
            return
        frames.close(code, reason)
        self.has_news()
        self.wake()

    # ── receive ─────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> dict[str, Any]:
        """connect, then what the client says, then disconnect."""
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        holding = self._holding
        if holding is not None and not self._can_receive():
            holding.tell_taken()
        await self.wait(self._can_receive)
        frames = self._frames
        if self._is_leaving:
            return {"type": "websocket.disconnect", "code": RESTART, "reason": "service restart"}
        if frames is not None and frames.messages:
            message = frames.take()
            if holding is not None:
                holding.took()
            if not self._has_read_all and frames.waiting_bytes < HELD_BYTES:
                outside(self.context.proof, self.has_news)
            if isinstance(message, str):
                return {"type": "websocket.receive", "text": message}
            return {"type": "websocket.receive", "bytes": message}
        code = frames.close_code if frames is not None else 1006
        reason = frames.close_reason if frames is not None else ""
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    def _can_receive(self) -> bool:
        frames = self._frames
        if self.is_over or self.exchange.gone:
            return True
        return frames is not None and bool(
            frames.messages or frames.state != OPEN or self._is_leaving
        )

    # ── send ────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """One message of the application."""
        if self.exchange.gone or (self.is_over and self._cycle.state is SocketState.OPEN):
            raise ClientDisconnectedError("the client has gone")
        cycle, proof = self._cycle, self.context.proof
        frames = self._frames
        if frames is not None and frames.state != OPEN and cycle.state is SocketState.OPEN:
            raise ClientDisconnectedError("the WebSocket has been closed")
        action = cycle.take(message)
        if action == SEND:
            assert frames is not None
            frames.send(cycle.data)
            if self._has_read_all and not self._is_leaving:
                outside(proof, self._write)
            else:
                outside(proof, self.has_news)
            if frames.out or self._left_bytes:
                await self.wait(self._has_left)
        elif action == ACCEPT:
            outside(proof, self._accept)
        elif action == CLOSE:
            outside(proof, self._begin_close, cycle.code, cycle.reason)
        elif action == REFUSE:
            outside(proof, self._refuse)
        elif action == DENY:
            self._set_head(cycle.status)
        elif action == DENY_BODY:
            await self._deny()

    def _has_left(self) -> bool:
        frames = self._frames
        return (
            self.is_over
            or self.exchange.gone
            or frames is None
            or not (frames.out or self._left_bytes)
        )

    def _set_head(self, status: int) -> None:
        response, fields = self.context.response, self._cycle.fields
        response.status = status
        response.reason = REASONS.get(status, "")
        response.set_encoded_fields(fields.pairs, fields.block)
        response.content_length = fields.content_length

    def _refuse(self) -> None:
        if self._holding is not None and self._holding.is_resumed:
            # Its client has a WebSocket already, and is told in one.
            self._accept()
            self._begin_close(self._cycle.code, self._cycle.reason)
            return
        response = self.context.response
        response.set_status(403)
        if response.error is not None:
            response.error.module_name = "AsgiModule"
            response.error.notification = "EXECUTE_REQUEST_HANDLER"
        self.end()

    async def _deny(self) -> None:
        """websocket.http.response.body: a response of the application's own."""
        cycle, response = self._cycle, self.context.response
        data = cycle.data
        assert isinstance(data, bytes)
        if data:
            response.chunks.append(data)
        if cycle.state is SocketState.OVER:
            outside(self.context.proof, self.end)
        else:
            await self.wait(self.exchange.is_writable)
            outside(self.context.proof, response.flush)

    def _accept(self) -> None:
        """101: from here on the exchange carries frames."""
        context, cycle, handshake = self.context, self._cycle, self.handshake
        holding = self._holding
        if holding is None:
            extensions, text = choose_extensions(handshake.extensions)
        else:
            extensions, text = holding.begin(handshake.extensions)
            if not holding.is_wanted:
                self._holding = None
        own = [(b"Sec-WebSocket-Accept", handshake.accept.encode())]
        if cycle.subprotocol:
            own.append((b"Sec-WebSocket-Protocol", cycle.subprotocol.encode()))
        if text:
            own.append((b"Sec-WebSocket-Extensions", text.encode()))
        first, rest = encode(own), cycle.fields
        cycle.fields = EncodedFields(first.pairs + rest.pairs, first.block + rest.block)
        self._set_head(101)
        try:
            context.response.flush()
        except ClientGoneError:
            raise ClientDisconnectedError("the client has gone") from None
        self._frames = Frames(extensions, self.settings.receive_limit_bytes)
        self.exchange.expect_upgraded()
        self.sockets.add(self)
        if self.settings.ping_interval_s > 0:
            self._ping_later()
        self.has_news()

    # ── both ways ───────────────────────────────────────────────────────────────────────────────

    def has_news(self) -> None:
        """Read what has come, as far as there is room for it; write what may go."""
        frames = self._frames
        if frames is None or self.is_over:
            return
        if self._is_leaving:
            self._write()
            self._let_go()
            return  # what comes now is the next worker's
        self._has_read_all = False
        try:
            while frames.state != CLOSED and frames.waiting_bytes < HELD_BYTES:
                if len(frames.out) > 64 or self._is_in_line:
                    break  # it asks faster than it reads the answers, or than its turn comes
                data = self.exchange.read_nowait(self._slice_bytes)
                if data is None:
                    self._has_read_all = True
                    break
                if data:
                    self._receive(frames, data)
                else:
                    frames.lost()
                self._write()
        except ClientGoneError:
            frames.lost()
        self._write()
        if frames.state == CLOSING and not self._is_close_awaited:
            # Also where it is a message that is too long that has begun it.
            self._is_close_awaited = True
            self._timers.append(self.loop.loop.call_later(CLOSE_WAIT_S, self.end))
        if frames.state == CLOSED and not (frames.out or self._left_bytes):
            self.end()  # messages that wait are received all the same
        if frames.messages or frames.state != OPEN:
            self.wake()

    def _receive(self, frames: Frames, data: bytes) -> None:
        """Read a slice; after one that was much work the next is for the next turn."""
        before = frames.work
        frames.receive(data)
        if frames.work - before > MUCH_WORK:
            self._slice_bytes = SHORT_SLICE_BYTES
            self._is_in_line = True
            self.loop.turns.wait(self._its_turn)
        elif not frames.unfolds:
            self._slice_bytes = min(2 * self._slice_bytes, BLOCK_BYTES)

    def _its_turn(self) -> None:
        self._is_in_line = False
        self.has_news()

    def _write(self) -> None:
        frames, exchange = self._frames, self.exchange
        assert frames is not None
        if exchange.gone:
            frames.out.clear()
            self._left_bytes, self._left_at = b"", 0
            return
        while (self._left_bytes or frames.out) and exchange.is_writable():
            data, at = self._left_bytes, self._left_at
            if not data:
                data = b"".join(frames.out) if len(frames.out) > 1 else frames.out[0]
                frames.out.clear()
            block = data[at : at + BLOCK_BYTES]
            self._left_at = at + BLOCK_BYTES
            # By position: what is left is copied for no block of it.
            self._left_bytes = data if self._left_at < len(data) else b""
            if not self._left_bytes:
                self._left_at = 0
            try:
                self.context.exchange.write(block)
            except ClientGoneError:
                return

    def _ping_later(self) -> None:
        interval_s = self.settings.ping_interval_s
        self._timers = [self.loop.loop.call_later(interval_s, self._ping)]

    def _ping(self) -> None:
        """A client that has not answered the last ping by now has gone."""
        frames = self._frames
        if frames is None or self.is_over or frames.state != OPEN:
            return
        if frames.pongs == self._pongs_before:
            self._begin_close(GOING_WRONG, "no pong")
            return
        self._pongs_before = frames.pongs
        frames.ping()
        self._ping_later()
        self.has_news()
