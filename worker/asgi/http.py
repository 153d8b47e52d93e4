"""HttpRun: one HTTP request on the event loop, between the application and the exchange.

The request thread has handed the context over (PENDING). Here `receive` and `send` are given to the
application; its response is put into the context, and with its last message the pipeline is told to
go on, which ends the request. What the application does after that (background tasks) holds up
nobody.

All of it runs on the loop's thread and never blocks it: what must wait for the client (a window, a
body that still arrives) waits for news of the exchange.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from was import faults
from was.errors import LocalProtocolError, WasError
from was.ipc.scoreboard import RequestState
from was.log import log, log_exception
from was.worker.application_calls import RequestInterruptedError, forget, outside
from was.worker.asgi.http_cycle import BODY, FILE, HELD, HINT, HttpCycle, State
from was.worker.asgi.marks import marked
from was.worker.asgi.scope import http_scope
from was.worker.exchange import ClientGoneError
from was.worker.notifications import CONTINUE
from was.worker.pipeline import refuse_failed
from was.worker.response import REASONS, FileRegion

if TYPE_CHECKING:
    from was.worker.asgi.hosted import HostedApplication
    from was.worker.asgi.loop import LoopThread
    from was.worker.asgi.plain_exchange import AsyncExchange
    from was.worker.context import HttpContext

__all__ = ["ClientDisconnectedError", "HttpRun"]

# A block of a body that is streamed; with modules that change it there is room for its growth.
BLOCK_BYTES = 65536
_STARTED = int(RequestState.STARTED)


class ClientDisconnectedError(WasError, OSError):
    """send() raises this when nobody is there any more (ASGI 2.4: an OSError)."""


class HttpRun:
    """One request; made on the loop's thread."""

    __slots__ = (
        "_can_end_here",
        "_context",
        "_cycle",
        "_exchange",
        "_has_body_ended",
        "_hosted",
        "_is_over",
        "_loop",
        "_task",
        "_waiters",
    )

    def __init__(
        self,
        context: HttpContext,
        exchange: AsyncExchange,
        hosted: HostedApplication,
        loop: LoopThread,
        *,
        can_end_here: bool,
    ) -> None:
        """`can_end_here`: what is left of the pipeline is ours alone, and may run on the loop."""
        self._context = context
        self._exchange = exchange
        self._hosted = hosted
        self._loop = loop
        self._can_end_here = can_end_here
        self._cycle = HttpCycle()
        self._has_body_ended = False
        self._is_over = False
        self._task: asyncio.Task[Any] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Call the application; end the request if it has not."""
        context, exchange, hosted = self._context, self._exchange, self._hosted
        proof = context.proof
        self._task = asyncio.current_task()
        exchange.never_waits = True
        exchange.ring_on_arrival(self._news)
        hosted.running += 1
        try:
            if exchange.gone:
                raise ClientDisconnectedError("the client has gone")  # noqa: TRY301 one way out
            scope = http_scope(context, hosted.state)
            # From here on code that is not ours runs: only now can a second run do harm.
            exchange.words[exchange.row] = proof | _STARTED
            faults.reach("worker.begun")
            assert hosted.application is not None
            await marked(proof, _call(hosted.application, scope, self.receive, self.send))
            if not self._is_over:
                self._check_whole()
        except BaseException as error:  # noqa: BLE001 SystemExit is an application's error here
            self._failed(error)
        finally:
            hosted.running -= 1
            if not self._is_over:
                self._end()

    def _check_whole(self) -> None:
        state = self._cycle.state
        if self._exchange.gone:
            self._context.is_cut = True
        elif state is not State.COMPLETE:
            raise LocalProtocolError(
                f"the application returned in state {state.name}, its response is not whole"
            )

    def _failed(self, error: BaseException) -> None:
        """What the application raised; after its response it can only be logged."""
        context = self._context
        is_interrupted = isinstance(error, RequestInterruptedError) or (
            isinstance(error, asyncio.CancelledError) and self._exchange.is_overdue
        )
        if isinstance(error, RequestInterruptedError):
            forget(context.proof)
        if not isinstance(error, ClientDisconnectedError | ClientGoneError):
            log_exception(
                "request_interrupted" if is_interrupted else "application_error",
                error,
                application=self._hosted.reference,
                request=context.request_id,
                url=context.message.target,
            )
        if self._is_over:
            return
        if is_interrupted or self._exchange.started or self._exchange.gone:
            context.is_cut = True
        else:
            refuse_failed(context, error, "AsgiModule", "EXECUTE_REQUEST_HANDLER")

    def _end(self) -> None:
        """Have the pipeline go on: what is left of it sends the rest, and ends the request."""
        self._is_over = True
        context = self._context
        context.is_handled = True
        if self._can_end_here:
            context.indicate_completion(CONTINUE)
        else:
            context.post_completion(0)
        self._wake()

    # ── news of the exchange ────────────────────────────────────────────────────────────────────

    def _news(self) -> None:
        """From the thread that leads: something of this request has come."""
        if self._exchange.is_overdue:
            self._loop.cancel(self._wake)
        else:
            self._loop.submit(self._wake)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._exchange.is_overdue and not self._is_over and self._task is not None:
            self._task.cancel("the time limit of the request has passed")

    async def _wait(self, is_there: Callable[[], bool]) -> None:
        while not is_there():
            waiter = self._loop.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    # ── receive ─────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> dict[str, Any]:
        """http.request until the body ends, then http.disconnect when that happens."""
        if not self._has_body_ended and not self._is_over:
            context = self._context
            if context.is_body_touched or context.calls.read_entity:
                return await self._receive_filtered()
            exchange = self._exchange
            try:
                data = exchange.read_nowait(BLOCK_BYTES)
                while data is None:
                    await self._wait(exchange.has_news)
                    data = exchange.read_nowait(BLOCK_BYTES)
            except ClientGoneError:
                return {"type": "http.disconnect"}
            more = not exchange.is_body_read
            self._has_body_ended = not more
            return {"type": "http.request", "body": data, "more_body": more}
        await self._wait(lambda: self._is_over or self._exchange.gone)
        return {"type": "http.disconnect"}

    async def _receive_filtered(self) -> dict[str, Any]:
        """A body that modules see or have changed: they may block, so not on the loop."""
        try:
            data = await self._loop.loop.run_in_executor(
                None, self._context.request.read_entity_body, BLOCK_BYTES
            )
        except ClientGoneError:
            return {"type": "http.disconnect"}
        self._has_body_ended = not data
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    # ── send ────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """One message of the response. LocalProtocolError for one that has no place."""
        cycle = self._cycle
        exchange = self._exchange
        if exchange.gone and not self._is_over:
            raise ClientDisconnectedError("the client has gone")
        action = cycle.take(message)
        if action == HELD:
            return
        if action == BODY:
            if cycle.state is State.COMPLETE and len(cycle.data) <= BLOCK_BYTES:
                if not exchange.started:
                    self._check_length()
                    outside(self._context.proof, self._send_whole)
                    return
                await self._wait(exchange.is_writable)
            await self._send_body()
        elif action == HINT:
            if not exchange.started:
                outside(self._context.proof, exchange.send_hints, cycle.data)
        elif action == FILE:
            await self._send_file()
        elif cycle.state is State.COMPLETE:
            exchange.trailers = cycle.trailers
            outside(self._context.proof, self._end)

    def _check_length(self) -> None:
        if self._cycle.missing and self._context.method != "HEAD":
            status = self._cycle.status
            if status not in (204, 304):
                raise LocalProtocolError(f"{self._cycle.missing} bytes short of Content-Length")

    def _set_head(self) -> None:
        cycle, response = self._cycle, self._context.response
        fields = cycle.fields
        response.status = cycle.status
        response.reason = REASONS.get(cycle.status, "")
        response.set_encoded_fields(fields.pairs, fields.block)
        response.content_length = fields.content_length
        response.needs_disconnect = fields.must_close

    def _send_whole(self) -> None:
        self._set_head()
        self._context.response.chunks.append(self._cycle.data)
        self._end()

    async def _send_body(self) -> None:
        """A part of a body, or its end; waits while the listener holds as much as it may."""
        cycle, exchange = self._cycle, self._exchange
        data, is_last = cycle.data, cycle.state is State.COMPLETE
        if not cycle.more:
            self._check_length()
        proof = self._context.proof
        at = 0
        if not exchange.started:
            at = BLOCK_BYTES
            outside(proof, self._flush, data[:at], True)
        while len(data) - at > (BLOCK_BYTES if is_last else 0):
            await self._wait(exchange.is_writable)
            outside(proof, self._flush, data[at : at + BLOCK_BYTES], False)
            at += BLOCK_BYTES
        if is_last:
            await self._wait(exchange.is_writable)
            self._context.response.chunks.append(data[at:])
            outside(proof, self._end)

    def _flush(self, data: bytes, is_first: bool) -> None:
        context = self._context
        if is_first:
            self._set_head()
        if data:
            context.response.chunks.append(data)
        try:
            context.response.flush()
        except ClientGoneError:
            raise ClientDisconnectedError("the client has gone") from None

    async def _send_file(self) -> None:
        """http.response.pathsend: the file goes by its descriptor."""
        context, cycle = self._context, self._cycle
        file = _open(cycle.path, cycle.fields.content_length)
        if not self._exchange.started:
            self._set_head()
        context.response.chunks.append(file)
        # Passing a descriptor may take a while: not on the loop.
        if cycle.state is State.EXPECT_TRAILERS:
            await self._loop.loop.run_in_executor(None, self._flush, b"", False)
            return
        self._can_end_here = False
        outside(context.proof, self._end)


def _open(path: str, length: int) -> FileRegion:
    """The file to send, or its first `length` bytes (-1 = all). Raises OSError and its family."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and length <= status.st_size:
        return FileRegion(fd, 0, length if length >= 0 else status.st_size)
    os.close(fd)
    raise LocalProtocolError(f"{path} is no regular file, or shorter than Content-Length")


async def _call(
    application: Callable[..., Any],
    scope: dict[str, Any],
    receive: Callable[[], Any],
    send: Callable[[MutableMapping[str, Any]], Any],
) -> None:
    result = application(scope, receive, send)
    if not hasattr(result, "__await__"):
        log("application_error", error="the application is not awaitable: is it a WSGI one?")
        raise LocalProtocolError(
            f"an ASGI application must be awaitable, this returned {type(result).__name__}"
        )
    await result
