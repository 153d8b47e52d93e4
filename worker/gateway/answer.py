"""The response to one request as a program writes it, put into the context as it comes.

Nothing is sent before the head is complete. A body is sent when `flush` is called, or as a whole by
the pipeline when it has ended: then with its length, and repeatable until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.errors import LocalProtocolError
from was.worker.fields import HOP_BY_HOP, encode_fields
from was.worker.gateway.failing import log_failed
from was.worker.gateway.head import Head, HeadError, parse_head

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["Answer"]

# Nothing holds a program's output back but the listener's window; this much goes in one message.
SEND_BYTES = 65536


class Answer:
    """What a program has said so far."""

    __slots__ = ("_buffer", "_context", "_left", "head", "received")

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self._buffer = bytearray()
        self._left = -1  # of a declared Content-Length
        self.head: Head | None = None
        self.received = 0  # bytes of the body

    @property
    def beginning(self) -> str:
        """What there is of a head that is not complete."""
        return bytes(self._buffer[:8192]).decode("latin-1")

    def feed(self, data: bytes) -> None:
        """More of what the program writes. Raises HeadError, ClientGoneError."""
        if self.head is None:
            if self._buffer:
                data = bytes(self._buffer) + data
            found = parse_head(data)
            if found is None:
                self._buffer[:] = data
                return
            self.head, at = found
            data = data[at:]
            self._buffer.clear()
            self._begin(self.head)
        if not self.head.is_local_redirect:  # the body is that of what it redirects to
            self._add(data)

    def _begin(self, head: Head) -> None:
        if head.is_local_redirect:
            return
        response = self._context.response
        response.set_status(head.status, head.reason)
        if head.prepared is None:
            head.prepared = _prepare(head)
        response.set_encoded_fields(*head.prepared)
        if head.content_length >= 0:
            response.content_length = self._left = head.content_length

    def _add(self, data: bytes) -> None:
        self.received += len(data)
        if self._left >= 0:
            if len(data) > self._left:
                log_failed(self._context, "more body than Content-Length; the rest is dropped")
                data = data[: self._left]
            self._left -= len(data)
        if data:
            response = self._context.response
            if response.error is not None:  # the page is the program's
                response.error.try_skip_custom_errors = True
            chunks = response.chunks
            chunks.append(data)
            if (len(chunks) > 1 or len(data) >= SEND_BYTES) and (
                response.buffered_bytes() >= SEND_BYTES
            ):
                self.flush()

    @property
    def is_whole(self) -> bool:
        """Whether as much of the body has come as its Content-Length says."""
        return self._left == 0

    @property
    def can_flush(self) -> bool:
        """Whether there is something that could be sent now."""
        head = self.head
        return (
            head is not None
            and not head.is_local_redirect
            and bool(self._context.response.chunks or not self._context.exchange.started)
        )

    def flush(self) -> None:
        """Send what there is. Raises ClientGoneError."""
        response = self._context.response
        response.chunks[:] = [b"".join(c for c in response.chunks if isinstance(c, bytes))]
        response.flush()

    def end(self) -> None:
        """The program has said all. Raises HeadError where that is no response.

        A body that is shorter than declared is cut, visibly, if part of it was sent.
        """
        if self.head is None:
            parse_head(self._buffer, is_all=True)
            raise HeadError("there are no headers", "")
        if self._left > 0 and self._may_have_body():
            if not self._context.exchange.started:
                raise HeadError(f"{self._left} bytes short of Content-Length", "")
            self._context.is_cut = True
        response = self._context.response
        if len(response.chunks) > 1:
            response.chunks[:] = [b"".join(c for c in response.chunks if isinstance(c, bytes))]

    def _may_have_body(self) -> bool:
        status = self._context.response.status
        return self._context.method != "HEAD" and status not in (204, 205, 304)


def _prepare(head: Head) -> tuple[list[tuple[str, str]], bytes]:
    """The fields that are sent on, and their block. Raises HeadError."""
    kept = [f for f in head.fields if f[0].lower() not in HOP_BY_HOP and f[0].lower() != "date"]
    try:
        return kept, encode_fields(kept)
    except LocalProtocolError as error:
        raise HeadError(str(error), "") from error
