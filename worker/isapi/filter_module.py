"""The module object of an application with filters: events of the pipeline to events of filters."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from was.log import log_exception
from was.worker.application_calls import RequestInterruptedError
from was.worker.chunks import Chunk, close_files, read_region
from was.worker.exchange import ClientGoneError
from was.worker.fields import LISTENER_FIELDS
from was.worker.hresult import E_ACCESSDENIED, E_UNEXPECTED, from_win32
from was.worker.isapi import filter_data as data
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError
from was.worker.isapi.filter_chain import FilterChain
from was.worker.isapi.filter_flags import Denied, FilterStatus, Notify
from was.worker.isapi.filter_session import FilterSession
from was.worker.isapi.header_text import parse_header_block, parse_status
from was.worker.isapi.site_paths import normalize, url_text
from was.worker.moving import NotOurPoolError, RequestMovedError, move
from was.worker.notifications import CONTINUE, FINISH_REQUEST, RequestNotificationStatus
from was.worker.refusing import refuse
from was.worker.registration import HttpModule
from was.worker.response import HttpResponse

if TYPE_CHECKING:
    from was.worker.context import HttpContext
    from was.worker.providers import MapPathProvider

__all__ = ["Refusal", "make_module"]

_SENDING = (
    Notify.ACCESS_DENIED | Notify.SEND_RESPONSE | Notify.SEND_RAW_DATA | Notify.END_OF_REQUEST
)
# SF_DENIED_ by the sub-status of a 401.
_DENIED = {
    2: Denied.LOGON | Denied.BY_CONFIG,
    3: Denied.RESOURCE,
    4: Denied.FILTER,
    5: Denied.APPLICATION,
}
_BLOCK = 65536
_NAME = "IsapiFilterModule"


class Refusal(HttpModule):
    """A filter of the application cannot be loaded: no request is answered without it."""

    def __init__(self, error: ImageError) -> None:
        self._error = error

    def on_begin_request(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        """500.0 with the file and the reason."""
        text = f"The ISAPI filter could not be loaded: {self._error}"
        return refuse(context, 500, 0, from_win32(self._error.number), text)


def _session_of(context: HttpContext) -> FilterSession:
    """The request's session, made at the first event; it keeps it when it moves."""
    container = context.named_context_container
    session = container.get_named_context(_NAME)
    if not isinstance(session, FilterSession):
        session = FilterSession(context)
        container.set_named_context(session, _NAME)
    return session


class _Parts:
    """What the methods below share."""

    def __init__(self, chain: FilterChain, has_digest: bool) -> None:
        self.has_digest = has_digest
        self.of = {event: chain.of(event) for event in Notify}

    def wants(self, events: int) -> bool:
        """Whether any filter wants one of these events."""
        return any(self.of[event] for event in Notify if event & events)

    def conclude(self, session: FilterSession, status: int) -> RequestNotificationStatus:
        """What a chain's result is for the pipeline."""
        context = session.context
        if status == FilterStatus.NEXT_NOTIFICATION:
            return CONTINUE
        if status == FilterStatus.ERROR:
            if context.exchange.started:
                context.is_cut = True
            else:
                _refuse(context.response, session.last_error)
            return FINISH_REQUEST
        session.conclude_answer(status)
        return FINISH_REQUEST


def _refuse(response: HttpResponse, error: int) -> None:
    """SF_STATUS_REQ_ERROR: 401.4 where the last error says so, else 500."""
    response.clear()
    if error in (Win32.ACCESS_DENIED, Win32.LOGON_FAILURE):
        response.set_status(401, "Unauthorized", 4, from_win32(error))
        return
    response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED)
    response.set_error_description("An ISAPI filter has failed.")


def make_module(chain: FilterChain, *, has_digest: bool = False) -> HttpModule:
    """An object with the methods that these filters need, and no others.

    AUTHENTICATION is for Basic and for who will be anonymous, not for Digest where it is enabled.
    """
    parts = _Parts(chain, has_digest)
    methods: dict[str, Any] = {}
    if parts.wants(Notify.PREPROC_HEADERS | Notify.END_OF_NET_SESSION):
        methods["on_begin_request"] = _preproc_headers(parts)
    if parts.wants(Notify.URL_MAP):
        methods["on_map_path"] = _url_map(parts)
    if parts.wants(Notify.AUTHENTICATION | Notify.URL_MAP):
        methods["on_authenticate_request"] = _authentication(parts)
    if parts.wants(Notify.AUTH_COMPLETE):
        methods["on_post_authenticate_request"] = _auth_complete(parts)
    methods["on_send_response"] = (
        _send_response(parts) if parts.wants(_SENDING) else _send_added_fields
    )
    if parts.wants(_SENDING | Notify.LOG):
        methods["on_log_request"] = _log_request(parts)
    kind = type("IsapiFilters", (HttpModule,), methods)
    made: HttpModule = kind()
    return made


# ── the request ─────────────────────────────────────────────────────────────────────────────────


def _preproc_headers(parts: _Parts) -> Any:
    filters, to_the_end = parts.of[Notify.PREPROC_HEADERS], parts.of[Notify.END_OF_NET_SESSION]

    def on_begin_request(_: HttpModule, context: HttpContext, __: object) -> object:
        if context.child is not None:
            return CONTINUE
        session = _session_of(context)
        session.connection.tell_end(to_the_end)
        headers = data.RequestHeaders(context)
        status = session.raise_event(filters, Notify.PREPROC_HEADERS, headers)
        outcome = parts.conclude(session, status)
        if outcome or headers.new_url is None:
            return outcome
        return _move(context, headers.new_url)

    return on_begin_request


