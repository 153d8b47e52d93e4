"""The file that goes with a worker's message: its descriptor comes by the pool's door.

The worker passed it before it posted the message, so it is there already: nothing waits.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.errors import IllFormedMessageError
from was.listener.descriptors import NoRoomError
from was.listener.endings import abort
from was.listener.own_answers import fail
from was.listener.request import Progress
from was.log import log

if TYPE_CHECKING:
    from was.ipc.messages import Response, ResponseChunk
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation
    from was.listener.request import ClientRequest

__all__ = ["file_of"]

MAX_FILE_OFFSET = (1 << 63) - 1


def file_of(
    pool: PoolBroker, worker: Incarnation, request: ClientRequest, item: Response | ResponseChunk
) -> int:
    """The descriptor that a message names, which is the caller's; -1: there was no room for it.

    The request has failed then, as no later attempt would do better. Raises IllFormedMessageError.
    """
    connection = request.connection
    try:
        fd = _take(pool, worker, item)
    except NoRoomError:
        if connection is not None:
            log("listener_error", detail="no descriptor is left for a file of a response")
    else:
        if connection is None or pool.service.room.may_hold_more(connection):
            return fd
        os.close(fd)
    if connection is not None:
        if request.progress is Progress.RESPONDING:
            abort(connection, "no descriptor is left for its file")
        else:
            fail(connection, request, 503, "Connections_Refused")
    return -1


def _take(pool: PoolBroker, worker: Incarnation, item: Response | ResponseChunk) -> int:
    """Raises NoRoomError, IllFormedMessageError."""
    assert pool.door is not None
    fd = pool.door.take(worker.pid, item.id, item.file_token)
    if fd < 0:
        raise IllFormedMessageError(f"descriptor {item.file_token} did not come")
    offset, length = item.file_offset, item.file_length
    if offset < 0 or length < 0 or offset + length > MAX_FILE_OFFSET:
        os.close(fd)
        raise IllFormedMessageError(f"{length} bytes at {offset} of a file")
    return fd
