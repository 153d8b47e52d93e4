"""ArrivingBody: the body of one request, from the head to its last byte.

It is kept for a worker: in memory up to the pool's bodySpool, then in a Spool. A pool that streams,
and one that will not wait for a body as long as this, gets it while it arrives; then the client
waits whenever the worker is more than a spool behind. While the pool's spools are full most bodies
wait for those of older requests.

A client that waits for 100 Continue gets it when somebody is to have the body: at once when it is
short, at the worker's first pull when it streams. In between lies a body that is kept and is long:
a worker sees the head first, and refuses the request if it is too long for it.

Chunks may be as short as a byte: they are read in slices (slices.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from was.errors import RemoteProtocolError
from was.ipc.messages import CHUNK_BYTES
from was.listener import pulled_bodies
from was.listener.client_socket import READ_AHEAD
from was.listener.endings import abort
from was.listener.own_answers import answer, fail
from was.listener.phases import BODY, BUSY
from was.listener.request import Progress
from was.listener.slices import Slices
from was.listener.spool import Spool

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.engines import Engine
    from was.listener.request import ClientRequest
    from was.listener.spool import SpoolAccount, SpoolMemory

__all__ = ["CONTINUE", "ArrivingBody"]

READING = Progress.READING
RESPONDING = Progress.RESPONDING

# What came in many parts is put together now and then: each costs more than the byte it may hold.
MOST_PARTS: Final = 64
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ArrivingBody:
    """What has come of a body and what is awaited; a Runner of the pool's SpoolAccount."""

    __slots__ = (
        "_connection",
        "_engine",
        "_is_awaited",
        "_is_held_up",
        "_memory",
        "_parts",
        "_request",
        "_size",
        "_slices",
        "_waits_for",
    )

    def __init__(
        self,
        connection: ClientConnection,
        request: ClientRequest,
        engine: Engine,
        memory: SpoolMemory,
    ) -> None:
        self._connection = connection
        self._request = request
        self._engine = engine
        self._memory = memory
        self._parts: list[bytes] = []
        self._size = 0
        self._waits_for: SpoolAccount | None = None
        self._is_awaited = False  # a 100 Continue, by the client
        self._slices = Slices()
        self._is_held_up = False  # the client waits, and it is not for us

    # ── arriving ────────────────────────────────────────────────────────────────────────────────

    def begin(self, data: bytes) -> None:
        """`data` came with the head."""
        connection, request = self._connection, self._request
        pool, length = request.pool, request.head.content_length
        settings = pool.settings
        self._is_awaited = request.head.expect_continue and not data
        is_streamed = settings.streaming or length > settings.max_spool
        if self._is_awaited and not is_streamed:
            request.ask_first = pool.refuses_by_length and length > settings.body_spool
        if is_streamed or request.ask_first:
            request.spool = Spool(pool.account, settings.body_spool)
            pool.submit(request)
            if connection.request is not request:
                connection.drain_rest(data)
                return
        elif self._is_awaited:
            self.ask_for()
        if data:
            self.feed(data)
        elif not self._is_awaited:
            self.await_more()

    def ask_for(self) -> None:
        """Somebody wants the body: if the client waits to be told so, tell it."""
        if not self._is_awaited:
            return
        self._is_awaited = False
        request = self._request
        if request.received_bytes == request.head.size:  # else it has not waited
            self._connection.transport.write(CONTINUE)
            self.await_more()

    def feed(self, data: bytes) -> None:
        """More bytes of the client's."""
        slices = self._slices
        if slices:
            slices.add(data)
            self._connection.pause_reading()  # somebody has let it on meanwhile
        elif self._request.head.chunked and not slices.fits(data):
            slices.add(data)
            self._read_on()
        else:
            self._read(data)

    @property
    def is_in_line(self) -> bool:
        """Whether some of what has come waits for its turn."""
        return bool(self._slices)

    def _read_on(self) -> None:
        """What has come, a slice at a time."""
        connection = self._connection
        if not self._slices.read(self._read):
            connection.pause_reading()
            connection.service.turns.wait(self._read_on)
        elif connection.body is self:
            if not self._is_held_up:
                connection.resume_reading()
            connection.meet_end()

    def _read(self, data: bytes) -> int:
        """Bytes of the body, in so many chunks, and perhaps its end."""
        request = self._request
        try:
            pieces, is_complete, rest = self._engine.feed(data)
        except RemoteProtocolError as error:
            self._refuse(error)
            return 0
        request.received_bytes += len(data) - len(rest)
        if is_complete:
            rest += self._slices.take()
        try:
            if pieces:
                self._keep(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        except OSError as error:
            self._spool_failed(error, rest if is_complete else None)
            return 0
        if is_complete:
            self._make_room()
            self._ended(rest)
            self._complete()
            return 0
        self._go_on()
        return len(pieces)

    def _go_on(self) -> None:
        """It is not whole; who is to have it may be told of what has come."""
        request, connection = self._request, self._connection
        self.await_more()
        if request.progress is not READING:
            pulled_bodies.arrived(request)
            self._bound_stream()
        elif request.spool is not None and request.spool.size >= request.pool.settings.max_spool:
            # Too long to wait for its end: the worker gets it while it arrives.
            request.pool.submit(request)
            if connection.request is request:
                self._bound_stream()
        elif request.spool is not None:
            self._wait_for_room(request.pool.account)

    def _keep(self, piece: bytes) -> None:
        request = self._request
        spool = request.spool
        if spool is not None:
            spool.append(piece)
            return
        memory = self._memory
        self._size += len(piece)
        memory.held_bytes += len(piece)
        self._parts.append(piece)
        if len(self._parts) == MOST_PARTS:
            self._parts = [b"".join(self._parts)]
        limit = request.pool.settings.body_spool
        if self._size > limit or self._size > CHUNK_BYTES or memory.is_full():
            # Beyond a chunk it would not travel in one message with its head.
            parts = self._take()
            request.spool = spool = Spool(request.pool.account, limit)
            for part in parts:
                spool.append(part)

    def _complete(self) -> None:
        request = self._request
        request.is_body_complete = True
        if request.spool is None:
            parts = self._take()
            request.body = parts[0] if len(parts) == 1 else b"".join(parts)
            request.body_length = len(request.body)
        elif request.progress is READING:
            request.body_length = request.spool.size
        if request.progress is READING:
            request.pool.submit(request)
        else:
            pulled_bodies.arrived(request)

    def _ended(self, rest: bytes) -> None:
        """It is whole; `rest` belongs to the next request."""
        self._await_nothing()
        self._connection.phase = BUSY
        if rest:
            self._connection.read_ahead(rest)

    def _spool_failed(self, error: OSError, rest: bytes | None) -> None:
        """It could not be kept; `rest` is what follows it, None while it still comes."""
        connection, request = self._connection, self._request
        connection.service.records.spool_failed(error)
        if rest is not None:
            request.is_body_complete = True
            connection.phase = BUSY
            connection.buffer = rest
        fail(connection, request, 503, "N/A")

    def _refuse(self, error: RemoteProtocolError) -> None:
        """It is not HTTP."""
        connection, request = self._connection, self._request
        connection.service.records.failed(connection, request, error.status, error.reason)
        if request.progress is RESPONDING:
            abort(connection, "the body is not HTTP")
            return
        request.pool.abandon(request)
        connection.request = None
        answer(connection, error.status, error.reason, close=True, request=request)

    def _take(self) -> list[bytes]:
        """What is in memory, and is counted there no more."""
        parts, self._parts = self._parts, []
        self._memory.held_bytes -= self._size
        self._size = 0
        return parts

    def forget(self) -> None:
        """Nobody wants it. What was not read is lost: after half a body in chunks we close."""
        self._take()
        self._make_room()
        self._slices.take()

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────

    def _bound_stream(self) -> None:
        """While a body streams, the client waits when the worker is more than a spool behind.

        One that may be needed again is kept, and runs ahead while the pool's spools have room.
        """
        request = self._request
        spool = request.spool
        if spool is None:
            return
        settings = request.pool.settings
        if pulled_bodies.unread(request) > max(settings.body_spool, READ_AHEAD) and (
            settings.streaming or spool.size >= settings.max_spool or request.pool.account.is_full()
        ):
            self._hold_up()

    def _wait_for_room(self, account: SpoolAccount) -> None:
        """While the pool's spools are full most clients wait with the rest of their bodies."""
        if not account.may_arrive(self):
            self._hold_up()
            self._waits_for = account
        elif account.is_full():
            self._waits_for = account  # it is among the first: others wait for its end

    def _make_room(self) -> None:
        if self._waits_for is not None:
            account, self._waits_for = self._waits_for, None
            account.body_over(self)

    @property
    def order(self) -> int:
        """Bodies of older requests arrive first."""
        return self._request.id

    def may_run(self) -> None:
        """There may be room for more of the body."""
        self.let_on()

    def await_more(self) -> None:
        """More of it is to come soon."""
        connection = self._connection
        site, service = connection.site, connection.service
        limit_s = service.entity_body_s if site is None else site.connection_timeout_s
        connection.deadline = service.time() + limit_s
        connection.deadline_reason = "Timer_EntityBody"

    def _await_nothing(self) -> None:
        """Nothing is awaited from the client; what it is being sent it must still take."""
        connection = self._connection
        if connection.stream is None:
            connection.deadline = 0.0
        else:
            connection.stream.watch_pace()

    def _hold_up(self) -> None:
        """The client waits with the rest: it is not it who is slow."""
        self._is_held_up = True
        self._connection.pause_reading()
        self._await_nothing()

    def let_on(self) -> None:
        """Whoever held the body up has room for more."""
        connection = self._connection
        self._is_held_up = False
        if connection.phase == BODY and connection.is_reading_paused:
            if not self._slices:
                connection.resume_reading()
            self.await_more()