def _move(context: HttpContext, url: str) -> RequestNotificationStatus:
    path, _, query = url_text(url.encode("latin-1")).partition("?")
    try:
        move(context, normalize(path), query)
    except NotOurPoolError:
        return refuse(context, 403, 18, E_ACCESSDENIED)
    raise RequestMovedError


def _url_map(parts: _Parts) -> Any:
    filters = parts.of[Notify.URL_MAP]

    def on_map_path(_: HttpModule, context: HttpContext, provider: MapPathProvider) -> object:
        session = _session_of(context)
        shown = data.UrlMap(provider.url, provider.physical_path)
        outcome = parts.conclude(session, session.raise_event(filters, Notify.URL_MAP, shown))
        if outcome:
            return outcome
        if shown.path != provider.physical_path:
            provider.set_physical_path(shown.path)
        return CONTINUE

    return on_map_path


def _authentication(parts: _Parts) -> Any:
    filters, has_digest = parts.of[Notify.AUTHENTICATION], parts.has_digest

    def on_authenticate_request(_: HttpModule, context: HttpContext, __: object) -> object:
        # URL_MAP is raised for every request, and comes first, as in IIS: a handler may never ask.
        if context.child is None and context.physical_path and context.verdict:
            return CONTINUE
        if not filters or context.child is not None or context.user is not None:
            return CONTINUE
        field = context.request.get_header("Authorization") or ""
        if has_digest and field[:7].lower() == "digest ":
            return CONTINUE
        sent = _credentials(field)
        session = _session_of(context)
        shown = data.Authentication(*sent)
        outcome = parts.conclude(
            session, session.raise_event(filters, Notify.AUTHENTICATION, shown)
        )
        if outcome or (shown.user, shown.password) == sent:
            return outcome
        context.set_server_variable("UNMAPPED_REMOTE_USER", sent[0])
        if shown.user:
            token = base64.b64encode(f"{shown.user}:{shown.password}".encode()).decode()
            context.request.set_header("Authorization", f"Basic {token}")
        else:
            context.request.delete_header("Authorization")
        return CONTINUE

    return on_authenticate_request


def _credentials(field: str) -> tuple[str, str]:
    """Name and password of Basic; both empty for all that will be anonymous."""
    scheme, _, token = field.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        data = base64.b64decode(token)
    except (binascii.Error, ValueError):
        return "", ""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    user, _, password = text.partition(":")
    return user, password


def _auth_complete(parts: _Parts) -> Any:
    filters = parts.of[Notify.AUTH_COMPLETE]

    def on_post_authenticate_request(_: HttpModule, context: HttpContext, __: object) -> object:
        if context.child is not None:
            return CONTINUE
        session = _session_of(context)
        headers = data.AuthComplete(context)
        status = session.raise_event(filters, Notify.AUTH_COMPLETE, headers)
        outcome = parts.conclude(session, status)
        if outcome or headers.new_url is None:
            return outcome
        return _move(context, headers.new_url)

    return on_post_authenticate_request


# ── the response ────────────────────────────────────────────────────────────────────────────────


def _send_added_fields(_: HttpModule, context: HttpContext, response: HttpResponse) -> object:
    """No filter takes part in sending: what AddResponseHeaders was told goes with the head."""
    if response.headers_being_sent:
        session = context.named_context_container.get_named_context(_NAME)
        if isinstance(session, FilterSession):
            session.put_added_fields()
    return CONTINUE


def _send_response(parts: _Parts) -> Any:
    def on_send_response(_: HttpModule, context: HttpContext, __: HttpResponse) -> object:
        session = _session_of(context)
        if session.is_sent or context.is_cut:
            return CONTINUE
        if not session.has_raised_head:
            session.has_raised_head = True
            _raise_head(parts, session)
        elif session.is_replaced:
            context.response.discard_body()  # the handler goes on with what nobody wants
        _raise_blocks(parts, session)
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


def _raise_head(parts: _Parts, session: FilterSession) -> None:
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
    shown = data.RawData(block)
    session.raise_event(filters, Notify.SEND_RAW_DATA, shown)
    if shown.data == block:
        return
    line, _, rest = shown.data.decode("latin-1").partition("\r\n")
    code, reason = parse_status(line)
    fields, body = parse_header_block(rest)
    response.set_status(code, reason, response.sub_status, response.hresult)
    length = response.content_length
    response.clear_headers()
    for name, value in fields:
        if name.lower() not in LISTENER_FIELDS:
            response.set_header(name, value, replace=False)
    response.content_length = length
    if body:
        response.chunks.insert(0, body.encode("latin-1"))


def _raise_blocks(parts: _Parts, session: FilterSession) -> None:
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
                shown = data.RawData(block)
                session.raise_event(filters, Notify.SEND_RAW_DATA, shown)
                if shown.data:
                    made.append(shown.data)
                # What a filter has written goes behind the block that it was shown.
                made += response.chunks
                response.chunks = []
    finally:
        close_files(chunks)
    return made


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


def _log_request(parts: _Parts) -> Any:
    sends = parts.wants(_SENDING)
    filters = parts.of[Notify.LOG]

    def on_log_request(_: HttpModule, context: HttpContext, __: object) -> object:
        if context.child is not None:
            return CONTINUE
        session = _session_of(context)
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
