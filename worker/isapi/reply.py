"""What an extension sends, as the response of the pipeline: modules see and change it as any other.

The response is buffered up to the handler's responseBufferLimit, as since IIS 7, unless the
extension has set the flush flag or writes asynchronously. The listener decides on framing and
keep-alive: a connection stays open where the client can see the response's end.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from was.errors import LocalProtocolError
from was.worker.chunks import Chunk, FileRegion, close_files, size_of
from was.worker.exchange import ClientGoneError
from was.worker.fields import LISTENER_FIELDS, encode_fields
from was.worker.interfaces.hresult import E_UNEXPECTED
from was.worker.isapi.constants import IoFlag, Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.header_text import parse_header_block, parse_status

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["FilePart", "Part", "Reply", "check_vector"]


class FilePart(NamedTuple):
    """A region of an open file of the extension's; size 0 = to its end."""

    fd: int
    offset: int
    size: int


Part = bytes | FilePart


def check_vector(flags: int, has_status: bool, has_headers: bool) -> None:
    """What VECTOR_SEND may be called with. Raises ServerFunctionError 87."""
    if bool(flags & IoFlag.SYNC) == bool(flags & IoFlag.ASYNC):
        raise invalid("one of HSE_IO_SYNC and HSE_IO_ASYNC")
    wants_headers = bool(flags & IoFlag.SEND_HEADERS)
    if has_status != wants_headers or has_headers != wants_headers:
        raise invalid("status and headers go with HSE_IO_SEND_HEADERS")


class Reply:
    """The response of one session."""

    __slots__ = ("_context", "flushes", "has_body", "has_headers")

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self.flushes = False
        self.has_headers = False
        self.has_body = False

    @property
    def has_begun(self) -> bool:
        """Whether the extension has sent anything."""
        return self.has_headers or self.has_body

    def send_headers(self, status: str, headers: str) -> None:
        """Status and fields, once; what follows the empty line is body.

        Raises ServerFunctionError: 87 for wrong text, or headers a second time.
        """
        if self.has_begun or self._context.exchange.started:
            raise invalid("the response has headers already")
        code, reason = parse_status(status)
        fields, body = parse_header_block(headers)
        response = self._context.response
        response.set_status(code, reason)
        own: list[tuple[str, str]] = []
        try:
            for name, value in fields:
                lower = name.lower()
                if lower == "connection" and "close" in value.lower():
                    response.set_need_disconnect()
                if lower == "content-length":
                    response.set_header(name, value)
                elif lower not in LISTENER_FIELDS:
                    own.append((name, value))
            response.set_encoded_fields(own, encode_fields(own))
        except LocalProtocolError as error:
            response.clear()
            raise invalid(str(error)) from None
        self.has_headers = True
        if body:
            self.write([body.encode("latin-1", "replace")])

    def disconnect_after(self) -> None:
        """The connection ends with this response."""
        self._context.response.set_need_disconnect()

    def skip_custom_errors(self) -> None:
        """An error status keeps the body that the extension gives it."""
        response = self._context.response
        response.set_status(
            response.status, response.reason, response.sub_status, try_skip_custom_errors=True
        )

    def write(self, parts: list[Part], *, flush: bool = False) -> int:
        """Add to the body; how many bytes that is. Raises ServerFunctionError."""
        self._insist_on_client()
        return self._put(_chunks_of(parts), flush)

    def _put(self, chunks: list[Chunk], flush: bool) -> int:
        count = size_of(chunks)
        response = self._context.response
        try:
            if chunks:
                self.has_body = True
                response.write_entity_chunks(chunks)
                if response.error is not None:  # it is the extension's page, as an application's is
                    response.error.try_skip_custom_errors = True
            if (self.flushes and chunks) or flush:
                response.flush()
        except ClientGoneError:
            raise _gone() from None
        except LocalProtocolError as error:
            raise invalid(str(error)) from None
        return count

    def send(self, flags: int, status: str, headers: str | None, parts: list[Part]) -> int:
        """TRANSMIT_FILE and VECTOR_SEND, by their flags: headers where they are given, then parts.

        What is known to be the last can have its length said, so it waits for the end.
        """
        self._insist_on_client()
        chunks = _chunks_of(parts)  # first: what has failed has sent nothing, headers neither
        if headers is not None:
            try:
                self.send_headers(status, headers)
            except BaseException:
                close_files(chunks)
                raise
        if flags & IoFlag.DISCONNECT_AFTER_SEND:
            self.disconnect_after()
        if flags & IoFlag.TRY_SKIP_CUSTOM_ERRORS:
            self.skip_custom_errors()
        is_partial = bool(flags & IoFlag.ASYNC) and not flags & IoFlag.FINAL_SEND
        return self._put(chunks, is_partial)

    def redirect(self, url: str) -> None:
        """302 to another URL."""
        if self.has_begun:
            raise invalid("the response has headers already")
        try:
            self._context.response.redirect(url)
        except LocalProtocolError as error:
            raise invalid(str(error)) from None
        self.has_headers = True

    def send_custom_error(self, status: str, sub_status: int) -> None:
        """The server's error page for a status."""
        if self.has_begun:
            raise invalid("the response has headers already")
        code, reason = parse_status(status)
        if code < 400:
            raise invalid(f"{code} is not an error")
        self._context.response.set_status(code, reason, sub_status)
        self.has_headers = True

    def fail(self) -> None:
        """HSE_STATUS_ERROR: 500.0 if nothing was sent, else the connection ends."""
        context = self._context
        if context.exchange.started:
            context.is_cut = True
        elif self.has_begun:
            context.response.set_need_disconnect()
        else:
            context.response.clear()
            context.response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED)

    def _insist_on_client(self) -> None:
        if self._context.exchange.gone or self._context.is_cut:
            raise _gone()


def _gone() -> ServerFunctionError:
    return ServerFunctionError(Win32.WSAECONNRESET, "the client has gone")


def _chunks_of(parts: list[Part]) -> list[Chunk]:
    chunks: list[Chunk] = []
    try:
        for part in parts:
            if isinstance(part, FilePart):
                chunks.append(_region(part))
            elif part:
                chunks.append(part)
    except BaseException:
        close_files(chunks)
        raise
    return chunks


def _region(part: FilePart) -> FileRegion:
    """A duplicate of the descriptor: the extension may close its own as soon as it is told."""
    try:
        status = os.fstat(part.fd)
    except OSError as error:
        raise ServerFunctionError(Win32.INVALID_HANDLE, str(error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise ServerFunctionError(Win32.INVALID_HANDLE, "not a regular file")
    if part.offset > status.st_size or part.offset + part.size > status.st_size:
        raise ServerFunctionError(Win32.WSAEINVAL, "beyond the end of the file")
    size = part.size or status.st_size - part.offset
    return FileRegion(os.dup(part.fd), part.offset, size)
