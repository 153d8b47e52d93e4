"""HttpRun: one HTTP request on the event loop, between the application and the exchange.

The request thread has handed the context over (PENDING). Here `receive` and `send` are given to the
application; its response is put into the context, and with its last message the pipeline is told to
go on, which ends the request. What the application does after that (background tasks) holds up
nobody.

All of it runs on the loop's thread and never blocks it: what must wait for the client (a window, a
body that still arrives) waits for news of the exchange.
"""

from __future__ import annotations

import os
import stat
from collections.abc import MutableMapping
from typing import Any

import msgspec

from was.errors import LocalProtocolError
from was.worker.asgi.http_cycle import BODY, FILE, HELD, HINT, HttpCycle, State
from was.worker.asgi.run import BLOCK_BYTES, ClientDisconnectedError, RequestRun
from was.worker.asgi.scope import http_scope
from was.worker.chunks import FileRegion
from was.worker.exchange import ClientGoneError
from was.worker.interfaces.response import REASONS
from was.worker.threads.application_calls import outside

__all__ = ["HttpRun"]

_COMPLETE = State.COMPLETE
_BODILESS = (204, 205, 304)


class HttpRun(RequestRun, eq=False):
    """One HTTP request; made on a request thread."""

    _cycle: HttpCycle = msgspec.field(default_factory=HttpCycle)
    _has_body_ended: bool = False

    def scope(self) -> dict[str, Any]:
        """Of type http."""
        return http_scope(self.context, self.hosted.state)

    def check_whole(self) -> None:
        """The response must be complete."""
        state = self._cycle.state
        if self.exchange.gone:
            self.context.is_cut = True
        elif state is not State.COMPLETE:
            raise LocalProtocolError(
                f"the application returned in state {state.name}, its response is not whole"
            )

    # ── receive ─────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> dict[str, Any]:
        """http.request until the body ends, then http.disconnect when that happens."""
        if not self._has_body_ended and not self.is_over:
            context = self.context
            if context.is_body_touched or context.calls.read_entity:
                return await self._receive_filtered()
            exchange = self.exchange
            try:
                data = exchange.read_nowait(BLOCK_BYTES)
                while data is None:
                    await self.wait(exchange.has_news)
                    data = exchange.read_nowait(BLOCK_BYTES)
            except ClientGoneError:
                return {"type": "http.disconnect"}
            if context.message.body_length < 0:
                context.request.charge_entity_body(len(data))
            more = not exchange.is_body_read
            self._has_body_ended = not more
            return {"type": "http.request", "body": data, "more_body": more}
        await self.wait(lambda: self.is_over or self.exchange.gone)
        return {"type": "http.disconnect"}

    async def _receive_filtered(self) -> dict[str, Any]:
        """A body that modules see or have changed: they may block, so not on the loop."""
        try:
            data = await self.loop.loop.run_in_executor(
                None, self.context.request.read_entity_body, BLOCK_BYTES
            )
        except ClientGoneError:
            return {"type": "http.disconnect"}
        self._has_body_ended = not data
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    # ── send ────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """One message of the response. LocalProtocolError for one that has no place."""
        cycle = self._cycle
        exchange = self.exchange
        if exchange.gone and not self.is_over:
            raise ClientDisconnectedError("the client has gone")
        action = cycle.take(message)
        if action == HELD:
            return
        if action == BODY:
            if cycle.state is _COMPLETE and len(cycle.data) <= BLOCK_BYTES:
                if not exchange.started:
                    if cycle.missing:
                        self._check_length()
                    if self.is_starting:
                        # Nothing leaves yet whose interruption could do harm.
                        self._set_head()
                        context = self.context
                        context.response.chunks.append(cycle.data)
                        self.is_over = context.is_handled = True
                    else:
                        outside(self.context.proof, self._send_whole)
                    return
                await self.wait(exchange.is_writable)
            await self._send_body()
        elif action == HINT:
            if not exchange.started:
                outside(self.context.proof, exchange.send_hints, cycle.data)
        elif action == FILE:
            await self._send_file()
        elif cycle.state is State.COMPLETE:
            exchange.trailers = cycle.trailers
            outside(self.context.proof, self.end)

    def _check_length(self) -> None:
        cycle = self._cycle
        if cycle.missing and self.context.method != "HEAD" and cycle.status not in _BODILESS:
            missing = cycle.missing
            cycle.take_back()  # an application that goes on has not answered
            raise LocalProtocolError(f"{missing} bytes short of Content-Length")

    def _set_head(self) -> None:
        cycle, response = self._cycle, self.context.response
        fields = cycle.fields
        status = response.status = cycle.status
        response.reason = REASONS.get(status, "")
        response.set_encoded_fields(fields.pairs, fields.block)
        response.content_length = fields.content_length
        if fields.must_close:
            response.needs_disconnect = True

    def _send_whole(self) -> None:
        self._set_head()
        self.context.response.chunks.append(self._cycle.data)
        self.end()

    async def _send_body(self) -> None:
        """A part of a body, or its end; waits while the listener holds as much as it may."""
        cycle, exchange = self._cycle, self.exchange
        data, is_last = cycle.data, cycle.state is State.COMPLETE
        if not cycle.more:
            self._check_length()
        proof = self.context.proof
        at = 0
        if not exchange.started:
            at = BLOCK_BYTES
            outside(proof, self._flush, data[:at], True)
        while len(data) - at > (BLOCK_BYTES if is_last else 0):
            await self.wait(exchange.is_writable)
            outside(proof, self._flush, data[at : at + BLOCK_BYTES], False)
            at += BLOCK_BYTES
        if is_last:
            await self.wait(exchange.is_writable)
            self.context.response.chunks.append(data[at:])
            outside(proof, self.end)

    def _flush(self, data: bytes, is_first: bool) -> None:
        context = self.context
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
        context, cycle = self.context, self._cycle
        try:
            file = _open(cycle.path, cycle.missing if cycle.has_length else -1)
        except BaseException:
            cycle.take_back()  # another file may be sent, or a body
            raise
        if not self.exchange.started:
            self._set_head()
        context.response.chunks.append(file)
        # Passing a descriptor may take a while: not on the loop.
        if cycle.state is State.EXPECT_TRAILERS:
            await self.loop.loop.run_in_executor(None, self._flush, b"", False)
            return
        self.can_end_here = False
        outside(context.proof, self.end)


def _open(path: str, length: int) -> FileRegion:
    """The file to send, or its first `length` bytes (-1 = all). Raises OSError and its family."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and length <= status.st_size:
        return FileRegion(fd, 0, length if length >= 0 else status.st_size)
    os.close(fd)
    raise LocalProtocolError(f"{path} is no regular file, or shorter than Content-Length")
