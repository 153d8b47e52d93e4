"""ClientConnection: one client's HTTP: its engine, and the request it is busy with.

What it does next is said by its phase (phases.py). It reads heads and hands bodies on
(arriving_body.py); what the worker answers comes by responding.py, what the listener answers itself
by own_answers.py, and either ends in `over` or one of its neighbours: the next request is read, or
the rest of a body, or the connection closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from was.errors import RemoteProtocolError
from was.listener.arriving_body import ArrivingBody
from was.listener.beyond_http import BeyondHttp
from was.listener.client_socket import MUCH_BYTES, ClientSocket
from was.listener.endings import client_gone
from was.listener.head import Head
from was.listener.head_scanner import check_incomplete, find_end, scan, skip_leading
from was.listener.own_answers import fail, refuse, turn_away
from was.listener.phases import (
    BODY,
    BUSY,
    CLOSED,
    DRAIN,
    DRAIN_BYTES,
    HEAD,
    LINGER,
    NEXT,
    UPGRADED,
)
from was.listener.request import ClientRequest, Progress
from was.listener.response import ResponseStream
from was.listener.routing import RouteMiss

if TYPE_CHECKING:
    from was.listener.routes import SiteRuntime
    from was.listener.service import ListenerService

__all__ = ["ClientConnection"]

# Looking a member up on its class is slow where it is done for every request.
ENDED = Progress.ENDED

DRAIN_S: Final = 1.0


class ClientConnection(ClientSocket):
    """A client, from accept to close."""

    __slots__ = (
        "_engine",
        "_watchers",
        "beyond",
        "body",
        "close_after",
        "first_request",
        "phase",
        "request",
        "scheme",
        "site",
        "stream",
    )

    def __init__(self, service: ListenerService, scheme: str) -> None:
        super().__init__(service)
        self.scheme = scheme
        self._engine = service.new_engine()
        self.phase = HEAD
        self.site: SiteRuntime | None = None
        self.request: ClientRequest | None = None
        self.body: ArrivingBody | None = None
        self.stream: ResponseStream | None = None
        self.beyond: BeyondHttp | None = None
        self.close_after = False
        self.first_request = 0  # its id
        # Workers that want to hear of the connection's end.
        self._watchers: dict[int, Callable[[bool], None]] | None = None

    # ── transport events ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client was accepted."""
        self._accepted(transport)
        service = self.service
        service.room.join(self)
        self.deadline = service.time() + service.connection_timeout_s
        self.deadline_reason = "Timer_ConnectionIdle"

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whomever."""
        self.phase = CLOSED
        service = self.service
        service.connections.discard(self)
        request = self.request
        if self._watchers is not None:
            by_client = self.is_eof or request is not None or exc is not None
            for tell in self._watchers.values():
                tell(by_client)
            self._watchers = None
        if request is not None:
            self.request = None
            client_gone(self, request)
        self.drop_stream()
        if self.beyond is not None:
            self.beyond.close()
        if self.site is not None:
            self.site.connections -= 1
            self.site = None
        self.buffer = b""
        if self.body is not None:
            self.forget_body()

    def watch(self, worker_id: int, tell: Callable[[bool], None]) -> None:
        """Tell a worker of the connection's end: True if it is the client that goes."""
        if self._watchers is None:
            self._watchers = {}
        self._watchers[worker_id] = tell

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        phase = self.phase
        if phase == HEAD:
            if self.buffer:
                data = self.buffer + data
                self.buffer = b""
            if self.is_paused:
                # Who does not read answers is asked for no further requests: they would pile up.
                self.phase = NEXT
                self.read_ahead(data)
                self.pause_reading()
            else:
                self._on_head(data)
        elif phase == BODY:
            assert self.body is not None
            self.body.feed(data)
        elif phase == BUSY:
            self.read_ahead(data)
        elif phase == UPGRADED:
            assert self.beyond is not None
            self.beyond.arrived(data)
        elif phase == DRAIN:
            self._on_drain(data)
        elif phase == LINGER:
            self._discard(data)
        elif phase == NEXT:
            self.read_ahead(data)
        if len(data) >= MUCH_BYTES:
            self.stand_in_line()

    def eof_received(self) -> bool:
        """The client closed its half: what it asked for is still answered (RFC 9112, 9.6)."""
        self.is_eof = True
        phase = self.phase
        if phase == BUSY:
            if self.request is not None:
                self.service.half_closed.add(self, self.request, self.service.time())
            return True
        if phase == UPGRADED:
            assert self.beyond is not None
            self.beyond.ended()
            return True
        if phase == NEXT or (self.body is not None and self.body.is_in_line):
            return True  # its end is met when what has come has been read
        if phase == BODY and self.request is not None and self.request.progress > Progress.QUEUED:
            self.service.records.failed(self, self.request, 0, "Client_Reset")
        return False

    def resume_writing(self) -> None:
        """The transport's buffer has run down."""
        super().resume_writing()
        if self.stream is not None:
            self.stream.advance()
            if self.beyond is not None:
                self.beyond.answer_pings()
        elif self.phase == HEAD or self.phase == NEXT:
            self.resume_reading()
            if self.phase == NEXT:
                self.loop.call_soon(self._read_next)

    # ── a request arrives ───────────────────────────────────────────────────────────────────────

    def _on_head(self, data: bytes) -> None:
        service = self.service
        if data[0] <= 13:
            data = data[skip_leading(data) :]
        end = data.find(b"\n\r\n") + 3
        if end == 2:
            end = find_end(data)
            if end < 0:
                self._incomplete_head(data)
                return
        raw = data if end == len(data) else data[:end]
        is_complete = True
        head = service.known_heads.get(raw)
        if head is None:
            try:
                head = scan(raw, service.limits)
                is_complete = self._engine.begin(raw, head)
            except RemoteProtocolError as error:
                refuse(self, error, raw)
                return
            if is_complete:
                service.known_heads.learn(raw, head)
        target = service.routes.lookup(
            self.scheme, head.host, self.peer[3], self.peer[2], head.path
        )
        if isinstance(target, RouteMiss):
            turn_away(self, head, target.status, target.reason)
            return
        site = target.site
        if site is not self.site and not self._join_site(site, head):
            return
        pool = target.pool
        service.last_request += 1
        now = service.time()
        request = ClientRequest(
            service.last_request,
            self,
            head,
            pool,
            site.id,
            target.application,
            now,
            now,
            head.size,
        )
        self.request = request
        self.deadline = 0.0
        if is_complete:
            self.phase = BUSY
            if end != len(data):
                self.read_ahead(data[end:])
            pool.submit(request)
        else:
            self._begin_body(request, data[end:])

    def _begin_body(self, request: ClientRequest, data: bytes) -> None:
        self.phase = BODY
        request.is_body_complete = False
        request.body_length = request.head.content_length
        refusal = request.pool.refusal()
        if refusal:
            # Nothing of a body is taken for a queue that will not have the request.
            fail(self, request, 503, refusal)
            self.drain_rest(data)
            return
        self.resume_reading()
        self.body = ArrivingBody(self, request, self._engine, self.service.spool_memory)
        self.body.begin(data)

    def _incomplete_head(self, data: bytes) -> None:
        service = self.service
        try:
            check_incomplete(data, service.limits)
        except RemoteProtocolError as error:
            refuse(self, error, data)
            return
        if self.is_eof:
            self.transport.close()  # no more of it will come
            return
        if self.deadline_reason != "Timer_HeaderWait":
            self.deadline = service.time() + service.header_wait_s
            self.deadline_reason = "Timer_HeaderWait"
        self.resume_reading()
        self.buffer = data

    def _join_site(self, site: SiteRuntime, head: Head) -> bool:
        if site.connections >= site.max_connections:
            turn_away(self, head, 503, "ConnLimit", site_id=site.id)
            return False
        if self.site is not None:
            self.site.connections -= 1
        else:
            self.first_request = self.service.last_request + 1
        self.site = site
        site.connections += 1
        return True

    # ── after the response ──────────────────────────────────────────────────────────────────────

    def response_sent(self, request: ClientRequest) -> None:
        """All of a streamed response is with the transport or the socket."""
        stream = self.stream
        assert stream is not None
        self.drop_stream()
        self.deadline = 0.0
        if stream.log:
            self.service.records.request(
                request,
                stream.log,
                stream.status,
                stream.substatus,
                stream.win32,
                stream.sent_bytes,
            )
        self.over(request)

    def drop_stream(self) -> None:
        """Nothing more is sent of the response."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def over(self, request: ClientRequest) -> None:
        """The request is answered and logged: keep the connection, drain it, or close it."""
        self.request = None
        request.progress = ENDED
        request.connection = None
        if self.body is not None:
            self.forget_body()
        if request.spool is not None:
            request.release_body()
        if self.close_after:
            if self.beyond is not None:
                self.beyond.close()
            self.close_gently()
        elif self.phase == BUSY:
            self.next_request()
        else:
            # BODY: the answer came before the body's end.
            self.start_drain()

    def forget_body(self) -> None:
        """Nobody wants it."""
        assert self.body is not None
        self.body.forget()
        self.body = None

    def start_drain(self) -> None:
        """Read the rest of a body that nobody wants, if it is short and comes soon."""
        self.phase = DRAIN
        self.discarded = 0
        self.deadline = self.service.time() + DRAIN_S
        self.deadline_reason = "Timer_EntityBody"
        self.resume_reading()

    def next_request(self) -> None:
        """Wait for one, or read the one that has come."""
        service = self.service
        site = self.site
        self.deadline = service.time() + (
            service.connection_timeout_s if site is None else site.connection_timeout_s
        )
        self.deadline_reason = "Timer_ConnectionIdle"
        if self.is_reading_paused and not self.is_paused:
            self.resume_reading()
        if not self.buffer:
            self.phase = HEAD
            if self.is_eof:
                self.transport.close()
            return
        self.phase = NEXT
        if not self.is_paused:
            # Not from here: a long pipeline must not become a deep recursion, nor hold the loop.
            self.loop.call_soon(self._read_next)

    def _read_next(self) -> None:
        if self.phase != NEXT:
            return
        self.phase = HEAD
        data, self.buffer = self.buffer, b""
        self._on_head(data)
        self.meet_end()

    def meet_end(self) -> None:
        """What has come has been read: if the client's end came with it, it is met only now."""
        if self.is_eof and not self.buffer and not self.eof_received():
            self.transport.close()

    def drain_rest(self, data: bytes) -> None:
        """What came with the head of a request that was refused belongs to its body."""
        if data and self.phase == DRAIN:
            self._on_drain(data)

    def _on_drain(self, data: bytes) -> None:
        """The rest of a body nobody wants any more."""
        self.discarded += len(data)
        try:
            _, is_complete, rest = self._engine.feed(data)
        except RemoteProtocolError:
            self.close_gently()
            return
        if is_complete:
            self.phase = BUSY
            self.buffer = rest
            self.next_request()
        elif self.discarded > DRAIN_BYTES:
            self.close_gently()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def close_gently(self) -> None:
        """Close our half after what was written; read on a while, so that no reset overtakes it."""
        self.phase = LINGER if self._half_close() else CLOSED

    def leave_http(self) -> BeyondHttp:
        """What it is beyond HTTP: a worker has said, or is about to say, that it is to leave it."""
        if self.beyond is None:
            self.beyond = BeyondHttp(self)
        return self.beyond

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is with a pool."""
        return self.phase != BUSY and self.phase != UPGRADED

    @property
    def descriptors(self) -> int:
        """How many the listener has open for it."""
        stream, request = self.stream, self.request
        count = 1 if stream is None else 1 + stream.descriptors
        if request is not None and request.spool is not None and request.spool.file >= 0:
            count += 1
        return count

    @property
    def is_upgraded(self) -> bool:
        """Whether it has left HTTP; how it ends then, nobody but its worker knows."""
        return self.phase == UPGRADED

    def shut_down(self) -> None:
        """The listener is leaving: close when idle; a busy one closes after its response."""
        if self.phase == HEAD and not self.buffer:
            self.close_gently()
            return
        self.close_after = True
        if self.phase == UPGRADED and self.beyond is not None:
            self.beyond.shut_down()
