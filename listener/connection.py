"""ClientConnection: one client's HTTP: its engine, and the request it is busy with.

Phases: HEAD (waiting for a request), BODY (its body arrives), BUSY (a worker has it, or it waits
for one; what the client sends meanwhile is read ahead up to READ_AHEAD), LINGER (we closed our
half and discard what comes, so that no reset destroys the last answer), CLOSED; UPGRADED after a
101, when the bytes are no HTTP any more.

A connection has at most one request; pipelined ones wait in its buffer. The response of a request
whose body has not been read is followed by a drain of up to DRAIN_BYTES or DRAIN_S, after which the
connection is kept, else closed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from was.errors import LocalProtocolError, RemoteProtocolError
from was.ipc.messages import (
    AbortResponse,
    EarlyHints,
    HandOver,
    HoldSocket,
    Response,
    ResponseChunk,
    Resumed,
    request_id_text,
)
from was.listener.arriving_body import ArrivingBody
from was.listener.client_socket import ClientSocket
from was.listener.head_scanner import Head, check_incomplete, find_end, scan, skip_leading
from was.listener.headers import check_block, response_head, without_empty_server
from was.listener.held_frames import GOING_WRONG, RESTART, close_frame
from was.listener.held_socket import HeldSocket
from was.listener.http_pages import page
from was.listener.request import ClientRequest, Progress
from was.listener.response import ResponseStream
from was.listener.routing import RouteMiss
from was.listener.upgraded import Upgraded, upgrade_head

if TYPE_CHECKING:
    from was.listener.routes import SiteRuntime
    from was.listener.service import ListenerService

__all__ = ["ClientConnection"]

HEAD: Final = 0
BODY: Final = 1
BUSY: Final = 2
DRAIN: Final = 3
LINGER: Final = 4
CLOSED: Final = 5
UPGRADED: Final = 6

# Looking a member up on its class is slow where it is done for every request.
ENDED = Progress.ENDED
QUEUED = Progress.QUEUED
READING = Progress.READING
RESPONDING = Progress.RESPONDING

DRAIN_BYTES: Final = 64 * 1024
DRAIN_S: Final = 1.0


class ClientConnection(ClientSocket):
    """A client, from accept to close."""

    __slots__ = (
        "_body",
        "_close_after",
        "_engine",
        "_log",
        "_phase",
        "_scheme",
        "_site",
        "_status",
        "_stream",
        "_substatus",
        "_upgraded",
        "_watchers",
        "_win32",
        "held",
        "request",
    )

    def __init__(self, service: ListenerService, scheme: str) -> None:
        super().__init__(service)
        self._scheme = scheme
        self._body: ArrivingBody | None = None
        self._phase = HEAD
        self._engine = service.new_engine()
        self.request: ClientRequest | None = None
        self._stream: ResponseStream | None = None
        self._site: SiteRuntime | None = None
        self._close_after = False
        self._log = ""
        self._status = 0
        self._substatus = 0
        self._upgraded: Upgraded | HeldSocket | None = None
        self._win32 = 0
        # Workers that want to hear of the connection's end.
        self._watchers: dict[int, Callable[[bool], None]] | None = None
        self.held: HeldSocket | None = None  # also before its 101

    # ── transport events ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client was accepted."""
        self._accepted(transport)
        service = self._service
        service.join(self)
        self.deadline = service.time() + service.connection_timeout_s
        self.deadline_reason = "Timer_ConnectionIdle"

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whomever."""
        self._phase = CLOSED
        service = self._service
        service.connections.discard(self)
        request = self.request
        if self._watchers is not None:
            by_client = self._is_eof or request is not None or exc is not None
            for tell in self._watchers.values():
                tell(by_client)
            self._watchers = None
        if request is not None:
            self.request = None
            self._client_gone(request)
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self.held is not None:
            self.held.close()
            self.held = None
        if self._site is not None:
            self._site.connections -= 1
            self._site = None
        self._buffer = b""
        if self._body is not None:
            self._forget_body()

    def watch(self, worker_id: int, tell: Callable[[bool], None]) -> None:
        """Tell a worker of the connection's end: True if it is the client that goes."""
        if self._watchers is None:
            self._watchers = {}
        self._watchers[worker_id] = tell

    def _client_gone(self, request: ClientRequest) -> None:
        """The client left while a request of it was not over."""
        service = self._service
        if request.progress is RESPONDING and self._log:
            # The worker has ended it already; only the last bytes did not reach the client.
            service.records.request(
                request, self._log, self._status, self._substatus, 64, self._sent_bytes()
            )
        elif request.progress <= QUEUED:
            service.records.error(
                self.peer, request.head, 0, request.site_id, "Client_Reset", request
            )
        request.pool.client_gone(request)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        phase = self._phase
        if phase == HEAD:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            if self.is_paused:
                self._read_ahead(data)
                self.pause_reading()
                return
            self._on_head(data)
        elif phase == BODY:
            assert self._body is not None
            self._body.feed(data)
        elif phase == BUSY:
            self._read_ahead(data)
        elif phase == UPGRADED:
            self._on_upgraded(data)
        elif phase == DRAIN:
            self._on_drain(data)
        elif phase == LINGER:
            self._discard(data)

    def eof_received(self) -> bool:
        """The client closed its half: what it asked for is still answered (RFC 9112, 9.6)."""
        self._is_eof = True
        phase = self._phase
        if phase == BUSY:
            return True
        if self._upgraded is not None:
            self._upgraded.ended()
            return True
        if phase == HEAD and self._buffer:
            # A pipelined request may wait for this turn's end; half a head is dropped there.
            self.loop.call_soon(self._read_pipelined)
            return True
        if phase == BODY and self.request is not None and self.request.progress > QUEUED:
            self._service.records.error(
                self.peer, self.request.head, 0, self.request.site_id, "Client_Reset", self.request
            )
        return False

    def resume_writing(self) -> None:
        """The transport's buffer has run down."""
        super().resume_writing()
        if self._stream is not None:
            self._stream.advance()
            self._answer_pings()
        elif self._phase == HEAD:
            self.resume_reading()
            if self._buffer:
                self.loop.call_soon(self._read_pipelined)

    # ── a request arrives ───────────────────────────────────────────────────────────────────────

    def _on_head(self, data: bytes) -> None:
        service = self._service
        if data[0] <= 13:
            data = data[skip_leading(data) :]
        end = data.find(b"\n\r\n") + 3
        if end == 2:
            end = find_end(data, 0)
            if end < 0:
                self._incomplete_head(data)
                return
        raw = data if end == len(data) else data[:end]
        try:
            head = scan(raw, service.limits)
            is_complete = self._engine.begin(raw, head)
        except RemoteProtocolError as error:
            self._refuse(error, raw)
            return
        target = service.routes.lookup(
            self._scheme, head.host, self.peer[3], self.peer[2], head.path
        )
        if isinstance(target, RouteMiss):
            self._no_route(head, target)
            return
        site = target.site
        if site is not self._site and not self._join_site(site, head):
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
            self._phase = BUSY
            if end != len(data):
                self._read_ahead(data[end:])
            pool.submit(request)
            return
        self._phase = BODY
        request.is_body_complete = False
        request.body_length = head.content_length
        refusal = pool.refusal()
        if refusal:
            # Nothing of a body is taken for a queue that will not have the request.
            self.fail(request, 503, refusal)
            self.drain_rest(data[end:])
            return
        self._body = ArrivingBody(self, request, self._engine, service.spool_memory)
        self._body.begin(data[end:])

    def _incomplete_head(self, data: bytes) -> None:
        service = self._service
        try:
            check_incomplete(data, service.limits)
        except RemoteProtocolError as error:
            self._refuse(error, data)
            return
        if self._is_eof:
            self.transport.close()  # no more of it will come
            return
        if self.deadline_reason != "Timer_HeaderWait":
            self.deadline = service.time() + service.header_wait_s
            self.deadline_reason = "Timer_HeaderWait"
        self._buffer = data

    def _join_site(self, site: SiteRuntime, head: Head) -> bool:
        if site.connections >= site.max_connections:
            self._service.records.error(self.peer, head, 503, site.id, "ConnLimit", None)
            self.answer(503, "ConnLimit", close=True)
            return False
        if self._site is not None:
            self._site.connections -= 1
        self._site = site
        site.connections += 1
        return True

    def _no_route(self, head: Head, miss: RouteMiss) -> None:
        self._service.records.error(self.peer, head, miss.status, 0, miss.reason, None)
        self.answer(miss.status, miss.reason, close=True)

    def _refuse(self, error: RemoteProtocolError, raw: bytes) -> None:
        """The client broke HTTP: say so, and close (where it stops speaking HTTP is unknown)."""
        self._service.records.refusal(self.peer, raw, error.status, error.reason)
        self.answer(error.status, error.page or error.reason, close=True)

    # ── its body (see arriving_body.py) ─────────────────────────────────────────────────────────

    def await_body(self) -> None:
        """More of the body is to come soon."""
        site = self._site
        limit_s = self._service.entity_body_s if site is None else site.connection_timeout_s
        self.deadline = self._service.time() + limit_s
        self.deadline_reason = "Timer_EntityBody"

    def _await_nothing(self) -> None:
        """Nothing is awaited from the client; what it is being sent it must still take."""
        if self._stream is None:
            self.deadline = 0.0
        else:
            self._watch_sending()

    def hold_body_up(self) -> None:
        """The client waits with the rest of its body: it is not it who is slow."""
        self.pause_reading()
        self._await_nothing()

    def let_body_on(self) -> None:
        """Whoever held the body up has room for more."""
        if self._phase == BODY and self._is_reading_paused:
            self.resume_reading()
            self.await_body()

    def body_ended(self, rest: bytes) -> None:
        """The body is whole; `rest` belongs to the next request."""
        self._await_nothing()
        self._phase = BUSY
        if rest:
            self._read_ahead(rest)

    def spool_failed(self, request: ClientRequest, error: OSError, rest: bytes | None) -> None:
        """The body could not be kept; `rest` is what follows it, None while it still comes."""
        self._service.records.spool_failed(error)
        if rest is not None:
            request.is_body_complete = True
            self._phase = BUSY
            self._buffer = rest
        self.fail(request, 503, "N/A")

    def refuse_body(self, request: ClientRequest, error: RemoteProtocolError) -> None:
        """The body is not HTTP."""
        self._service.records.error(
            self.peer, request.head, error.status, request.site_id, error.reason, request
        )
        if request.progress is RESPONDING:
            self.abort("the body is not HTTP")
            return
        request.pool.abandon(request)
        self.request = None
        self.answer(error.status, error.page or error.reason, close=True)

    # ── the response ────────────────────────────────────────────────────────────────────────────

    def on_hints(self, request: ClientRequest, item: EarlyHints) -> None:
        """103 (RFC 8297). Raises LocalProtocolError for fields no client may see."""
        check_block(item.block)
        if request.progress is RESPONDING or request.head.version != 11 or self.is_paused:
            return
        if self._phase == UPGRADED:
            return
        self.transport.write(b"HTTP/1.1 103 Early Hints\r\n" + item.block + b"\r\n")

    def on_response(self, request: ClientRequest, item: Response, fd: int) -> None:
        """The worker's Response. Raises LocalProtocolError for one no client may see."""
        if self._phase == UPGRADED:
            self._on_resumed(request, item, fd)
            return
        service = self._service
        head = request.head
        version = head.version
        status = item.status
        if not 200 <= status <= 599:
            if status != 101 or self._phase != BUSY:
                raise LocalProtocolError(f"status {status}")
            self._upgrade(request, item)
            return
        block = item.block
        has_date, has_server = check_block(block)
        if has_server:
            block = without_empty_server(block)
        more = item.more
        body = item.body
        length = item.length
        if length < 0 and not more:
            length = len(body) + item.file_length
        has_body = head.method != "HEAD" and status != 204 and status != 304
        is_chunked = False
        close = self._close_after or item.close or not head.keep_alive or service.is_draining
        if not has_body:
            if status == 204 or (status == 304 and item.length < 0):
                length = -1
        elif length < 0:
            if version == 11:
                is_chunked = True
            else:
                close = True
        if not request.is_body_complete and not self._will_drain(request):
            close = True
        data = response_head(
            version,
            status,
            item.reason,
            block,
            length,
            is_chunked,
            close,
            service.standing[has_date, has_server],
            version == 10 and not close,
        )
        self._close_after = close
        self._status = status
        request.progress = RESPONDING
        if not (more or item.file_token or self.is_paused):
            if has_body:
                if len(body) != length:
                    raise LocalProtocolError(f"{len(body)} bytes of body, {length} promised")
                if body:
                    data += body
            self.transport.write(data)
            if item.log:
                service.records.request(
                    request, item.log, status, item.substatus, item.win32, len(data)
                )
            self._over(request)
            return
        stream = self._stream = ResponseStream(
            self, request, length=length, is_chunked=is_chunked, has_body=has_body
        )
        stream.sent_bytes = len(data)
        if self.deadline == 0.0:  # else a body still arrives, and has its own timer
            self._watch_sending()
        self.transport.write(data)
        self._feed_stream(request, body, more, fd, item.file_offset, item.file_length, item)

    def _upgrade(self, request: ClientRequest, item: Response) -> None:
        """101: from here on the bytes are the affair of worker and client (see upgraded.py)."""
        data = upgrade_head(request, item, self._service.standing)
        self._close_after = True
        self._status = 101
        request.progress = RESPONDING
        request.is_upgraded = True
        rest, self._buffer = self._buffer, b""
        self._phase = UPGRADED
        held = self.held
        self._upgraded = Upgraded(request, rest) if held is None else held
        stream = self._stream = ResponseStream(
            self, request, length=-1, is_chunked=False, has_body=True
        )
        stream.sent_bytes = len(data)
        self._watch_sending()
        self.transport.write(data)
        stream.add(item.body)
        stream.advance()
        if held is not None:
            held.written(item.body)
            held.attach(self._service.time())
            self._on_upgraded(rest)
        if self._is_eof:
            self._upgraded.ended()

    def _on_upgraded(self, data: bytes) -> None:
        assert self._upgraded is not None
        self._upgraded.arrived(data)
        if self.held is not None:
            self._answer_pings()
        if self._upgraded.is_full:
            self.pause_reading()

    def upgraded_pulled(self, count: int) -> bool:
        """The worker wants more of what follows the head; False when nothing was upgraded."""
        if self._upgraded is None:
            return False
        self._upgraded.pulled(count)
        if not self._upgraded.is_full:
            self.resume_reading()
        return True

    # ── a WebSocket that is held (see held_socket.py) ───────────────────────────────────────────

    def hold(self, request: ClientRequest, item: HoldSocket) -> None:
        """The worker wants it kept; or has another state for who goes on with it."""
        held = self.held
        if held is not None and self._phase == UPGRADED:
            held.store(item)
            return
        if self._phase != BUSY:
            raise LocalProtocolError("to be held, a WebSocket must be said so before its 101")
        if held is not None:
            held.close()
        self.held = HeldSocket(request, item, self._service.spool_memory)
        self._close_after = True  # whatever comes of it

    def messages_taken(self, count: int) -> None:
        """The application has them. Raises LocalProtocolError."""
        held = self._held_here()
        held.taken(count)
        if not held.is_full:
            self.resume_reading()

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

    def resumption(self) -> list[Resumed]:
        """What goes before its request to the next worker; nothing where no 101 has been sent."""
        return [self.held.resumption()] if self.held is not None and self._phase == UPGRADED else []

    def detach(self, *, is_interrupted: bool) -> None:
        """Its worker has gone; the next one is asked for. Who closes meanwhile is not held up."""
        request, held = self.request, self.held
        assert request is not None
        assert held is not None
        held.detach(is_interrupted=is_interrupted)
        request.is_upgraded = False  # until the next 101 its time counts
        request.attempt = 0
        if self._service.is_draining:
            request.worker = None
            self.fail(request, 503, "N/A")
            return
        request.pool.queue_again(request)

    def _on_resumed(self, request: ClientRequest, item: Response, fd: int) -> None:
        """The next worker's answer: 101, and the WebSocket goes on; anything else closes it."""
        if fd >= 0:
            os.close(fd)
        held, stream = self.held, self._stream
        if held is None or stream is None or held.is_attached:
            raise LocalProtocolError("a second response")
        if item.status != 101 or not item.more:
            self.fail(request, 502, "N/A")
            return
        request.progress = RESPONDING
        request.is_upgraded = True
        request.is_suspect = False
        if request.worker is not None and request.worker.suspect is request:
            request.worker.suspect = None
        self._service.records.count("sockets_resumed")
        stream.begin_again()
        held.attach(self._service.time())
        if not held.is_full:
            self.resume_reading()
        if self._is_eof:
            held.ended()

    def _answer_pings(self) -> None:
        """What is due, unless the client does not read what it was answered before."""
        held, stream = self.held, self._stream
        if held is None or stream is None or self.request is None:
            return
        pong = held.answer(is_clear=not (self.is_paused or stream.has_backlog))
        if pong:
            stream.add_own(pong)
            stream.advance()

    def _end_held(self, code: int) -> None:
        """Close it in the worker's stead: nobody goes on with it."""
        stream, held = self._stream, self.held
        assert stream is not None
        assert held is not None
        if not held.may_speak:
            self._service.records.count("connections_cut")
            self.transport.abort()
            return
        held.close()
        stream.add_own(close_frame(code, "service restart" if code == RESTART else ""))
        stream.finish()
        stream.advance()

    def on_chunk(self, request: ClientRequest, item: ResponseChunk, fd: int) -> None:
        """More of the response."""
        if self._stream is None:
            raise LocalProtocolError("a chunk before its response")
        held = self.held
        if held is not None:
            if held.is_leaving and not item.more:
                if item.data or not held.can_go_on:
                    self.abort("a WebSocket handed over within a message")
                    return
                self.detach(is_interrupted=held.is_interrupted)
                return
            if fd >= 0:
                os.close(fd)
                raise LocalProtocolError("a file in a WebSocket that is held")
        self._feed_stream(
            request, item.data, item.more, fd, item.file_offset, item.file_length, item
        )
        if held is not None and item.more:
            held.written(item.data)
            self._answer_pings()

    def _feed_stream(
        self,
        request: ClientRequest,
        data: bytes,
        more: bool,
        fd: int,
        file_offset: int,
        file_length: int,
        item: Response | ResponseChunk,
    ) -> None:
        stream = self._stream
        assert stream is not None
        try:
            stream.add(data)
            if fd >= 0:
                file, fd = fd, -1
                stream.add_file(file, file_offset, file_length)
            if not more:
                self._log = item.log
                self._substatus = item.substatus
                self._win32 = item.win32
                stream.finish(self._trailers(item))
        except (ValueError, OSError) as error:
            if fd >= 0:
                os.close(fd)
            self.abort(str(error))
            return
        stream.advance()

    def _trailers(self, item: Response | ResponseChunk) -> bytes:
        if not isinstance(item, ResponseChunk) or not item.trailers:
            return b""
        try:
            check_block(item.trailers)
        except LocalProtocolError as error:
            raise ValueError(str(error)) from None
        return item.trailers

    def _watch_sending(self) -> None:
        """MinBytesPerSecond bounds a client that does not read; checked by the sweep."""
        self.deadline_reason = "Timer_MinBytesPerSecond"
        self.deadline = self._service.send_deadline()

    def on_abort(self, request: ClientRequest, item: AbortResponse) -> None:
        """The worker gave the response up."""
        if request.progress is RESPONDING:
            self._log = item.log
            self._win32 = item.win32
            self.cut("the application gave up")
        elif item.reset:
            self._log = item.log
            self._win32 = item.win32
            self.abort("a module wants no answer to be given", "Connection_Dropped")
        else:
            self.fail(request, 502, "Connection_Abandoned_By_AppPool")

    def response_sent(self, request: ClientRequest) -> None:
        """All of a streamed response is with the transport or the socket."""
        stream = self._stream
        assert stream is not None
        sent = stream.sent_bytes
        stream.close()
        self._stream = None
        self.deadline = 0.0
        self._response_over(request, sent)

    def exceeds_window(self, size: int) -> bool:
        """Whether so many bytes are more than the worker may send before it is told to go on."""
        return self._stream is not None and self._stream.exceeds_window(size)

    def holds_worker_back(self) -> bool:
        """Whether the worker may not send more before the client has read."""
        return self._stream is not None and self._stream.holds_worker_back

    def _sent_bytes(self) -> int:
        return self._stream.sent_bytes if self._stream is not None else 0

    def _response_over(self, request: ClientRequest, sent: int) -> None:
        service = self._service
        if self._log:
            service.records.request(
                request, self._log, self._status, self._substatus, self._win32, sent
            )
            self._log = ""
        self._over(request)

    def _over(self, request: ClientRequest) -> None:
        """The request is answered and logged: keep the connection, drain it, or close it."""
        self.request = None
        self._upgraded = None
        request.progress = ENDED
        request.connection = None
        if self._body is not None:
            self._forget_body()
        if request.spool is not None:
            request.release_body()
        if self._close_after:
            if self.held is not None:
                self.held.close()
                self.held = None
            self._close_gently()
        elif self._phase == BUSY:
            self._next_request()
        else:
            # BODY: the answer came before the body's end.
            self._start_drain()

    def _forget_body(self) -> None:
        assert self._body is not None
        self._body.forget()
        self._body = None

    def _start_drain(self) -> None:
        self._phase = DRAIN
        self._discarded = 0
        self.deadline = self._service.time() + DRAIN_S
        self.deadline_reason = "Timer_EntityBody"
        self.resume_reading()

    def _next_request(self) -> None:
        self._phase = HEAD
        service = self._service
        site = self._site
        self.deadline = service.time() + (
            service.connection_timeout_s if site is None else site.connection_timeout_s
        )
        self.deadline_reason = "Timer_ConnectionIdle"
        if self._is_reading_paused and not self.is_paused:
            self.resume_reading()
        if self._buffer:
            # Not from here: a long pipeline must not become a deep recursion, nor hold the loop.
            self.loop.call_soon(self._read_pipelined)
        elif self._is_eof:
            self.transport.close()
        elif service.is_draining:
            self._close_gently()

    def _read_pipelined(self) -> None:
        if self._phase != HEAD or (self.is_paused and self._buffer):
            return  # who does not read answers is asked for no further requests: they would pile up
        data, self._buffer = self._buffer, b""
        if data:
            self._on_head(data)
        if self._is_eof and self._phase == HEAD and not self._buffer:
            self.transport.close()

    # ── answers of our own ──────────────────────────────────────────────────────────────────────

    def fail(self, request: ClientRequest, status: int, reason: str) -> None:
        """Answer a routed request ourselves: queue full, dead worker, time limit, poison.

        Logged in HTTPERR with `reason`. The worker, if it still has the request, owes an END.
        """
        service = self._service
        service.records.error(self.peer, request.head, status, request.site_id, reason, request)
        request.pool.abandon(request)
        self.request = None
        if self._phase == UPGRADED:
            self._end_held(RESTART if status == 503 else GOING_WRONG)
            return
        is_held = request.is_body_complete or self._will_drain(request)
        close = not request.head.keep_alive or service.is_draining or not is_held
        if request.pool.settings.tcp_level and status == 503:
            self.abort("503 as TcpLevel")
            return
        self.answer(
            status, reason, close=close, request=request, is_head=request.head.method == "HEAD"
        )

    def _will_drain(self, request: ClientRequest) -> bool:
        """Whether the unread rest of the body is short enough to be read and thrown away."""
        if request.head.expect_continue:
            return False
        length = request.head.content_length
        return length >= 0 and length - (request.received_bytes - request.head.size) <= DRAIN_BYTES

    def answer(
        self,
        status: int,
        reason_key: str,
        *,
        close: bool,
        request: ClientRequest | None = None,
        is_head: bool = False,
    ) -> None:
        """Send one of HTTP.SYS's own pages."""
        service = self._service
        if self._body is not None:
            self._forget_body()
        request_id = ""
        if request is not None and status >= 500:
            request_id = request_id_text(request.id)
        reason, fields, body = page(
            status, reason_key, request_id, service.retry_after_s if status == 503 else None
        )
        block = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
        version = request.head.version if request is not None else 11
        data = response_head(
            version,
            status,
            reason,
            block,
            len(body),
            False,
            close,
            service.standing[False, True],
            version == 10 and not close,
        )
        self.transport.write(data if is_head else data + body)
        service.records.count("answered_by_listener")
        if close:
            self._close_gently()
        elif self._phase == BUSY:
            self._next_request()
        else:
            self._start_drain()

    def drain_rest(self, data: bytes) -> None:
        """What came with the head of a request that was refused belongs to its body."""
        if data and self._phase == DRAIN:
            self._on_drain(data)

    def _on_drain(self, data: bytes) -> None:
        """The rest of a body nobody wants any more."""
        self._discarded += len(data)
        try:
            _, is_complete, rest = self._engine.feed(data)
        except RemoteProtocolError:
            self._close_gently()
            return
        if is_complete:
            self._phase = BUSY
            self._buffer = rest
            self._next_request()
        elif self._discarded > DRAIN_BYTES:
            self._close_gently()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def _close_gently(self) -> None:
        """Close our half after what was written; read on a while, so that no reset overtakes it."""
        self._phase = LINGER if self._half_close() else CLOSED

    def cut(self, why: str, reason: str = "Connection_Abandoned_By_AppPool") -> None:
        """No more of the response will come from the worker.

        When the client is given all that was promised all the same (nothing but the worker's END is
        missing), its connection goes on, and with it the requests that wait behind this one.
        """
        request, stream = self.request, self._stream
        if request is None or stream is None or self._phase != BUSY or not stream.is_whole:
            self.abort(why, reason)
            return
        if not self._log:
            self._service.records.error(
                self.peer, request.head, self._status, request.site_id, reason, request
            )
        request.pool.abandon(request)
        stream.finish()
        stream.advance()

    def abort(self, why: str, reason: str = "Connection_Abandoned_By_AppPool") -> None:
        """Cut the connection: the client must see that its response is not whole."""
        request = self.request
        self._upgraded = None
        if request is not None:
            self.request = None
            if self._log or request.progress is RESPONDING:
                self._service.records.cut(
                    request, self._log, self._status, self._sent_bytes(), why, reason
                )
                self._log = ""
            request.pool.abandon(request)
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._phase = CLOSED
        self._service.records.count("connections_cut")
        self.transport.abort()

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is with a pool."""
        return self._phase != BUSY and self._phase != UPGRADED

    @property
    def is_upgraded(self) -> bool:
        """Whether it has left HTTP; how it ends then, nobody but its worker knows."""
        return self._phase == UPGRADED

    def shut_down(self) -> None:
        """The listener is leaving: close when idle; a busy one closes after its response."""
        if self._phase == HEAD and not self._buffer:
            self._close_gently()
            return
        self._close_after = True
        request, held = self.request, self.held
        if request is not None and self._phase == UPGRADED and held and not held.is_attached:
            self.fail(request, 503, "N/A")  # no worker will come for it

    def expire(self) -> None:
        """The deadline has passed."""
        reason = self.deadline_reason
        service = self._service
        if reason == "Timer_MinBytesPerSecond":
            stream = self._stream
            if stream is None:
                self.deadline = 0.0
                return
            if stream.keeps_up(self.transport.get_write_buffer_size(), service.least_bytes):
                self.deadline = service.send_deadline()
                return
            request = self.request
            if request is not None and self._log:
                service.records.error(self.peer, request.head, 0, request.site_id, reason, request)
            self.abort(reason, reason)
            return
        self.deadline = 0.0
        if reason == "Linger":
            self._linger_on()
        elif self._phase == DRAIN:
            self._close_gently()
        elif reason == "Timer_EntityBody" and self.request is not None:
            request = self.request
            if request.progress is RESPONDING:
                self.abort(reason, reason)
            else:
                self._close_after = True
                self.fail_body_timeout(request)
        else:
            service.records.refusal(self.peer, self._buffer, 0, reason)
            if reason == "Timer_HeaderWait":
                self.answer(408, reason, close=True)
            else:
                self._close_gently()

    def fail_body_timeout(self, request: ClientRequest) -> None:
        """The body came too slowly: 408, and close."""
        self._service.records.error(
            self.peer, request.head, 408, request.site_id, "Timer_EntityBody", request
        )
        request.pool.abandon(request)
        self.request = None
        self.answer(408, "Timer_EntityBody", close=True, request=request)
