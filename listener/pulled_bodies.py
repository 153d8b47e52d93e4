"""Request bodies that workers pull: as much as was asked for and has come.

What follows from what a worker says is not sent to one that does not read, or it could have this
process hold more and more for it; it is owed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc.messages import CHUNK_BYTES, BodyChunk

if TYPE_CHECKING:
    from was.listener.incarnation import Incarnation
    from was.listener.request import ClientRequest

__all__ = ["arrived", "send", "send_owed", "unread"]

READ_AHEAD_BYTES = 64 * 1024


def arrived(request: ClientRequest) -> None:
    """More of a streamed body came."""
    if request.pull_granted > 0:
        # The worker has waited for it: the time that it may take begins again.
        request.quiet_since = request.pool.service.time()
    send(request)


def send(request: ClientRequest) -> None:
    """Send as much of the body as the worker has asked for and has come."""
    worker, spool = request.worker, request.spool
    if worker is None or spool is None or worker.is_dead:
        return
    if worker.is_blocked:
        return  # it asks and does not read; what it is owed waits in the spool, not in memory
    while request.pull_granted > 0:
        left = spool.size - request.pull_offset
        if left <= 0 and not request.is_body_complete:
            break
        piece = spool.read(request.pull_offset, min(CHUNK_BYTES, request.pull_granted))
        request.pull_offset += len(piece)
        request.pull_granted -= len(piece)
        is_last = request.is_body_complete and request.pull_offset >= spool.size
        request.pool.outbox.post(
            worker, BodyChunk(request.id, request.attempt, piece, is_last), len(piece) + 64
        )
        if is_last:
            request.pull_granted = 0
    if request.is_body_complete or request.connection is None:
        return
    left = spool.size - request.pull_offset
    if left == 0 and spool.size >= request.pool.settings.max_spool:
        # More than may be kept: what the worker has read is let go, and with it the right to
        # run the request a second time.
        spool.restart()
        request.pull_offset = 0
        request.is_body_lost = True
    if left <= READ_AHEAD_BYTES and request.connection.body is not None:
        request.connection.body.let_on()


def send_owed(worker: Incarnation) -> None:
    """The worker reads again."""
    for request in list(worker.outstanding.values()):
        if request.connection is not None and request.connection.stream is not None:
            request.connection.stream.may_run()
        if request.pull_granted > 0:
            send(request)
        elif request.is_upgraded and request.connection is not None:
            request.connection.leave_http().pulled(0)


def unread(request: ClientRequest) -> int:
    """Bytes that have come and that the worker has not asked for."""
    return request.spool.size - request.pull_offset if request.spool is not None else 0
