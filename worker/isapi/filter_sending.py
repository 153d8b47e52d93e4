"""How filters take part in a response: its head, its blocks, its end, and its line in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from was.log import log_exception
from was.worker.calls.registration import HttpModule
from was.worker.chunks import Chunk, close_files, read_region
from was.worker.exchange import ClientGoneError
from was.worker.fields import LISTENER_FIELDS
from was.worker.interfaces.hresult import E_UNEXPECTED
from was.worker.interfaces.response import HttpResponse
from was.worker.isapi import filter_data as data
from was.worker.isapi.filter_flags import Denied, FilterStatus, Notify
from was.worker.isapi.filter_parts import NAME, Parts, session_of
from was.worker.isapi.filter_session import FilterSession
from was.worker.isapi.header_text import parse_header_block
from was.worker.notifications import CONTINUE
from was.worker.threads.application_calls import RequestInterruptedError

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["SENDING", "log_request", "send_added_fields", "send_response"]

SENDING = Notify.ACCESS_DENIED | Notify.SEND_RESPONSE | Notify.SEND_RAW_DATA | Notify.END_OF_REQUEST
# SF_DENIED_ by the sub-status of a 401.
_DENIED = {
    2: Denied.LOGON | Denied.BY_CONFIG,
    3: Denied.RESOURCE,
    4: Denied.FILTER,
    5: Denied.APPLICATION,
}
_BLOCK = 65536


class _FilterFailedError(Exception):
    """A filter of SEND_RAW_DATA has failed: the block that it was shown must not leave as it is."""


def send_added_fields(_: HttpModule, context: HttpContext, response: HttpResponse) -> object:
    """No filter takes part in sending: what AddResponseHeaders was told goes with the head."""
    if response.headers_being_sent:
        session = context.named_context_container.get_named_context(NAME)
        if isinstance(session, FilterSession):
            session.put_added_fields()
    return CONTINUE


def send_response(parts: Parts) -> Any:
    """on_send_response: head, blocks and the end of the response go through the filters."""

    def on_send_response(_: HttpModule, context: HttpContext, __: HttpResponse) -> object:
        session = session_of(context)
        if session.is_sent:
            return CONTINUE
        if session.is_replaced:
            context.response.discard_body()  # the handler goes on with what nobody wants
        if context.is_cut:
            return CONTINUE
        try:
            if not session.has_raised_head:
                session.has_raised_head = True
                _raise_head(parts, session)
            _raise_blocks(parts, session)
        except _FilterFailedError:
            parts.conclude(session, FilterStatus.ERROR)
            session.is_replaced = True
        if session.is_final:
            session.is_sent = True
            response = context.response
            session.raise_event(parts.of[Notify.END_OF_REQUEST], Notify.END_OF_REQUEST, None)
            is_bodiless = context.message.method == "HEAD" or response.status == 304
            if not context.exchange.started and not is_bodiless:
                # All of the body is here: what it comes to now is its length.
                response.content_length = response.buffered_bytes()
        return CONTINUE

    return on_send_response


def _raise_head(parts: Parts, session: FilterSession) -> None:
    context = session.context
    response = context.response
    if response.status == 401 and parts.of[Notify.ACCESS_DENIED]:
        reason = _DENIED.get(response.sub_status, Denied.LOGON)
        shown = data.AccessDenied(context.path, context.physical_path, reason)
        status = session.raise_event(parts.of[Notify.ACCESS_DENIED], Notify.ACCESS_DENIED, shown)
        if status in (FilterStatus.FINISHED, FilterStatus.FINISHED_KEEP_CONN):
            session.conclude_answer(status)
    session.put_added_fields()
    headers = data.ResponseHeaders(context)
    status = session.raise_event(parts.of[Notify.SEND_RESPONSE], Notify.SEND_RESPONSE, headers)
    parts.conclude(session, status)
    session.is_replaced = session.is_answered or status == FilterStatus.ERROR
    session.put_added_fields()
    raw = parts.of[Notify.SEND_RAW_DATA]
    if raw:
        _raise_raw_head(session, raw)


def _raise_raw_head(session: FilterSession, filters: tuple[Any, ...]) -> None:
    """The head as bytes; what the filters make of it is read again."""
    response = session.context.response
    lines = [f"HTTP/1.1 {response.status} {response.reason}".encode("latin-1", "replace"), b"\r\n"]
    block = b"".join(lines) + response.block() + b"\r\n"
    made = _raise_raw(session, filters, block)
    if made == block:
        return
    line, _, rest = made.decode("latin-1").partition("\r\n")
    fields, body = parse_header_block(rest)
    data.change_status(response, line)
    length = response.content_length
    response.clear_headers()
    for name, value in fields:
        if name.lower() not in LISTENER_FIELDS:
            response.set_header(name, value, replace=False)
    response.content_length = length
    if body:
        response.chunks.insert(0, body.encode("latin-1"))


def _raise_raw(session: FilterSession, filters: tuple[Any, ...], block: bytes) -> bytes:
    """What the filters make of a block. Raises _FilterFailedError."""
    shown = data.RawData(block)
    if session.raise_event(filters, Notify.SEND_RAW_DATA, shown) == FilterStatus.ERROR:
        raise _FilterFailedError
    return shown.data


def _raise_blocks(parts: Parts, session: FilterSession) -> None:
    raw = parts.of[Notify.SEND_RAW_DATA]
    response = session.context.response
    if raw and response.chunks:
        chunks, response.chunks = response.chunks, []
        response.chunks = _filtered(session, raw, chunks)
        if not session.is_final and not session.context.exchange.started:
            response.content_length = -1  # nobody knows what will become of the rest


def _filtered(session: FilterSession, filters: tuple[Any, ...], chunks: list[Chunk]) -> list[Chunk]:
    made: list[Chunk] = []
    response = session.context.response
    try:
        for chunk in chunks:
            for block in [chunk] if isinstance(chunk, bytes) else read_region(chunk, _BLOCK):
                left = _raise_raw(session, filters, block)
                if left:
                    made.append(left)
                # What a filter has written goes behind the block that it was shown.
                made += response.chunks
                response.chunks = []
    finally:
        close_files(chunks)
    return made


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


def log_request(parts: Parts) -> Any:
    """on_log_request: the response leaves now, then LOG."""
    sends = parts.wants(SENDING)
    filters = parts.of[Notify.LOG]

    def on_log_request(_: HttpModule, context: HttpContext, __: object) -> object:
        if context.child is not None:
            return CONTINUE
        session = session_of(context)
        if sends and not context.is_cut:
            session.is_final = True
            _flush(context)
        if filters:
            shown = data.LogFields(context)
            session.raise_event(filters, Notify.LOG, shown)
            data.put_log(context, shown)
        return CONTINUE

    return on_log_request


def _flush(context: HttpContext) -> None:
    """The response leaves now: what filters make of it is to be logged."""
    try:
        context.response.flush()
    except (ClientGoneError, RequestInterruptedError):
        context.is_cut = True
    except BaseException as error:  # noqa: BLE001 a filter's or a module's fault
        log_exception("module_failed", error, request=context.request_id)
        if context.exchange.started:
            context.is_cut = True
            return
        context.response.clear()
        context.response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED)
