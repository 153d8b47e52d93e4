"""FilterSession: one request as its filters see it, and what they keep of its connection.

A filter that answers itself sends headers and body, then returns FINISHED: its answer takes the
place of the pipeline's. While the response is being sent, what it writes goes behind the block that
is being sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from was.errors import LocalProtocolError
from was.ipc.scoreboard import RequestState
from was.log import log_exception
from was.worker.fields import LISTENER_FIELDS, encode_fields
from was.worker.interfaces.hresult import HResultError
from was.worker.isapi import note
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.filter_flags import FilterStatus, Notify
from was.worker.isapi.header_text import parse_header_block, parse_status
from was.worker.threads.application_calls import RequestInterruptedError, call

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.isapi.note import CallNote

__all__ = ["Connection", "Filter", "FilterSession"]

_STARTED = int(RequestState.STARTED)
_SENDING = Notify.SEND_RESPONSE | Notify.SEND_RAW_DATA | Notify.END_OF_REQUEST


class Filter(Protocol):
    """A loaded filter of either kind."""

    path: str
    flags: int
    note: CallNote

    def notify(self, session: FilterSession, event: int, shown: object) -> int:
        """HttpFilterProc; an SF_STATUS_REQ_."""
        ...

    def end_connection(self, connection: Connection) -> None:
        """END_OF_NET_SESSION, where there is no request any more."""
        ...

    def terminate(self) -> None:
        """TerminateFilter."""
        ...


class Connection:
    """What filters keep of a client's connection, in this worker: a stored context of it."""

    __slots__ = ("contexts", "memory", "secure")

    def __init__(self, secure: bool) -> None:
        self.secure = secure
        self.contexts: dict[Filter, Any] = {}
        self.memory: list[object] = []

    def tell_end(self, filters: tuple[Filter, ...]) -> None:
        """These are to hear of its end, whether they keep something of it or not."""
        for one in filters:
            self.contexts.setdefault(one, None)

    def notify_disconnect(self) -> None:
        """The client has gone: what follows says all there is to say."""

    def cleanup_stored_context(self) -> None:
        """The connection has ended: filters that have heard of it are told, once."""
        for one in list(self.contexts):
            try:
                one.end_connection(self)
            except BaseException as error:  # noqa: BLE001 foreign code
                log_exception("module_failed", error, module=one.path)
        self.contexts.clear()
        self.memory.clear()


# Modules count from 1: nobody else's.
_MODULE_ID = -1


def connection_of(context: HttpContext) -> Connection:
    """What is kept of the request's connection; requests that nobody sent have one of their own."""
    try:
        container = context.connection.module_context_container
    except HResultError:
        return Connection(context.message.secure)
    found = container.get_connection_module_context(_MODULE_ID)
    if not isinstance(found, Connection):
        found = Connection(context.message.secure)
        container.set_connection_module_context(found, _MODULE_ID)
    return found


