"""What a passed deadline does to a client's connection: one timer each, named as in HTTPERR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.listener.endings import abort
from was.listener.own_answers import answer
from was.listener.phases import DRAIN
from was.listener.request import Progress

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection

__all__ = ["expire"]


def expire(connection: ClientConnection) -> None:
    """The deadline has passed."""
    reason = connection.deadline_reason
    if reason == "Timer_MinBytesPerSecond":
        _look_at_pace(connection)
        return
    connection.deadline = 0.0
    if reason == "Linger":
        connection.linger_on()
    elif connection.phase == DRAIN:
        connection.close_gently()
    elif reason == "Timer_EntityBody" and connection.request is not None:
        _end_body(connection)
    else:
        connection.service.records.refused(connection, connection.buffer, 0, reason)
        if reason == "Timer_HeaderWait":
            answer(
                connection,
                408,
                reason,
                close=True,
                is_head=connection.buffer.startswith(b"HEAD "),
            )
        else:
            connection.close_gently()


def _look_at_pace(connection: ClientConnection) -> None:
    """MinBytesPerSecond: whether a client that is being sent something takes it."""
    service, stream, request = connection.service, connection.stream, connection.request
    if stream is None:
        connection.deadline = 0.0
        return
    if stream.keeps_up(connection.transport.get_write_buffer_size(), service.least_bytes):
        connection.deadline = service.send_deadline()
        return
    reason = connection.deadline_reason
    if request is not None and stream.log:
        service.records.failed(connection, request, 0, reason)
    abort(connection, reason, reason)


def _end_body(connection: ClientConnection) -> None:
    """The body came too slowly: 408, and close."""
    request, reason = connection.request, "Timer_EntityBody"
    assert request is not None
    if request.progress is Progress.RESPONDING:
        abort(connection, reason, reason)
        return
    connection.service.records.failed(connection, request, 408, reason)
    request.pool.abandon(request)
    connection.request = None
    answer(connection, 408, reason, close=True, request=request)
