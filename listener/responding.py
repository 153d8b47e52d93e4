"""What a worker answers to a request, on its way to the client.

A small whole response to a client that reads is written at once; every other one goes through a
ResponseStream. LocalProtocolError is for what no client may see: the worker is mistaken.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.errors import LocalProtocolError
from was.listener.endings import abort, cut
from was.listener.headers import check_block, response_head, without_empty_server
from was.listener.own_answers import fail, will_drain
from was.listener.phases import BUSY, UPGRADED
from was.listener.request import Progress
from was.listener.response import ResponseStream

if TYPE_CHECKING:
    from was.ipc.messages import AbortResponse, EarlyHints, Response, ResponseChunk
    from was.listener.connection import ClientConnection
    from was.listener.request import ClientRequest

__all__ = ["give_hints", "give_up", "respond", "respond_further"]

# Looking a member up on its class is slow where it is done for every request.
RESPONDING = Progress.RESPONDING

_BODILESS = frozenset({204, 205, 304})


def give_hints(connection: ClientConnection, request: ClientRequest, item: EarlyHints) -> None:
    """103 (RFC 8297). Raises LocalProtocolError for fields no client may see."""
    check_block(item.block)
    if request.progress is RESPONDING or request.head.version != 11 or connection.is_paused:
        return
    if connection.phase == UPGRADED:
        return
    connection.transport.write(b"HTTP/1.1 103 Early Hints\r\n" + item.block + b"\r\n")


def respond(connection: ClientConnection, request: ClientRequest, item: Response, fd: int) -> None:
    """The worker's Response. Raises LocalProtocolError for one no client may see."""
    service = connection.service
    head = request.head
    version = head.version
    status = item.status
    if not 200 <= status <= 599 or connection.phase == UPGRADED:
        _respond_beyond(connection, request, item, fd)
        return
    block = item.block
    has_date, has_server = check_block(block)
    if has_server:
        block = without_empty_server(block)
    more = item.more
    body = item.body
    length = item.length
    if length < 0 and not more:
        length = len(body) + item.file_length
    has_body = head.method != "HEAD" and status not in _BODILESS
    is_chunked = False
    close = connection.close_after or item.close or not head.keep_alive or service.is_draining
    if not has_body:
        length = _length_of_none(item, length)
    elif length < 0:
        if version == 11:
            is_chunked = True
        else:
            close = True
    if not request.is_body_complete and _goes_before(connection, request, item):
        close = True
    data = response_head(
        version,
        status,
        item.reason,
        block,
        length,
        is_chunked,
        close,
        service.standing[has_date, has_server],
    )
    connection.close_after = close
    request.progress = RESPONDING
    if not (more or item.file_token or connection.is_paused):
        if has_body:
            if len(body) != length:
                raise LocalProtocolError(f"{len(body)} bytes of body, {length} promised")
            if body:
                data += body
        connection.transport.write(data)
        if item.log:
            service.records.request(
                request, item.log, status, item.substatus, item.win32, len(data)
            )
        connection.over(request)
        return
    stream = connection.stream = ResponseStream(
        connection, request, status, length=length, is_chunked=is_chunked, has_body=has_body
    )
    stream.begin(data)
    stream.take(item, body, fd)


def _length_of_none(item: Response, length: int) -> int:
    """What Content-Length says of a response without a body; -1: it has none."""
    if item.status == 204 or (item.length < 0 and (item.status == 304 or not length)):
        return -1
    return 0 if item.status == 205 else length  # RFC 9110 15.3.6: its framing has to say it


def _goes_before(connection: ClientConnection, request: ClientRequest, item: Response) -> bool:
    """The answer comes before the request's body has: whether the connection ends after it."""
    if item.more and connection.body is not None:
        connection.body.ask_for()  # it may read on, and nothing interim follows a response
    return not will_drain(request)


def _respond_beyond(
    connection: ClientConnection, request: ClientRequest, item: Response, fd: int
) -> None:
    """101, or what follows one."""
    if connection.phase == UPGRADED:
        assert connection.beyond is not None
        connection.beyond.resumed(request, item, fd)
    elif item.status == 101 and connection.phase == BUSY and fd < 0:
        connection.leave_http().begin(request, item)
    else:
        raise LocalProtocolError(f"status {item.status}")


def respond_further(
    connection: ClientConnection, request: ClientRequest, item: ResponseChunk, fd: int
) -> None:
    """More of the response; the descriptor is closed whatever becomes of it."""
    stream = connection.stream
    beyond = connection.beyond if connection.phase == UPGRADED else None
    is_held = beyond is not None and beyond.held is not None
    if fd >= 0 and (stream is None or is_held):
        os.close(fd)
        raise LocalProtocolError("a file in no response, or in a WebSocket that is held")
    if stream is None:
        raise LocalProtocolError("a chunk before its response")
    if beyond is not None and is_held and beyond.has_left(item):
        return
    stream.take(item, item.data, fd)
    if beyond is not None and item.more:
        beyond.written(item.data)


def give_up(connection: ClientConnection, request: ClientRequest, item: AbortResponse) -> None:
    """The worker gave the response up."""
    stream = connection.stream
    if request.progress is RESPONDING and stream is not None:
        stream.log = item.log
        stream.win32 = item.win32
        cut(connection, "the application gave up")
    elif item.reset:
        abort(
            connection, "a module wants no answer to be given", "Connection_Dropped", line=item.log
        )
    else:
        fail(connection, request, 502, "Connection_Abandoned_By_AppPool")
