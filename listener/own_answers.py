"""What the listener answers itself, in HTTP.SYS's words: refusals, and requests that no worker will
answer. Each is written to HTTPERR with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc.messages import request_id_text
from was.listener.endings import abort
from was.listener.headers import response_head
from was.listener.http_pages import page
from was.listener.phases import BUSY, DRAIN_BYTES, UPGRADED

if TYPE_CHECKING:
    from was.errors import RemoteProtocolError
    from was.listener.connection import ClientConnection
    from was.listener.head import Head
    from was.listener.request import ClientRequest
    from was.listener.service import ListenerService

__all__ = ["answer", "fail", "refuse", "turn_away", "will_drain"]


def refuse(connection: ClientConnection, error: RemoteProtocolError, raw: bytes) -> None:
    """The client broke HTTP: say so, and close (where it stops speaking HTTP is unknown)."""
    connection.service.records.refused(connection, raw, error.status, error.reason)
    answer(
        connection,
        error.status,
        error.reason,
        close=True,
        is_head=raw.startswith(b"HEAD "),
    )


def turn_away(
    connection: ClientConnection, head: Head, status: int, reason: str, *, site_id: int = 0
) -> None:
    """A good head that nobody here is asked for: no such site, or no room there."""
    connection.service.records.turned_away(connection, head, status, site_id, reason)
    answer(connection, status, reason, close=True, is_head=head.method == "HEAD")


def fail(connection: ClientConnection, request: ClientRequest, status: int, reason: str) -> None:
    """Answer a routed request: queue full, dead worker, time limit, poison.

    The worker, if it still has the request, owes an END.
    """
    service = connection.service
    service.records.failed(connection, request, status, reason)
    request.pool.abandon(request)
    connection.request = None
    if connection.phase == UPGRADED:
        assert connection.beyond is not None
        connection.beyond.end(is_restart=status == 503)
        return
    if request.pool.settings.tcp_level and status == 503:
        abort(connection, "503 as TcpLevel")
        return
    is_held = request.is_body_complete or will_drain(request)
    answer(
        connection,
        status,
        reason,
        close=not request.head.keep_alive or service.is_draining or not is_held,
        request=request,
    )


def _id_to_name(service: ListenerService, request: ClientRequest | None) -> str:
    """The id in a 5xx; what was refused before it was a request has one of its own."""
    if request is not None:
        return request_id_text(request.id)
    service.last_request += 1
    return request_id_text(service.last_request)


def will_drain(request: ClientRequest) -> bool:
    """Whether the unread rest of the body is short enough to be read and thrown away."""
    if request.head.expect_continue:
        return False
    length = request.head.content_length
    return length >= 0 and length - (request.received_bytes - request.head.size) <= DRAIN_BYTES


def answer(
    connection: ClientConnection,
    status: int,
    reason_key: str,
    *,
    close: bool,
    request: ClientRequest | None = None,
    is_head: bool = False,
) -> None:
    """Send one of HTTP.SYS's own pages; then close, or go on with what follows the request.

    HEAD gets no body (RFC 9110 9.3.2); `is_head` tells of it where there is no request.
    """
    service = connection.service
    if connection.body is not None:
        connection.forget_body()
    request_id = _id_to_name(service, request) if status >= 500 else ""
    reason, fields, body = page(
        status, reason_key, request_id, service.retry_after_s if status == 503 else None
    )
    block = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
    version = 11
    if request is not None:
        version, is_head = request.head.version, request.head.method == "HEAD"
    data = response_head(
        version,
        status,
        reason,
        block,
        len(body),
        False,
        close,
        service.standing[False, True],
    )
    connection.transport.write(data if is_head else data + body)
    service.records.count("answered_by_listener")
    if close:
        connection.close_gently()
    elif connection.phase == BUSY:
        connection.next_request()
    else:
        connection.start_drain()
