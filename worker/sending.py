"""Handing the response to the exchange: RQ_SEND_RESPONSE, then bytes and files in order.

`flush` sends what there is of a response that goes on; `finish` ends the request, once. Between
them they make every call on the exchange's response side, so "exactly one END" is proved here:
`finish` is called once by the pipeline and takes exactly one of its branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.errors import LocalProtocolError
from was.ipc.messages import Response
from was.ipc.scoreboard import RequestState
from was.log import log_exception
from was.worker.calls.nested_events import raise_within
from was.worker.chunks import Chunk, close_files, size_of
from was.worker.exchange import ClientGoneError
from was.worker.fields import bounded, encode_fields
from was.worker.interfaces.hresult import E_UNEXPECTED
from was.worker.sendable import GOOD_REASONS, fault_of

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse
    from was.worker.request_exchange import RequestExchange

__all__ = ["ERROR_NETNAME_DELETED", "finish", "flush", "raise_send_response"]

ERROR_NETNAME_DELETED = 64
ERROR_GEN_FAILURE = 31
_FAILED = b"The page cannot be displayed because an internal server error has occurred."

_RESPONDING = int(RequestState.RESPONDING)
_BODILESS = frozenset({*range(100, 200), 204, 205, 304})
_SUCCESS = frozenset({*range(200, 300)}) - _BODILESS


def raise_send_response(context: HttpContext) -> None:
    """Call the modules subscribed to RQ_SEND_RESPONSE, reverse priority first."""
    if context.child is not None:
        return  # raised for the root, when it is really sent
    response = context.response
    calls = context.calls
    was_error = response.status >= 400
    subscribers = calls.send_response if was_error else calls.send_success
    if subscribers:
        raise_within(context, subscribers, response)
    if response.status >= 400 and not was_error and not context.exchange.started:
        # A module has made an error of it: those who care for nothing else have not been asked.
        raise_within(context, calls.send_errors, response)


def flush(context: HttpContext) -> None:
    """Send status and fields if they have not gone, and the chunks there are.

    Raises ClientGoneError when nobody reads them, LocalProtocolError for what cannot be sent.
    """
    exchange = context.exchange
    response = context.response
    response.headers_being_sent = not exchange.started
    raise_send_response(context)
    if context.is_cut:
        raise ClientGoneError("a module has given the response up")
    fault = fault_of(response, may_upgrade=_asks_for_upgrade(context))
    if fault:
        raise LocalProtocolError(fault)
    chunks, response.chunks = response.chunks, []
    first, rest = b"", chunks
    is_bodiless = _is_bodiless(context, response)
    try:
        if not exchange.started:
            exchange.words[exchange.row] = context.proof | _RESPONDING
            if chunks and isinstance(chunks[0], bytes):
                first, rest = chunks[0], chunks[1:]
            if is_bodiless:
                first, rest = b"", []
            _start(context, response, first, rest)
        elif is_bodiless:
            rest = []
        else:
            _count(response, chunks)
        _write_all(context, rest)
    finally:
        close_files(chunks)


def finish(context: HttpContext) -> None:
    """Send what is left and end the exchange. Never raises."""
    try:
        _finish(context)
    except BaseException as error:  # noqa: BLE001 modules can leave anything behind
        _give_up(context, error)


def _finish(context: HttpContext) -> None:
    exchange = context.exchange
    response = context.response
    chunks = response.chunks
    log = _log_of(context)
    body = chunks[0] if len(chunks) == 1 else None
    if (
        isinstance(body, bytes)
        and type(response.status) is int
        and response.status in _SUCCESS
        and response.reason in GOOD_REASONS
        and (response.content_length < 0 or response.content_length == len(body))
        and not (
            exchange.started
            or exchange.gone
            or context.is_cut
            or context.calls.send_success
            or response.needs_disconnect
            or response.trailers
            or context.error_status
            or response.error is not None
            or response.sub_status
            or context.message.method == "HEAD"
        )
    ):
        # The usual response, in one message and nothing to ask anybody.
        message = context.message
        exchange.finish(
            Response(
                message.id,
                message.attempt,
                response.status,
                response.reason,
                response.block(),
                len(body),
                body,
                False,
                log,
            )
        )
        return
    _finish_unusual(context, exchange, response, log)


def _log_of(context: HttpContext) -> str:
    log = context.log_text
    if type(log) is not str:
        raise TypeError(f"the log data are no text: {log!r:.80}")
    return log


def _finish_unusual(
    context: HttpContext, exchange: RequestExchange, response: HttpResponse, log: str
) -> None:
    try:
        if context.is_cut or exchange.gone:
            exchange.abort(log, context.win32_status(), context.is_reset)
            return
        response.headers_being_sent = not exchange.started
        response.ready_to_log_data = True
        calls = context.calls
        is_said = response.content_length >= 0
        if is_said and not exchange.started and not _is_bodiless(context, response):
            _insist_on_length(context, response)
        if calls.send_success or (response.status >= 400 and calls.send_response):
            try:
                raise_send_response(context)
                log = _log_of(context)
            except BaseException as error:  # noqa: BLE001 a module's fault, whatever it is
                _replace_failed(context, error)
        fault = fault_of(response, may_upgrade=exchange.started)
        if fault:
            _replace_failed(context, LocalProtocolError(fault))
        if context.is_cut:
            exchange.abort(log, context.win32_status(), context.is_reset)
        elif exchange.started:
            _end_started(context, response, log)
        elif _has_trailers(context, response):
            _finish_in_pieces(context, response, log)
        else:
            _finish_whole(context, response, log)
    finally:
        if response.chunks:
            close_files(response.chunks)


def _finish_whole(context: HttpContext, response: HttpResponse, log: str) -> None:
    if _is_bodiless(context, response):
        context.exchange.finish(_whole(context, _length_alone(response), b"", log))
        return
    chunks = response.chunks
    last = chunks[-1] if chunks else b""
    file = None if isinstance(last, bytes) else last
    leading = chunks if file is None else chunks[:-1]
    data = [chunk for chunk in leading if isinstance(chunk, bytes)]
    if len(data) != len(leading):
        _finish_in_pieces(context, response, log)
        return
    # A filter of RQ_SEND_RESPONSE may have changed what was as long as somebody had said.
    context.exchange.finish(_whole(context, size_of(chunks), b"".join(data), log), file)


def _length_alone(response: HttpResponse) -> int:
    """What Content-Length says of a response without its body; -1: nothing."""
    said = response.content_length
    if response.status == 304:
        # The length that goes with 304 is that of the 200 it stands for (RFC 9110 8.6): the one
        # that was said, and none where none was or where it can only mean this empty body.
        return said or -1
    if response.status in _BODILESS:
        return 0
    # HEAD: most frameworks leave out the body that GET would have. To say 0 would be to say
    # that GET has none (RFC 9110 8.6), and caches throw away what they have (9111 4.3.5).
    return said if said >= 0 else size_of(response.chunks) or -1


def _whole(context: HttpContext, length: int, body: bytes, log: str) -> Response:
    """A response as one message, with which the request ends."""
    message, response = context.message, context.response
    return Response(
        message.id,
        message.attempt,
        response.status,
        response.reason,
        response.block(),
        length,
        body,
        False,
        log,
        response.sub_status,
        context.win32_status(),
        close=response.needs_disconnect,
    )


def _finish_in_pieces(context: HttpContext, response: HttpResponse, log: str) -> None:
    # Several files in one body (multipart ranges), or trailers: no single message can carry it.
    response.content_length = response.buffered_bytes()
    chunks, response.chunks = response.chunks, []
    try:
        _start(context, response, b"", chunks)
        _write_all(context, chunks)
    except (ClientGoneError, OSError):
        context.exchange.abort(log, ERROR_NETNAME_DELETED)
        return
    finally:
        close_files(chunks)
    _end_body(context, response, b"", log)


def _end_started(context: HttpContext, response: HttpResponse, log: str) -> None:
    exchange = context.exchange
    chunks, response.chunks = response.chunks, []
    try:
        data = b""
        if not _is_bodiless(context, response):
            if chunks and isinstance(chunks[-1], bytes):
                data, chunks = chunks[-1], chunks[:-1]
            _count(response, [*chunks, data])
            _write_all(context, chunks)
        _insist_on_all(response)
    except LocalProtocolError as error:
        _replace_failed(context, error)
        exchange.abort(log, context.win32_status())
        return
    except (ClientGoneError, OSError):
        exchange.abort(log, ERROR_NETNAME_DELETED)
        return
    finally:
        close_files(chunks)
    _end_body(context, response, data, log)


def _start(
    context: HttpContext,
    response: HttpResponse,
    first: bytes,
    rest: list[Chunk],
) -> None:
    length = -1 if _has_trailers(context, response) else response.content_length
    if not _is_bodiless(context, response):
        response.unsent = length
        _count(response, [first, *rest])
    message = context.message
    context.exchange.start(
        Response(
            message.id,
            message.attempt,
            response.status,
            response.reason,
            response.block(),
            length,
            first,
            True,
            close=response.needs_disconnect,
        )
    )


def _end_body(context: HttpContext, response: HttpResponse, data: bytes, log: str) -> None:
    exchange = context.exchange
    if response.trailers:
        exchange.trailers = bounded(exchange.trailers + encode_fields(response.trailers))
    exchange.end(data, log, response.sub_status, context.win32_status())


# What is promised of the body must hold: a worker that breaks such a promise is replaced by the
# listener, and nobody else's mistake may cost a worker.


def _insist_on_length(context: HttpContext, response: HttpResponse) -> None:
    """A whole response whose Content-Length is wrong becomes 500."""
    count, length = size_of(response.chunks), response.content_length
    if length not in (-1, count):
        error = LocalProtocolError(f"{count} bytes of body, Content-Length says {length}")
        _replace_failed(context, error)


def _count(response: HttpResponse, chunks: list[Chunk]) -> None:
    """More of a body is to be sent. Raises LocalProtocolError where Content-Length said less."""
    if response.unsent >= 0:
        count = size_of(chunks)
        if count > response.unsent:
            raise LocalProtocolError(f"{count - response.unsent} bytes more than Content-Length")
        response.unsent -= count


def _insist_on_all(response: HttpResponse) -> None:
    """A body ends. Raises LocalProtocolError where Content-Length said more."""
    if response.unsent > 0:
        raise LocalProtocolError(f"{response.unsent} bytes less than Content-Length")


def _has_trailers(context: HttpContext, response: HttpResponse) -> bool:
    """Whether the body must go in chunks, for what follows it."""
    if not response.trailers or context.message.version < 11:
        return False
    return not _is_bodiless(context, response)


def _write_all(context: HttpContext, chunks: list[Chunk]) -> None:
    exchange = context.exchange
    for chunk in chunks:
        if isinstance(chunk, bytes):
            if chunk:
                exchange.write(chunk)
        else:
            exchange.send_file(chunk)


def _is_bodiless(context: HttpContext, response: HttpResponse) -> bool:
    """RFC 9110: no body in answer to HEAD, nor with 1xx, 204, 205 (15.3.6) and 304."""
    status = response.status
    return context.message.method == "HEAD" or status in _BODILESS


def _replace_failed(context: HttpContext, error: BaseException) -> None:
    """A module failed at RQ_SEND_RESPONSE: 500 without asking again, or a cut."""
    if isinstance(error, ClientGoneError):
        context.is_cut = True
        return
    log_exception("module_failed", error, during="SEND_RESPONSE", request=context.request_id)
    if context.exchange.started:
        context.is_cut = True
        return
    response = context.response
    response.clear()
    response.needs_disconnect = bool(response.needs_disconnect)
    response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED, error)
    response.set_header("Content-Type", "text/html")
    response.set_body(_FAILED)


def _asks_for_upgrade(context: HttpContext) -> bool:
    return any(name.lower() == "upgrade" for name, _ in context.fields)


def _give_up(context: HttpContext, error: BaseException) -> None:
    """The response cannot be sent as it was left: a bare 500, or a cut where it has begun."""
    log_exception("module_failed", error, during="the end", request=context.request_id)
    exchange = context.exchange
    try:
        if exchange.started:
            exchange.abort("", ERROR_GEN_FAILURE)
            return
        message, response = context.message, context.response
        response.status, response.reason = 500, ""
        block = b"Content-Type: text/html\r\n"
        length = len(_FAILED)
        exchange.finish(
            Response(
                message.id,
                message.attempt,
                500,
                "",
                block,
                length,
                _FAILED,
                False,
                win32=ERROR_GEN_FAILURE,
            )
        )
    except RuntimeError:
        pass  # it had ended