class FilterSession:
    """One request."""

    def __init__(self, context: HttpContext) -> None:
        self.context = context
        self.connection = connection_of(context)
        self.event = 0
        self.current: Filter | None = None
        self.last_error = 0  # SetLastError of the filter that was called last
        self.is_answered = False  # a filter has sent headers of its own
        self.is_replaced = False  # what is sent is not the handler's
        self.is_sent = False  # SEND_RESPONSE and END_OF_REQUEST have been raised
        self.is_final = False
        self.has_raised_head = False
        self._disabled: dict[Filter, int] = {}
        self._fields: list[tuple[str, str]] = []
        self._denial_fields: list[tuple[str, str]] = []
        self._raw = b""

    def cleanup_stored_context(self) -> None:
        """The request is over; what is kept of its connection stays."""

    # ── events ──────────────────────────────────────────────────────────────────────────────────

    def raise_event(self, filters: tuple[Filter, ...], event: int, data: object) -> int:
        """Tell the filters in order; NEXT_NOTIFICATION, or what one of them has ended it with."""
        port = Notify.SECURE_PORT if self.context.message.secure else Notify.NONSECURE_PORT
        both = Notify.SECURE_PORT | Notify.NONSECURE_PORT
        for one in filters:
            if one.flags & both and not one.flags & port:
                continue
            if self._disabled.get(one, 0) & event:
                continue
            status = self._notify(one, event, data)
            if status == FilterStatus.HANDLED_NOTIFICATION:
                return FilterStatus.NEXT_NOTIFICATION
            if status in (FilterStatus.FINISHED, FilterStatus.FINISHED_KEEP_CONN):
                return status
            if status not in (FilterStatus.NEXT_NOTIFICATION, FilterStatus.READ_NEXT):
                return FilterStatus.ERROR
        return FilterStatus.NEXT_NOTIFICATION

    def _notify(self, one: Filter, event: int, data: object) -> int:
        """One call, marked and noted as code that is not ours."""
        exchange, proof = self.context.exchange, self.context.proof
        before = self.event, self.current
        self.event, self.current = event, one
        one.note.leave(exchange)
        if not exchange.started:
            exchange.words[exchange.row] = proof | _STARTED
        try:
            return call(proof, one.notify, self, event, data)
        except RequestInterruptedError:
            raise
        except BaseException as error:  # noqa: BLE001 foreign code
            log_exception(
                "application_error",
                error,
                application=one.path,
                request=self.context.request_id,
                url=self.context.message.target,
            )
            return FilterStatus.ERROR
        finally:
            self.event, self.current = before
            note.take_away(exchange)

    # ── what filters may ask ────────────────────────────────────────────────────────────────────

    def variable(self, name: str) -> str:
        """GetServerVariable; ServerFunctionError 1413 for an unknown name."""
        value = self.context.get_server_variable(name.removeprefix("UNICODE_"))
        if value is None:
            raise ServerFunctionError(Win32.INVALID_INDEX, f"no server variable {name[:64]!r}")
        return value

    def add_headers(self, text: str) -> None:
        """AddResponseHeaders: whatever the response will be, it has these fields too."""
        self._fields += _good_fields(text)

    def add_denial_headers(self, text: str) -> None:
        """SF_REQ_ADD_HEADERS_ON_DENIAL: the same for a 401."""
        self._denial_fields += _good_fields(text)

    def send_headers(self, status: str, headers: str) -> None:
        """SF_REQ_SEND_RESPONSE_HEADER: an answer of the filter's own."""
        code, reason = parse_status(status)
        fields, body = parse_header_block(headers)
        response = self.context.response
        if self.context.exchange.started:
            raise ServerFunctionError(Win32.INVALID_PARAMETER, "the response has headers already")
        response.clear()
        response.set_status(code, reason, try_skip_custom_errors=True)
        self._put(fields)
        self.is_answered = True
        if body:
            response.chunks.append(body.encode("latin-1", "replace"))

    def write_client(self, data: bytes) -> None:
        """WriteClient: a body's bytes; a whole response where the filter sent no headers."""
        if self.is_answered or self.event & _SENDING:
            self.context.response.chunks.append(data)
        else:
            self._raw += data

    def disable(self, mask: int) -> None:
        """SF_REQ_DISABLE_NOTIFICATIONS: the running filter hears no more of these."""
        if self.current is not None:
            self._disabled[self.current] = self._disabled.get(self.current, 0) | mask

    # ── the response ────────────────────────────────────────────────────────────────────────────

    def conclude_answer(self, status: int) -> None:
        """A filter has returned FINISHED: what it wrote is the response."""
        response = self.context.response
        if self._raw and not self.is_answered:
            head, _, body = self._raw.partition(b"\r\n\r\n")
            line, _, fields = head.decode("latin-1").partition("\r\n")
            self._raw = b""
            if not line.startswith("HTTP/"):
                line, fields, body = "200 OK", "", head + body
            self.send_headers(line, fields)
            if body:
                response.chunks.append(body)
        if status == FilterStatus.FINISHED:
            response.set_need_disconnect()

    def put_added_fields(self) -> None:
        """As the head of the response is about to be sent."""
        fields, self._fields = self._fields, []
        if self.context.response.status == 401:
            fields, self._denial_fields = fields + self._denial_fields, []
        self._put(fields)

    def _put(self, fields: list[tuple[str, str]]) -> None:
        response = self.context.response
        for name, value in fields:
            lower = name.lower()
            if lower in LISTENER_FIELDS and lower != "content-length":
                continue
            try:
                response.set_header(name, value, replace=lower == "content-length")
            except LocalProtocolError as error:
                raise ServerFunctionError(Win32.INVALID_PARAMETER, str(error)) from None


def _good_fields(text: str) -> list[tuple[str, str]]:
    """Fields that can be sent. Raises ServerFunctionError (87)."""
    fields = parse_header_block(text)[0]
    try:
        encode_fields(fields)
    except LocalProtocolError as error:
        raise invalid(str(error)) from None
    return fields
