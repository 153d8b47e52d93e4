"""How what is under way with a client ends before its time: it leaves, or is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.listener.phases import BUSY, CLOSED
from was.listener.request import Progress
from was.log import log

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.request import ClientRequest

__all__ = ["abort", "client_gone", "cut"]


def client_gone(connection: ClientConnection, request: ClientRequest) -> None:
    """The client left while a request of it was not over."""
    records, stream = connection.service.records, connection.stream
    if stream is not None and stream.log:
        # The worker has ended it already; only the last bytes did not reach the client.
        records.request(request, stream.log, stream.status, stream.substatus, 64, stream.sent_bytes)
    elif request.progress <= Progress.QUEUED:
        records.failed(connection, request, 0, "Client_Reset")
    elif stream is not None:
        request.gone_status, request.gone_bytes = stream.status, stream.sent_bytes
    request.pool.client_gone(request)


def cut(
    connection: ClientConnection, why: str, reason: str = "Connection_Abandoned_By_AppPool"
) -> None:
    """No more of the response will come from the worker.

    When the client is given all that was promised all the same (nothing but the worker's END is
    missing), its connection goes on, and with it the requests that wait behind this one.
    """
    request, stream = connection.request, connection.stream
    if request is None or stream is None or connection.phase != BUSY or not stream.is_whole:
        abort(connection, why, reason)
        return
    if not stream.log:
        connection.service.records.failed(connection, request, stream.status, reason)
    request.pool.abandon(request)
    stream.finish()
    stream.advance()


def abort(
    connection: ClientConnection,
    why: str,
    reason: str = "Connection_Abandoned_By_AppPool",
    *,
    line: str = "",
) -> None:
    """Cut the connection: the client must see that its response is not whole.

    `line` is for the site's log, where the worker has composed one.
    """
    request, stream = connection.request, connection.stream
    records = connection.service.records
    status = sent_bytes = 0
    if stream is not None:
        line, status, sent_bytes = line or stream.log, stream.status, stream.sent_bytes
    if request is not None:
        connection.request = None
        if line or request.progress is Progress.RESPONDING:
            log("request_failed", id=f"{request.id:x}", url=request.head.target[:256], why=why)
        if line:
            records.request(request, line, status, 0, 64, sent_bytes)
        elif request.progress is Progress.RESPONDING and request.connection is not None:
            records.failed(connection, request, 0, reason)
        request.pool.abandon(request)
    connection.drop_stream()
    connection.phase = CLOSED
    records.count("connections_cut")
    is_first = request is not None and request.id == connection.first_request
    if is_first and stream is not None and stream.is_whole_at_the_end:
        connection.reset()  # no answer before this one can be on its way and be lost of it
    else:
        connection.transport.abort()
