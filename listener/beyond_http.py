"""BeyondHttp: a connection that leaves HTTP, or is about to.

After a worker's 101 the bytes are the affair of worker and client (upgraded.py). A worker that has
said before that it is a WebSocket to be held has it outlive itself (held_socket.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.errors import LocalProtocolError
from was.listener.endings import abort
from was.listener.held_frames import GOING_WRONG, RESTART, close_frame
from was.listener.held_socket import HeldSocket
from was.listener.own_answers import fail
from was.listener.phases import BUSY, UPGRADED
from was.listener.request import Progress
from was.listener.response import ResponseStream
from was.listener.slices import MANY_PIECES, Slices
from was.listener.upgraded import Upgraded, upgrade_head

if TYPE_CHECKING:
    from was.ipc.messages import HandOver, HoldSocket, Response, ResponseChunk, Resumed
    from was.listener.connection import ClientConnection
    from was.listener.request import ClientRequest

__all__ = ["BeyondHttp"]


class BeyondHttp:
    """What becomes of a connection by its 101. `held` is None where it ends with its worker."""

    __slots__ = ("_client", "_connection", "_has_ended", "_is_in_line", "_slices", "held")

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._client: Upgraded | HeldSocket | None = None
        self._slices = Slices()  # of what a held one's client sends
        self._is_in_line = False  # to read them
        self._has_ended = False  # behind them the client sends no more
        self.held: HeldSocket | None = None  # also before its 101

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────

    def begin(self, request: ClientRequest, item: Response) -> None:
        """The worker's 101. Raises LocalProtocolError where none was asked for."""
        connection = self._connection
        data = upgrade_head(request, item, connection.service.standing)
        connection.close_after = True
        request.progress = Progress.RESPONDING
        request.is_upgraded = True
        rest, connection.buffer = connection.buffer, b""
        connection.phase = UPGRADED
        held = self.held
        self._client = Upgraded(request, rest) if held is None else held
        stream = connection.stream = ResponseStream(
            connection, request, 101, length=-1, is_chunked=False, has_body=True
        )
        stream.sent_bytes = len(data)
        stream.watch_pace()
        connection.transport.write(data)
        stream.add(item.body)
        stream.advance()
        if held is not None:
            held.written(item.body)
            held.attach(connection.service.time())
            self.arrived(rest)
        if connection.is_eof:
            self.ended()

    def arrived(self, data: bytes) -> None:
        """Bytes from the client."""
        client = self._client
        assert client is not None
        if self.held is None:
            client.arrived(data)
            if client.is_full:
                self._connection.pause_reading()
        elif self._slices:
            self._slices.add(data)
            self._connection.pause_reading()  # somebody has let it on meanwhile
        else:
            self._slices.add(data)
            self._read_on()

    def _read_on(self) -> None:
        """What a held one's client has sent, a slice at a time."""
        self._is_in_line = False
        held, connection = self.held, self._connection
        if held is None or connection.phase != UPGRADED:
            self._slices.take()
            return
        if not held.is_full:
            self._slices.read(self._read)
        self.answer_pings()
        if self._has_ended and not self._slices:
            held.ended()
        else:
            self._let_on()

    def _read(self, data: bytes) -> int:
        """A slice, and how many pieces it held: many enough where no more is to be kept."""
        held = self.held
        assert held is not None
        pieces = held.arrived(data)
        return MANY_PIECES + 1 if held.is_full else pieces

    def _let_on(self) -> None:
        """Have the client go on, or wait."""
        client, connection = self._client, self._connection
        assert client is not None
        if client.is_full:
            connection.pause_reading()
        elif not self._slices:
            connection.resume_reading()
        elif not self._is_in_line:
            self._is_in_line = True
            connection.pause_reading()
            connection.service.turns.wait(self._read_on)

    def ended(self) -> None:
        """The client sends no more."""
        assert self._client is not None
        self._has_ended = True
        if not self._slices:
            self._client.ended()

    def pulled(self, count: int) -> None:
        """The worker wants more of what follows the head."""
        client = self._client
        assert client is not None
        client.pulled(count)
        self._let_on()

    def close(self) -> None:
        """It is over."""
        if self.held is not None:
            self.held.close()
            self.held = None

    # ── a WebSocket that is held ────────────────────────────────────────────────────────────────

    def hold(self, request: ClientRequest, item: HoldSocket) -> None:
        """The worker wants it kept; or has another state for who goes on with it."""
        connection, held = self._connection, self.held
        if held is not None and connection.phase == UPGRADED:
            held.store(item)
            return
        if connection.phase != BUSY:
            raise LocalProtocolError("to be held, a WebSocket must be said so before its 101")
        if held is not None:
            held.close()
        self.held = HeldSocket(request, item, connection.service.spool_memory)
        connection.close_after = True  # whatever comes of it

    def messages_taken(self, count: int) -> None:
        """The application has them. Raises LocalProtocolError."""
        held = self._held_here()
        held.taken(count)
        self._let_on()

    def hand_over(self, item: HandOver) -> None:
        """The END that follows ends the request there, and not here. Raises LocalProtocolError."""
        held = self._held_here()
        if not held.can_go_on:
            raise LocalProtocolError("a WebSocket handed over within a message, or closed")
        held.is_leaving = True
        held.is_interrupted = item.is_interrupted

    def _held_here(self) -> HeldSocket:
        held = self.held
        if held is None or not held.is_attached or held.is_leaving:
            raise LocalProtocolError("a WebSocket that this worker does not hold")
        return held

    def has_left(self, item: ResponseChunk) -> bool:
        """Whether this is the END of a worker that hands the WebSocket over; it waits then."""
        held = self.held
        if held is None or not held.is_leaving or item.more:
            return False
        if item.data or not held.can_go_on:
            abort(self._connection, "a WebSocket handed over within a message")
        else:
            self.detach(is_interrupted=held.is_interrupted)
        return True

    def written(self, data: bytes) -> None:
        """The worker has sent bytes to the client."""
        if self.held is not None:
            self.held.written(data)
            self.answer_pings()
            if self.held.is_closing:
                self._let_on()

    def resumption(self) -> list[Resumed]:
        """What goes before its request to the next worker; nothing where no 101 has been sent."""
        held = self.held
        return [held.resumption()] if held and self._connection.phase == UPGRADED else []

    def detach(self, *, is_interrupted: bool) -> None:
        """Its worker has gone; the next one is asked for. Who closes meanwhile is not held up."""
        connection, held = self._connection, self.held
        request = connection.request
        assert request is not None
        assert held is not None
        held.detach(is_interrupted=is_interrupted)
        request.is_upgraded = False  # until the next 101 its time counts
        request.attempt = 0
        if connection.service.is_draining:
            request.worker = None
            fail(connection, request, 503, "N/A")
            return
        request.pool.queue_again(request)

    def shut_down(self) -> None:
        """The listener is leaving: no worker will come for a WebSocket that waits for one."""
        request = self._connection.request
        if request is not None and self.held is not None and not self.held.is_attached:
            fail(self._connection, request, 503, "N/A")

    def resumed(self, request: ClientRequest, item: Response, fd: int) -> None:
        """The next worker's answer: 101, and the WebSocket goes on; anything else closes it."""
        if fd >= 0:
            os.close(fd)
        connection, held = self._connection, self.held
        stream = connection.stream
        if held is None or stream is None or held.is_attached:
            raise LocalProtocolError("a second response")
        if item.status != 101 or not item.more:
            fail(connection, request, 502, "N/A")
            return
        request.progress = Progress.RESPONDING
        request.is_upgraded = True
        request.is_suspect = False
        if request.worker is not None and request.worker.suspect is request:
            request.worker.suspect = None
        connection.service.records.count("sockets_resumed")
        stream.begin_again()
        held.attach(connection.service.time())
        self._let_on()
        if connection.is_eof:
            self.ended()

    def answer_pings(self) -> None:
        """What is due, unless the client does not read what it was answered before."""
        connection, held = self._connection, self.held
        stream = connection.stream
        if held is None or stream is None or connection.request is None:
            return
        pong = held.answer(is_clear=not (connection.is_paused or stream.has_backlog))
        if pong:
            stream.add_own(pong)
            stream.advance()

    def end(self, *, is_restart: bool) -> None:
        """Close it in the worker's stead: nobody goes on with it."""
        connection, held = self._connection, self.held
        stream = connection.stream
        assert stream is not None
        assert held is not None
        if not held.may_speak:
            connection.service.records.count("connections_cut")
            connection.transport.abort()
            return
        held.close()
        stream.add_own(
            close_frame(RESTART, "service restart") if is_restart else close_frame(GOING_WRONG, "")
        )
        stream.finish()
        stream.advance()
