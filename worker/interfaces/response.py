"""IHttpResponse: status, fields and buffered body of one response.

The body is a list of chunks, bytes or regions of open files. Nothing leaves before `flush`, the
buffer limit or the end of the request; then RQ_SEND_RESPONSE is raised. The response is its own
ISendResponseProvider (`headers_being_sent`, `ready_to_log_data`, `flags`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from was.errors import LocalProtocolError
from was.worker import sending
from was.worker.chunks import Chunk, close_files, size_of
from was.worker.fields import (
    LISTENER_FIELDS,
    beside,
    bounded,
    encode_field,
    encode_fields,
    read_length,
)
from was.worker.interfaces.header_ids import response_field
from was.worker.interfaces.response_more import ResponseMore
from was.worker.output_cache.policy import HttpCachePolicy

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["REASONS", "ErrorDetail", "HttpResponse", "win32_of"]


# Some of RFC 7231's, which are IIS's, have other words since Python 3.13.
REASONS: dict[int, str] = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


def win32_of(hresult: int) -> int:
    """What an HRESULT is in the sc-win32-status column; many have it as a signed number."""
    hresult &= 0xFFFFFFFF
    return hresult & 0xFFFF if hresult >> 16 == 0x8007 else hresult


class ErrorDetail:
    """Why a status was set: for the detailed page, the log and GetStatus."""

    __slots__ = (
        "description",
        "exception",
        "hresult",
        "is_html",
        "module_name",
        "notification",
        "traceback",
        "try_skip_custom_errors",
    )

    def __init__(self) -> None:
        self.hresult = 0
        self.exception: BaseException | None = None
        self.try_skip_custom_errors = False
        self.description = ""
        self.is_html = False
        self.traceback = ""
        self.module_name = ""
        self.notification = ""


class HttpResponse(ResponseMore, msgspec.Struct, eq=False):
    """The response of one request. A Struct: one is made for every request, and this way in C."""

    _context: HttpContext | None = None
    status: int = 200
    reason: str = "OK"
    sub_status: int = 0
    _fields: list[tuple[str, str]] = []
    _block: bytes | None = b""
    chunks: list[Chunk] = []
    content_length: int = -1  # declared by the handler; -1: what the chunks come to
    error: ErrorDetail | None = None
    is_buffering: bool = True
    needs_disconnect: bool = False
    headers_being_sent: bool = False
    ready_to_log_data: bool = False
    flags: int = 0
    _cache_policy: HttpCachePolicy | None = None
    kernel_cache_disabled: int = 0  # the reason
    headers_suppressed: bool = False
    trailers: list[tuple[str, str]] = []
    _of_modules: tuple[tuple[str, str], ...] = ()  # fields that were there before the handler's
    unsent: int = -1  # of a Content-Length that was sent: what is still owed; -1: nothing was said

    def attach(self, context: HttpContext) -> None:
        """Belong to a request; the two point to each other until `detach`."""
        self._context = context

    def owner(self) -> HttpContext:
        """The request that it answers. LookupError once that is over."""
        if self._context is None:
            raise LookupError("the request is over")
        return self._context

    # ── status ──────────────────────────────────────────────────────────────────────────────────

    def set_status(
        self,
        code: int,
        reason: str = "",
        sub_status: int = 0,
        hresult: int = 0,
        exception: BaseException | None = None,
        try_skip_custom_errors: bool = False,
    ) -> None:
        """Set the status; `hresult` feeds sc-win32-status and the detailed error page."""
        self.status = code
        self.reason = reason or REASONS.get(code, "")
        self.sub_status = sub_status
        if code >= 400 or hresult or exception is not None or try_skip_custom_errors:
            detail = self.error = ErrorDetail()
            detail.hresult = hresult
            detail.exception = exception
            detail.try_skip_custom_errors = try_skip_custom_errors
        else:
            self.error = None

    def set_error_description(self, text: str, html_encode: bool = True) -> None:
        """A sentence for the detailed error page; `html_encode=False`: it is HTML already."""
        if self.error is None:
            self.error = ErrorDetail()
        self.error.description = text
        self.error.is_html = not html_encode

    @property
    def hresult(self) -> int:
        """The error that was reported with the status."""
        return self.error.hresult if self.error is not None else 0

    # ── fields ──────────────────────────────────────────────────────────────────────────────────

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """All fields in order, as they will be sent."""
        return tuple(self._fields)

    def get_header(self, name: str | int) -> str | None:
        """The value of a field, several of one name joined by commas; None if absent.

        Here and below `name` may be an HTTP_HEADER_ID.
        """
        lower = response_field(name).lower()
        values = [value for key, value in self._fields if key.lower() == lower]
        return ", ".join(values) if values else None

    def set_header(self, name: str | int, value: str, replace: bool = True) -> None:
        """Set a field, in place of those of its name, or beside them."""
        name = response_field(name)
        lower = name.lower()
        if lower == "content-length":
            self.content_length = read_length(value)
            return
        if lower in LISTENER_FIELDS:
            raise LocalProtocolError(f"{name} is the listener's to send")
        encode_field((name, value))
        if replace:
            self._fields = [field for field in self._fields if field[0].lower() != lower]
        self._fields = [*self._fields, (name, value)]
        self._block = None

    def delete_header(self, name: str | int) -> None:
        """Remove the fields of a name, if there are any."""
        lower = response_field(name).lower()
        if lower == "content-length":
            self.content_length = -1
        self._fields = [field for field in self._fields if field[0].lower() != lower]
        self._block = None

    def set_encoded_fields(self, fields: list[tuple[str, str]], block: bytes) -> None:
        """Take a handler's fields, which it has checked and encoded; the list stays as it is.

        What modules have set before is sent too, but for fields that the handler gives another
        value. The listener's may be among `fields`, but must not be in `block`.
        """
        if self._fields:
            self._of_modules = tuple(self._fields)
            kept = beside(self._fields, fields)
            fields, block = [*kept, *fields], encode_fields(kept) + block
        self._block = bounded(block)
        self._fields = fields

    def take_back_fields(self) -> None:
        """The handler takes its fields back; what modules have set stays."""
        self.replace_fields([*self._of_modules])

    def replace_fields(self, fields: list[tuple[str, str]]) -> None:
        """Have these fields in place of all there are; the listener's among them are not sent."""
        self._fields = fields
        self._block = None

    def override_fields(self, fields: list[tuple[str, str]]) -> None:
        """Have these, which were checked before, in place of all of their names."""
        names = {name.lower() for name, _ in fields}
        self._fields = [field for field in self._fields if field[0].lower() not in names] + fields
        self._block = None

    def add_encoded_fields(self, fields: list[tuple[str, str]], block: bytes) -> None:
        """Add fields that were checked and encoded before."""
        self._fields = self._fields + fields
        self._block = None if self._block is None else self._block + block

    def block(self) -> bytes:
        """The encoded fields."""
        if self.headers_suppressed:
            return b""
        block = self._block
        if block is None:
            own = [field for field in self._fields if field[0].lower() not in LISTENER_FIELDS]
            block = self._block = bounded(encode_fields(own))
        return block

    # ── body ────────────────────────────────────────────────────────────────────────────────────

    def write_entity_chunks(self, chunks: list[Chunk], more_data: bool = True) -> None:
        """Add to the body. Sends what there is without buffering, or past the handler's limit."""
        self.chunks += chunks
        if self.must_flush(more_data):
            self.flush()

    def must_flush(self, more_data: bool) -> bool:
        """Whether what is written is more than may be kept until the end."""
        plan = self.owner().plan
        limit = plan.response_buffer_limit if plan is not None else 4194304
        return more_data and (not self.is_buffering or self.buffered_bytes() > limit)

    def set_body(self, data: bytes) -> None:
        """Make `data` the whole body."""
        self.discard_body()
        self.chunks.append(data)

    def buffered_bytes(self) -> int:
        """How long the unsent chunks are together."""
        return size_of(self.chunks)

    def discard_body(self) -> None:
        """Drop the unsent chunks and the declared length."""
        close_files(self.chunks)
        self.chunks.clear()
        self.content_length = -1

    def disable_buffering(self) -> None:
        """From now on every write is sent at once."""
        self.is_buffering = False

    def flush(self) -> None:
        """Raise RQ_SEND_RESPONSE and send what there is; more will follow."""
        sending.flush(self.owner())

    @property
    def cache_policy(self) -> HttpCachePolicy:
        """What the output cache is to do with this response."""
        policy = self._cache_policy
        if policy is None:
            policy = self._cache_policy = HttpCachePolicy()
        return policy

    # ── the rest ────────────────────────────────────────────────────────────────────────────────

    @property
    def headers_sent(self) -> bool:
        """Whether status and fields have gone: changing them has no effect any more."""
        return self.owner().exchange.started

    def clear(self) -> None:
        """Back to an empty 200."""
        self.clear_headers()
        self.discard_body()
        self.trailers = []
        self.set_status(200)

    def clear_headers(self) -> None:
        """Remove all fields."""
        self._fields = []
        self._block = b""

    def set_need_disconnect(self) -> None:
        """Close the client's connection after this response."""
        self.needs_disconnect = True

    def detach(self) -> None:
        """The request is over: status, fields and error can still be read, nothing be sent."""
        self._context = None

    def reset_connection(self) -> None:
        """Give the response up: the connection is cut when the request ends, without an answer."""
        context = self.owner()
        context.is_cut = context.is_reset = True

    def redirect(
        self,
        url: str,
        status: int = 302,
        *,
        reset_status_code: bool = True,
        include_parameters: bool = False,
    ) -> None:
        """Answer with a Location and a small body that says so; follow with FINISH_REQUEST.

        `reset_status_code=False` leaves the status alone; `include_parameters` adds the query.
        """
        from html import escape

        if reset_status_code:
            self.set_status(status)
        query = self.owner().query if include_parameters else ""
        if query:
            url += ("&" if "?" in url else "?") + query
        self.set_header("Location", url)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_body(
            f"<head><title>Document Moved</title></head>\n<body><h1>Object Moved</h1>"
            f'This document may be found <a HREF="{escape(url)}">here</a></body>'.encode()
        )
