"""IHttpRequest: the request half of a context, which modules may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.nested_events import raise_within
from was.worker.url_text import read_url

if TYPE_CHECKING:
    from was.worker.context import HttpContext

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

    __slots__ = ("_context", "_filtered", "_inserted", "_left_bytes", "_url_changed")

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self._inserted: list[bytes] = []
        self._filtered = b""  # what a filter made of a block beyond what was asked for
        self._url_changed = False
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
        query there is.
        """
        path, query = read_url(url)
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

    # ── fields ──────────────────────────────────────────────────────────────────────────────────

    def get_header(self, name: str) -> str | None:
        """The value of a field, several of one name joined by commas; None if absent."""
        lower = name.lower()
        values = [value for key, value in self._context.fields if key.lower() == lower]
        if not values:
            return None
        return ("; " if lower == "cookie" else ", ").join(values)

    def set_header(self, name: str, value: str, replace: bool = True) -> None:
        """Set a field, or add to it."""
        if replace:
            self.delete_header(name)
        self._context.fields = [*self._context.fields, (name, value)]

    def delete_header(self, name: str) -> None:
        """Remove a field."""
        lower = name.lower()
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

    def _take(self, size: int) -> bytes:
        if self._inserted:
            return self._inserted.pop(0)
        data = self._context.exchange.read(size)
        if self._left_bytes >= 0:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                self._left_bytes = 0
                raise EntityTooLargeError("the body is longer than maxAllowedContentLength")
        return data

    def limit_entity_body(self, limit_bytes: int) -> None:
        """Let the client send so much of a body whose length nobody knows yet."""
        self._left_bytes = limit_bytes

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
