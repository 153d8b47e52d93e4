"""IHttpRequest: the request half of a context, which modules may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.nested_events import raise_within
from was.worker.completion import Operation, Routine
from was.worker.exchange import ClientGoneError
from was.worker.interfaces.async_io import begin
from was.worker.interfaces.header_ids import request_field
from was.worker.interfaces.hresult import (
    E_INVALIDARG,
    ERROR_CONNECTION_INVALID,
    ERROR_HANDLE_EOF,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    HResultError,
)
from was.worker.url_text import as_bytes, read_url

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.interfaces.context import HttpContext

__all__ = ["EntityTooLargeError", "HttpRequest", "ReadEntityProvider"]


class EntityTooLargeError(Exception):
    """A body of unknown length has become longer than the request may have: 413.1.

    You get this while reading it; one whose length is said beforehand is refused unread.
    """


class ReadEntityProvider:
    """IReadEntityProvider: the block just read, which a filter may replace."""

    __slots__ = ("entity",)

    def __init__(self, entity: bytes) -> None:
        self.entity = entity

    def set_entity(self, entity: bytes) -> None:
        """Replace the block."""
        self.entity = entity


class HttpRequest:
    """Method, URL, fields and body. Changes are seen by later modules, the handler and the log."""

    __slots__ = (
        "_context",
        "_filtered",
        "_forwarded",
        "_inserted",
        "_is_at_end",
        "_left_bytes",
        "_taken",
        "_url_changed",
    )

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self._inserted: list[bytes] = []
        self._filtered = b""  # what a filter made of a block beyond what was asked for
        self._url_changed = False
        self._forwarded: str | None = None
        self._taken = 0
        self._is_at_end = False
        self._left_bytes = -1  # of what may still come; -1: as much as there is

    @property
    def http_method(self) -> str:
        """The method."""
        return self._context.method

    def set_http_method(self, method: str) -> None:
        """Change the method."""
        self._context.method = method

    @property
    def url(self) -> str:
        """The canonical path."""
        return self._context.path

    @property
    def url_changed(self) -> bool:
        """Whether a module has changed the URL."""
        return self._url_changed

    def set_url(self, url: str, reset_query_string: bool = True) -> None:
        """Change path and query, in GL_PRE_BEGIN_REQUEST or on a child that was not run yet.

        `url` is written as in a request: what is percent-encoded in its path is decoded, dot
        segments are resolved, scheme and host passed over. `reset_query_string=False` keeps the
        query there is. HResultError where the application has been chosen, and the path is none of
        its own: SCRIPT_NAME and the file would be another path's.
        """
        path, query = read_url(url)
        context = self._context
        if not (context.may_move or context.child is not None):
            prefix = context.application.prefix
            at = len(prefix)
            if path[:at].lower() != prefix.lower() or path[at : at + 1] not in ("", "/"):
                text = f"{path} is not below {prefix}: GL_PRE_BEGIN_REQUEST may go elsewhere"
                raise HResultError(E_INVALIDARG, text)
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0] if "/" not in scheme else ""
        self._forwarded = url if host and host != self.get_header("Host") else None
        self._context.set_path(path)
        if reset_query_string:
            self._context.query = query
        self._url_changed = True

    @property
    def http_version(self) -> tuple[int, int]:
        """Major and minor."""
        return divmod(self._context.message.version, 10)

    @property
    def site_id(self) -> int:
        """The site's id."""
        return self._context.message.site_id

    @property
    def remote_address(self) -> tuple[str, int]:
        """The client's address and port."""
        message = self._context.message
        return message.remote_addr, message.remote_port

    @property
    def local_address(self) -> tuple[str, int]:
        """The address and port the client connected to."""
        message = self._context.message
        return message.local_addr, message.local_port

    @property
    def raw_http_request(self) -> Request:
        """HTTP_REQUEST: what the listener has sent, which modules cannot change."""
        return self._context.message

    @property
    def forwarded_url(self) -> str | None:
        """The URL of set_url if it named another host, None else."""
        return self._forwarded

    def get_client_certificate(self) -> bytes:
        """HResultError: ERROR_NOT_FOUND, since the listener asks clients for no certificate."""
        raise HResultError(ERROR_NOT_FOUND, "the client has shown no certificate")

    def negotiate_client_certificate(self, is_async: bool = False) -> bool:
        """HResultError: ERROR_NOT_SUPPORTED: TLS 1.3 has no renegotiation."""
        raise HResultError(ERROR_NOT_SUPPORTED, "a certificate cannot be asked for later")

    def get_channel_binding_token(self) -> bytes:
        """HResultError: ERROR_NOT_FOUND where the connection has none."""
        raise HResultError(ERROR_NOT_FOUND, "the connection has no channel binding")

    # ── fields ──────────────────────────────────────────────────────────────────────────────────

    def get_header(self, name: str | int) -> str | None:
        """The value of a field, several of one name joined by commas; None if absent.

        Here and below `name` may be an HTTP_HEADER_ID.
        """
        lower = request_field(name).lower()
        values = [value for key, value in self._context.fields if key.lower() == lower]
        if not values:
            return None
        return ("; " if lower == "cookie" else ", ").join(values)

    def set_header(self, name: str | int, value: str, replace: bool = True) -> None:
        """Set a field, or add to it. Values are bytes in latin-1; others become their UTF-8."""
        name = request_field(name)
        if replace:
            self.delete_header(name)
        self._context.fields = [*self._context.fields, (name, as_bytes(value))]

    def delete_header(self, name: str | int) -> None:
        """Remove a field."""
        lower = request_field(name).lower()
        self._context.fields = [f for f in self._context.fields if f[0].lower() != lower]

    # ── body ────────────────────────────────────────────────────────────────────────────────────

    def read_entity_body(self, size: int) -> bytes:
        """Up to `size` bytes of the body, b"" at its end. Raises ClientGoneError.

        RQ_READ_ENTITY is raised after each read, also when nothing is left.
        """
        self._context.is_body_touched = True
        data = self._filtered
        if not data:
            data = self._take(size)
            calls = self._context.calls.read_entity
            if not calls:
                if len(data) > size:
                    self._inserted.insert(0, data[size:])
                    data = data[:size]
                return data
            provider = ReadEntityProvider(data)
            raise_within(self._context, calls, provider)
            data = provider.entity
        self._filtered = data[size:]
        return data[:size]

    def read_entity_body_into(
        self, buffer: bytearray, is_async: bool = False, routine: Routine | None = None
    ) -> tuple[int, bool]:
        """Read into `buffer`: how many bytes, and whether a completion follows instead.

        True only if `is_async` and nothing has come yet: answer PENDING and leave the buffer alone
        until on_async_completion, or `routine`, is called. Raises HResultError: ERROR_HANDLE_EOF
        at the end of the body (a completion has no bytes then), ERROR_CONNECTION_INVALID when the
        client has gone.
        """
        context = self._context

        def work() -> int:
            data = self.read_entity_body(len(buffer))
            buffer[: len(data)] = data
            return len(data)

        is_ready = self._filtered or self._inserted or context.exchange.is_readable
        if is_async and not is_ready:
            begin(context, Operation.READ, work, routine)
            return 0, True
        try:
            count = work()
        except ClientGoneError as error:
            raise HResultError(ERROR_CONNECTION_INVALID, "the client has gone") from error
        if not count:
            raise HResultError(ERROR_HANDLE_EOF, "the end of the body")
        return count, False

    @property
    def remaining_entity_bytes(self) -> int:
        """How much of the body is unread; 0xFFFFFFFF where the client has not said."""
        kept = len(self._filtered) + sum(map(len, self._inserted))
        length = self._context.message.body_length
        if length < 0:
            return kept if self._is_at_end else 0xFFFFFFFF
        return kept + max(0, length - self._taken)

    def _take(self, size: int) -> bytes:
        if self._inserted:
            return self._inserted.pop(0)
        data = self._context.exchange.read(size)
        self._taken += len(data)
        self._is_at_end = not data
        self.charge_entity_body(len(data))
        return data

    def charge_entity_body(self, count: int) -> None:
        """Count bytes that a handler reads by a way of its own. Raises EntityTooLargeError."""
        if self._left_bytes >= 0:
            self._left_bytes -= count
            if self._left_bytes < 0:
                self._left_bytes = 0
                raise EntityTooLargeError("the body is longer than it may be")

    def limit_entity_body(self, limit_bytes: int) -> None:
        """Let the client send so much of a body of unknown length, or what it was told if less."""
        known = self._left_bytes
        self._left_bytes = limit_bytes if known < 0 else min(known, limit_bytes)

    def take_raw(self, size: int) -> bytes:
        """The next bytes without RQ_READ_ENTITY, for a child request that raises its own."""
        self._context.is_body_touched = True
        data, self._filtered = self._filtered or self._take(size), b""
        if len(data) > size:
            self._inserted.insert(0, data[size:])
        return data[:size]

    def insert_entity_body(self, data: bytes) -> None:
        """Put bytes before the unread rest of the body."""
        if data:
            self._context.is_body_touched = True
            self._inserted.insert(0, data)

    def detach(self) -> None:
        """The request is over."""
        del self._context
