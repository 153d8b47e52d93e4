"""One request as the pipeline sees it: body in, response out, exactly one END.

An exchange is used by one request thread at a time. The leader delivers what arrives for it
(`deliver_chunk`, `widen`, `cancel`) from another thread; the two meet in a deque, a counter and an
event.

A thread that must wait and happens to lead gives up the lead first: only the leader receives the
very message it waits for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from was import faults
from was.errors import WasError
from was.ipc.messages import (
    CHUNK_BYTES,
    RESPONSE_WINDOW_BYTES,
    AbortResponse,
    BodyPull,
    EarlyHints,
    HandOver,
    HoldSocket,
    MessagesTaken,
    Request,
    Response,
    ResponseChunk,
    Resumed,
)
from was.worker.chunks import read_region
from was.worker.threads.application_calls import outside

if TYPE_CHECKING:
    from was.ipc.messages import ToListenerItem
    from was.worker.channel import Channel
    from was.worker.chunks import FileRegion
    from was.worker.queue_client import QueueClient

__all__ = ["ClientGoneError", "Exchange"]

# A body is pulled in steps of this many bytes: one step is on its way while one is being read.
PULL_BYTES = 2 * CHUNK_BYTES


class ClientGoneError(WasError):
    """The client disconnected, or was answered by the listener: nobody reads what you write."""


class Exchange(msgspec.Struct, eq=False):
    """A request taken from the queue, until its END has been posted.

    A Struct because one is made for every request, and this way it is made in C.
    """

    _client: QueueClient
    channel: Channel
    request: Request
    words: memoryview[int]  # the scoreboard
    module_cell: memoryview[bytes]  # see scoreboard.module_cell_of
    row: int  # index of the request's first word in it
    _rest: bytes  # of the body, what has come and was not read
    _is_body_complete: bool
    gone: bool = False  # nobody reads the answer
    started: bool = False
    _is_ended: bool = False
    _window: int = RESPONSE_WINDOW_BYTES
    _granted: int = 0
    # Made when they are needed: most requests have neither pulled body nor closed window.
    _chunks: deque[tuple[bytes, bool]] | None = None
    _arrival: threading.Event | None = None
    _ring: Callable[[], None] | None = None  # see ring_on_arrival
    never_waits: bool = False  # an event loop writes: it looks at `is_writable` before it does
    is_overdue: bool = False  # it has passed its time limit, and was answered
    trailers: bytes = b""  # encoded fields that follow a chunked body
    _is_left: bool = False  # its END is not its thread's, which does not come back

    # ── request body ────────────────────────────────────────────────────────────────────────────

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the body, at least one; b"" at its end.

        Blocks until bytes have arrived. Raises ClientGoneError when they never will.
        """
        if not self._rest:
            if self._is_body_complete:
                return b""
            self._rest = self._next_chunk()
        rest = self._rest
        if len(rest) <= size:
            self._rest = b""
            return rest
        self._rest = rest[size:]
        return rest[:size]

    def poll_body(self) -> bool:
        """Whether `read` would return at once; if not, more is asked for."""
        if self._rest or self._is_body_complete or self._chunks or self.gone:
            return True
        self._ask_for_more()
        return bool(self._chunks)

    def read_nowait(self, size: int) -> bytes | None:
        """`read` where it would not block, else None."""
        return self.read(size) if self.poll_body() else None

    @property
    def is_readable(self) -> bool:
        """Whether `read` would answer at once."""
        return bool(self._rest or self._is_body_complete or self._chunks or self.gone)

    @property
    def is_body_read(self) -> bool:
        """Whether nothing of the body is left to read, as far as is known."""
        return self._is_body_complete and not self._rest

    def expect_upgraded(self) -> None:
        """After a 101: what is read from here on is what the client sends, until it ends that."""
        self._is_body_complete = False
        self._rest = b""

    def take_resumed(self) -> Resumed | None:
        """For a WebSocket that the listener has held: what was kept for who goes on with it."""
        return self._client.take_resumed(self.request.id)

    def tell_of_socket(self, item: HoldSocket | MessagesTaken | HandOver) -> None:
        """Say something of a WebSocket that the listener holds; not once the client has gone."""
        if not self.gone:
            self._post(item)

    def has_news(self) -> bool:
        """Whether more of the body has come, or never will."""
        return bool(self._chunks) or self.gone

    def ring_on_arrival(self, ring: Callable[[], None] | None) -> None:
        """Have the leader call `ring` at whatever arrives: for a thread that waits elsewhere too.

        None: no more, but for a call that may be on its way. It must neither block nor raise.
        """
        self._ring = ring

    def _ask_for_more(self) -> None:
        if self._chunks is None:
            self._chunks = deque()
        if self._granted <= PULL_BYTES // 2:
            step = PULL_BYTES - self._granted
            self._granted += step
            self._post(BodyPull(self.request.id, self.request.attempt, step))

    def _next_chunk(self) -> bytes:
        while True:
            self._ask_for_more()
            assert self._chunks is not None
            while not self._chunks:
                if self.gone:
                    raise ClientGoneError("the client went away while its body was read")
                self._wait(self.has_news)
            data, last = self._chunks.popleft()
            self._granted -= len(data)
            if last:
                self._is_body_complete = True
                return data
            if data:
                return data

    # ── response ────────────────────────────────────────────────────────────────────────────────

    def start(self, response: Response) -> None:
        """Begin the response: what is sent can no longer be repeated or replaced."""
        if self.gone:
            raise ClientGoneError("the client has gone")
        self.started = True
        rest = response.body[CHUNK_BYTES:]
        if rest:
            response = replace(response, body=response.body[:CHUNK_BYTES])
        self._window -= len(response.body)
        self._post(response)
        if rest:
            self.write(rest)

    def write(self, data: bytes) -> None:
        """Send more of the body; blocks while the listener holds as much as it may."""
        request = self.request
        at = 0
        while at < len(data):
            if self.gone:
                raise ClientGoneError("the client has gone")
            if self._window <= 0 and not self.never_waits:
                self._wait(lambda: self._window > 0 or self.gone)
                continue
            piece = data[at : at + CHUNK_BYTES]
            at += len(piece)
            self._window -= len(piece)
            self._post(ResponseChunk(request.id, request.attempt, piece, True))

    def is_writable(self) -> bool:
        """Whether `write` would not have to wait."""
        return self._window > 0 or self.gone

    @property
    def writable_bytes(self) -> int:
        """So many bytes can be written without waiting."""
        return self._window

    def send_hints(self, block: bytes) -> None:
        """103 Early Hints: fields that may help the client before the response begins."""
        if not self.gone:
            self._post(EarlyHints(self.request.id, self.request.attempt, block))

    def park(self) -> None:
        """The request goes on without a thread: another one may take its place."""
        self._client.park(self)

    def send_file(self, region: FileRegion) -> None:
        """Send a region of a regular file as more of the body; it may be closed on return."""
        if self.gone:
            raise ClientGoneError("the client has gone")
        request = self.request
        token = self._client.pass_descriptor(self.channel, request.id, region.fd)
        if token == 0:
            # The side socket is not to be had: the bytes go the slow way.
            for data in read_region(region, CHUNK_BYTES):
                self.write(data)
            return
        self._post(
            ResponseChunk(
                request.id,
                request.attempt,
                b"",
                True,
                file_token=token,
                file_offset=region.offset,
                file_length=region.length,
            )
        )

    # ── the end: one of these, once ─────────────────────────────────────────────────────────────

    def finish(self, response: Response, file: FileRegion | None = None) -> None:
        """The whole response in one message, which keeps the request repeatable until then.

        `file` follows its body, and may be closed on return. END.
        """
        if file is not None and len(response.body) <= CHUNK_BYTES:
            token = self._client.pass_descriptor(self.channel, response.id, file.fd)
            if token:
                response = replace(
                    response, file_token=token, file_offset=file.offset, file_length=file.length
                )
                file = None
        if file is not None or len(response.body) > CHUNK_BYTES:
            self._finish_in_pieces(response, file)
            return
        if self._is_ended:
            self._second_end()
            return
        self._is_ended = True
        faults.reach("worker.answering")
        self.channel.outbox.append(response)
        self._client.ended(response.id)

    def _finish_in_pieces(self, response: Response, file: FileRegion | None) -> None:
        try:
            self.start(replace(response, more=True, log="", substatus=0, win32=0))
            if file is not None:
                self.send_file(file)
        except (ClientGoneError, OSError):
            self.abort(response.log, 64)
            return
        self.end(b"", response.log, response.substatus, response.win32)

    def end(self, data: bytes, log: str, substatus: int, win32: int) -> None:
        """The last bytes of a response that was started. END."""
        request = self.request
        if len(data) > CHUNK_BYTES:
            try:
                self.write(data)
            except ClientGoneError:
                self.abort(log, 64)
                return
            data = b""
        self._end(
            ResponseChunk(
                request.id,
                request.attempt,
                data,
                False,
                log,
                substatus,
                win32,
                trailers=self.trailers,
            )
        )

    def abort(self, log: str, win32: int, reset: bool = False) -> None:
        """Give the response up: the client's connection is cut. END.

        If nothing was sent the answer is 502, unless `reset` says that there shall be none.
        """
        self._end(AbortResponse(self.request.id, self.request.attempt, log, win32, reset))

    def _end(self, item: Response | ResponseChunk | AbortResponse) -> None:
        if self._is_ended:
            self._second_end()
            return
        self._is_ended = True
        self.channel.outbox.append(item)
        self._client.ended(self.request.id)

    def _second_end(self) -> None:
        if not self._is_left:
            raise RuntimeError("a second END of one request")

    def give_back(self) -> None:
        """To the listener: not begun, and no END is owed."""
        self._is_ended = True
        self._client.give_back(self)

    def leave(self) -> None:
        """From the host, for a request past its limit: END, whatever its thread does from here."""
        if not self._is_ended:
            self._is_left = True  # first: its thread may come back at any moment
            self.abort("", 0)

    @property
    def proof(self) -> int:
        """Request and attempt in one number, as the scoreboard has them."""
        return self.request.id << 11 | self.request.attempt << 3

    @property
    def is_ended(self) -> bool:
        """Whether its END has been posted."""
        return self._is_ended

    # ── from the leader ─────────────────────────────────────────────────────────────────────────

    def deliver_chunk(self, data: bytes, last: bool) -> None:
        """Body bytes came."""
        if self._chunks is None:
            self._chunks = deque()
        self._chunks.append((data, last))
        self._wake()

    def widen(self, count: int) -> None:
        """The listener took `count` bytes of the response."""
        self._window += count
        self._wake()

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None:
            self._arrival.set()
        ring = self._ring
        if ring is not None:
            ring()

    # ── to the leader, and waiting for it ───────────────────────────────────────────────────────

    # An application may be the caller (wsgi.input): its interruption must not hit what these do.

    def _post(self, item: ToListenerItem) -> None:
        # After the END, whatever still runs for it: the listener would take the worker for faulty.
        if not self._is_ended:
            outside(self.proof, self._client.post, self.channel, item)

    def wait_for(self, event: threading.Event) -> None:
        """Block until an event is set that another thread of the worker sets."""
        outside(self.proof, self._wait_for, event)

    def _wait_for(self, event: threading.Event) -> None:
        self._client.give_up_lead()
        event.wait()

    def _wait(self, is_there: Callable[[], bool]) -> None:
        """Sleep until the leader has delivered something. The caller looks whether it suffices."""
        outside(self.proof, self._wait_unmarked, is_there)

    def _wait_unmarked(self, is_there: Callable[[], bool]) -> None:
        arrival = self._arrival
        if arrival is None:
            arrival = self._arrival = threading.Event()
        self._client.give_up_lead()
        # Clear, then look: what was delivered before the clearing is seen by the look, what comes
        # after it sets the event again.
        arrival.clear()
        if not is_there():
            arrival.wait()
