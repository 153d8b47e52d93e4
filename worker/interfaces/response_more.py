"""The part of HttpResponse that few modules ask for: asynchronous sending, caches, HTTP/2."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from was.worker.completion import Operation, Routine
from was.worker.interfaces import async_io
from was.worker.interfaces.hresult import ERROR_INVALID_PARAMETER, ERROR_NOT_SUPPORTED, HResultError
from was.worker.interfaces.trailers import check_trailer

if TYPE_CHECKING:
    from was.worker.chunks import Chunk
    from was.worker.interfaces.response import HttpResponse

__all__ = ["ResponseMore", "ResponseStatus"]

# HTTPSYS_NOT_FRIENDLY: what DisableKernelCache says if it is given no reason.
HANDLER_HTTPSYS_UNFRIENDLY = 9


class ResponseStatus(NamedTuple):
    """What GetStatus hands out."""

    code: int
    sub_status: int
    reason: str
    hresult: int
    module_name: str
    notification: str
    exception: BaseException | None
    try_skip_custom_errors: bool


class ResponseMore:
    """Methods of IHttpResponse beyond status, fields and body."""

    __slots__ = ()

    def get_status(self) -> ResponseStatus:
        """The status with what was said of an error, and who said it."""
        me = cast("HttpResponse", self)
        error = me.error
        if error is None:
            return ResponseStatus(me.status, me.sub_status, me.reason, 0, "", "", None, False)
        return ResponseStatus(
            me.status,
            me.sub_status,
            me.reason,
            error.hresult,
            error.module_name,
            error.notification,
            error.exception,
            error.try_skip_custom_errors,
        )

    @property
    def error_description(self) -> str:
        """What set_error_description has said."""
        error = cast("HttpResponse", self).error
        return error.description if error is not None else ""

    # ── asynchronous sending ────────────────────────────────────────────────────────────────────

    def flush_async(
        self, more_data: bool = True, routine: Routine | None = None
    ) -> tuple[int, bool]:
        """Send what there is: bytes sent, and whether a completion follows.

        True: answer PENDING; on_async_completion, or `routine`, is called when all is on its way.
        `more_data=False` declares the length, if nothing was sent before, so that the client has
        the whole response at once.
        """
        me = cast("HttpResponse", self)
        size = me.buffered_bytes()
        if not more_data and not me.headers_sent and me.content_length < 0:
            me.content_length = size
        context = me.owner()
        if size <= context.exchange.writable_bytes:
            me.flush()
            return size, False

        def work() -> int:
            me.flush()
            return size

        async_io.begin(context, Operation.FLUSH, work, routine)
        return 0, True

    def write_entity_chunks_async(
        self,
        chunks: list[Chunk],
        more_data: bool = True,
        routine: Routine | None = None,
    ) -> tuple[int, bool]:
        """Add to the body, and send what is over the limit, as flush_async does."""
        me = cast("HttpResponse", self)
        me.chunks += chunks
        if not me.must_flush(more_data):
            return 0, False
        return self.flush_async(more_data, routine)

    def write_entity_chunk_by_reference(self, chunk: Chunk, position: int = -1) -> None:
        """Put a chunk into the body: 0 first, -1 last. HResultError: ERROR_INVALID_PARAMETER."""
        me = cast("HttpResponse", self)
        if not -1 <= position <= len(me.chunks):
            raise HResultError(ERROR_INVALID_PARAMETER, f"no place {position} in the body")
        me.chunks.insert(len(me.chunks) if position == -1 else position, chunk)

    # ── caches and connection ───────────────────────────────────────────────────────────────────

    def disable_kernel_cache(self, reason: int = HANDLER_HTTPSYS_UNFRIENDLY) -> None:
        """The listener must not keep this response; `reason` is for traces."""
        me = cast("HttpResponse", self)
        me.kernel_cache_disabled = reason

    @property
    def kernel_cache_enabled(self) -> bool:
        """Whether nobody has called disable_kernel_cache."""
        return not cast("HttpResponse", self).kernel_cache_disabled

    def close_connection(self) -> None:
        """Give the response up and close the connection, without an answer."""
        cast("HttpResponse", self).reset_connection()

    def suppress_headers(self) -> None:
        """Send no fields of the response's own.

        HTTP needs a status line, and the listener frames the body: those are sent all the same.
        """
        cast("HttpResponse", self).headers_suppressed = True

    # ── trailers and HTTP/2 ─────────────────────────────────────────────────────────────────────

    def push_promise(self, verb: str, path: str, query: str = "", fields: object = ()) -> None:
        """HResultError: ERROR_NOT_SUPPORTED, as in IIS for clients that take no pushes."""
        raise HResultError(ERROR_NOT_SUPPORTED, "the client takes no pushes")

    def set_trailer(self, name: str, value: str, replace: bool = True) -> None:
        """Have a field follow the body, in place of those of its name or beside them.

        The body goes in chunks then. A client of HTTP/1.0, and one that was told its length by a
        flush before, gets none. HResultError: ERROR_INVALID_PARAMETER for what must come before a
        body. Those of a child request follow the root's.
        """
        check_trailer(name, value)
        if replace:
            self.delete_trailer(name)
        root = self._root()
        root.trailers = [*root.trailers, (name, value)]

    def get_trailer(self, name: str) -> str | None:
        """The value of a trailer, several of one name joined by commas; None if absent."""
        lower = name.lower()
        values = [value for key, value in self._root().trailers if key.lower() == lower]
        return ", ".join(values) if values else None

    def delete_trailer(self, name: str) -> None:
        """Remove the trailers of a name, if there are any."""
        root = self._root()
        lower = name.lower()
        root.trailers = [field for field in root.trailers if field[0].lower() != lower]

    def _root(self) -> HttpResponse:
        return cast("HttpResponse", self).owner().root_context.response

    def reset_stream(self, error_code: int = 0) -> None:
        """Give the response up: RST_STREAM where there are streams, else the connection is cut."""
        cast("HttpResponse", self).reset_connection()

    def set_need_go_away(self) -> None:
        """Close the connection after this response."""
        cast("HttpResponse", self).set_need_disconnect()
