"""start_response, write() and the sending of what a WSGI application returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from was.errors import LocalProtocolError
from was.known import keep
from was.log import log
from was.worker.chunks import FileRegion
from was.worker.fields import (
    CACHED_FIELDS,
    CACHED_VALUE_LENGTH,
    LISTENER_FIELDS,
    VARYING,
    encode_field,
    read_length,
)
from was.worker.threads.application_calls import call, iterate, outside
from was.worker.wsgi.files import FileWrapper

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

__all__ = ["WsgiResponse"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# Up to this size a file goes as bytes.
_SMALL_FILE_BYTES = 65536
_STATUSES_LIMIT = 2048

# In place of a line: the connection is to be closed after the response.
_CLOSE: Final = -1

# Encoded line of a field, or the number that Content-Length declares.
_lines: dict[tuple[str, str], bytes | int] = {}
_statuses: dict[str, tuple[int, str]] = {}


class WsgiResponse(msgspec.Struct, eq=False):
    """What one call of a WSGI application says and returns."""

    _context: HttpContext
    _response: HttpResponse
    _is_begun: bool = False
    _left: int = -1  # bytes still to come of a declared Content-Length

    # ── PEP 3333: start_response and write ──────────────────────────────────────────────────────

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Set status and fields; again only with exc_info, and only before they have gone."""
        response = self._response
        if exc_info is not None:
            try:
                if response.headers_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
            if self._is_begun:
                response.take_back_fields()
            response.discard_body()  # the block that completes Content-Length waits for the end
        elif self._is_begun:
            raise AssertionError("start_response was called again without exc_info")
        block = b""
        length = -1
        try:
            for field in headers:
                line = _lines.get(field)
                if line is None:
                    line = self._encode(field)
                if isinstance(line, bytes):
                    block += line
                elif line == _CLOSE:
                    response.needs_disconnect = True
                elif length in (-1, line):
                    length = response.content_length = line
                else:
                    raise AssertionError(f"Content-Length is {length} and {line}")
            fields = headers.copy()
        except (TypeError, AttributeError):
            raise AssertionError(f"headers must be a list of pairs of str: {headers!r}") from None
        response.status, response.reason = _statuses.get(status) or _parse_status(status)
        response.set_encoded_fields(fields, block)
        self._left = response.content_length
        self._is_begun = True
        return self.write

    def _encode(self, field: tuple[str, str]) -> bytes | int:
        """The line of a field, b"" for one of the listener's; for Content-Length the number."""
        if type(field) is not tuple or len(field) != 2:
            raise AssertionError(f"a header must be a tuple of two, not {field!r}")
        name, value = field
        if type(name) is not str or type(value) is not str:
            raise AssertionError(f"header name and value must be str: {field!r}")
        lower = name.lower()
        line: bytes | int
        if lower == "content-length":
            line = read_length(value)
        else:
            line = encode_field(field)
            if lower == "connection" and "close" in value.lower():
                line = _CLOSE
            elif lower in LISTENER_FIELDS:
                # PEP 3333 forbids most of them; but what streams events says keep-alive, by habit.
                line = b""
        if len(value) <= CACHED_VALUE_LENGTH and lower not in VARYING:
            keep(_lines, field, line, CACHED_FIELDS)
        return line

    def write(self, data: bytes) -> None:
        """Send a block at once."""
        if type(data) is not bytes:
            raise AssertionError(f"write() takes bytes, not {type(data).__name__}")
        if data:
            outside(self._context.proof, self._send_now, self._cut_to_length(data))

    # ── what the application returned ───────────────────────────────────────────────────────────

    def send(self, result: Iterable[bytes]) -> None:
        """Send the body, and call close() whatever happens."""
        kind = type(result)
        if kind is list or kind is tuple:  # which have no close()
            blocks: Any = result
            self._send_whole(blocks[0] if len(blocks) == 1 else b"".join(blocks))
            return
        try:
            if kind is FileWrapper:
                self._send_file(result)  # type: ignore[arg-type]
            else:
                self._send_blocks(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                call(self._context.proof, close)

    def _send_whole(self, body: bytes) -> None:
        if type(body) is not bytes:
            raise AssertionError(f"a block of the body must be bytes, not {type(body).__name__}")
        if not self._is_begun:
            raise AssertionError("the application returned before it called start_response")
        left = self._left
        if left >= 0 and left != len(body):
            body = self._cut_to_length(body)
            self._check_complete()
        self._response.chunks.append(body)

    def _send_blocks(self, blocks: Iterable[bytes]) -> None:
        """One block after the other; the one that may be the last waits for the iterator's end."""
        response = self._response
        is_alone = hasattr(blocks, "__len__") and len(blocks) == 1  # type: ignore[arg-type]
        for block in iterate(self._context.proof, blocks):
            if type(block) is not bytes:
                raise AssertionError(
                    f"a block of the body must be bytes, not {type(block).__name__}"
                )
            if not block:
                continue
            if not self._is_begun:
                raise AssertionError("a block of the body came before start_response was called")
            if self._context.message.method == "HEAD":
                if self._left < 0:
                    response.flush()  # says "length unknown", where an end at once would say 0
                return
            is_over = self._left == 0
            block = self._cut_to_length(block)
            if is_over:
                break
            if is_alone or self._left == 0:
                response.chunks.append(block)
            else:
                self._send_now(block)
        if not self._is_begun:
            raise AssertionError("the application never called start_response")
        self._check_complete()

    def _send_now(self, data: bytes) -> None:
        if not self._is_begun:
            raise AssertionError("write() before start_response")
        if data:
            self._response.chunks.append(data)
            self._response.flush()

    def _send_file(self, wrapper: FileWrapper) -> None:
        region = wrapper.region()
        if region is None:
            self._send_blocks(wrapper)
            return
        if not self._is_begun:
            raise AssertionError("the application returned before it called start_response")
        fd, offset, length = region
        if 0 <= self._left < length:
            length = self._left
        if self._context.message.method == "HEAD":
            if self._response.content_length < 0:
                self._response.content_length = length
            return
        if length <= _SMALL_FILE_BYTES:
            self._send_whole(_pread(fd, offset, length))
            return
        if self._left >= 0:
            self._left -= length
            self._check_complete()
        # The application closes its file when this returns; the response goes out later.
        self._response.chunks.append(FileRegion(os.dup(fd), offset, length))

    # ── the promise of Content-Length ───────────────────────────────────────────────────────────

    def _cut_to_length(self, data: bytes) -> bytes:
        left = self._left
        if left < 0:
            return data
        if len(data) > left:
            log(
                "application_error",
                error="more body than Content-Length; the rest is dropped",
                request=self._context.request_id,
                url=self._context.message.target,
            )
            data = data[:left]
        self._left = left - len(data)
        return data

    def _check_complete(self) -> None:
        if self._left > 0 and self._context.message.method != "HEAD":
            status = self._response.status
            if status in (204, 205, 304):
                return
            raise LocalProtocolError(f"{self._left} bytes short of Content-Length")


def _pread(fd: int, offset: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        data = os.pread(fd, length, offset)
        if not data:
            break
        parts.append(data)
        offset += len(data)
        length -= len(data)
    return b"".join(parts)


def _parse_status(status: str) -> tuple[int, str]:
    if type(status) is not str:
        raise AssertionError(f"status must be str, not {type(status).__name__}")
    code, _, reason = status.partition(" ")
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "2" <= code[0] <= "5":
        raise AssertionError(f"not a status of a response: {status!r}")
    if not reason.isprintable():
        raise AssertionError(f"control character in status: {status!r}")
    reason.encode("latin-1")
    parsed = int(code), reason
    if len(status) <= 64:
        keep(_statuses, status, parsed, _STATUSES_LIMIT)
    return parsed
