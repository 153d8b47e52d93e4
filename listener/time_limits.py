"""Time limits of waiting and running requests, and workers whose connection was lost.

`timeLimit` runs from the start of a request in the worker to the first byte of its response; 504
then. `idleTimeLimit` bounds the worker's silence after that; the response is cut then. Neither runs
while the worker waits for the client: for bytes of its body, or for the client to read.

`ClientRequest.quiet_since` is the moment from which the limit in force is counted. It moves on as
long as the request has not begun, or the worker waits for the client, or has just said something;
it is looked at ten times a second, and only for requests that take long.

Both hold also for a request whose client has gone, as most clients are less patient than that:
nobody is answered then, but the worker is told, or one hung thread after the other would be lost.

A worker that has not ended a request OVERDUE_S after its limit passed was not able to interrupt it,
nor perhaps to ask for its own replacement: the manager is told, and reminded as long as that lasts.
One that was told to finish and has nothing but such requests ends them itself within a moment. If
it cannot, the manager is told of that too: there is nothing to wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.listener.endings import cut
from was.listener.fate import has_started
from was.listener.own_answers import fail

if TYPE_CHECKING:
    from was.ipc.scoreboard import Row
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation
    from was.listener.request import ClientRequest

__all__ = ["expire"]

# What is over sooner is not looked at.
SLOW_S = 0.2
OVERDUE_S = 2.0
REMIND_S = 30.0
# Longer than a worker takes that can (LEAVE_S of worker/threads/overdue.py, and a
# turn of its host's).
LEFT_ALONE_S = 4.0
# A worker's connection ends with its process. If it has ended and this much later the pidfd has not
# fired, the worker lives on and what it said last is lost (a message beyond MAXMSGSIZE, say).
CONNECTION_LOST_S = 1.0
# Connections to the queue that are no worker's. Each takes a descriptor of the listener's.
MOST_STRANGERS = 64


def expire(pool: PoolBroker, now: float) -> None:
    """What has passed its limit is ended; called ten times a second."""
    settings = pool.settings
    scaled = pool.service.scaled
    if settings.queue_time_limit_s > 0:
        limit = scaled(settings.queue_time_limit_s)
        for request in pool.queue.waiting_since(now - limit):
            pool.queue.withdraw(request)
            pool.fail(request, 503, "Timer_AppPool")
    _look_for_lost(pool, now)
    pool.quarantine.look_again(now)
    for worker in list(pool.workers.values()):
        slow = [r for r in worker.outstanding.values() if now - r.quiet_since > SLOW_S]
        if slow and not worker.is_dead:
            _look_at(pool, worker, slow, now)
            if worker.is_stop_sent:
                _look_whether_alone(pool, worker, now)


def _look_at(pool: PoolBroker, worker: Incarnation, slow: list[ClientRequest], now: float) -> None:
    settings = pool.settings
    scaled = pool.service.scaled
    first_byte_s = scaled(settings.time_limit_s)
    silence_s = scaled(settings.idle_time_limit_s)
    rows = worker.scoreboard.read_rows()
    for request in slow:
        quiet_s = now - request.quiet_since
        if request.is_overdue:
            if quiet_s > OVERDUE_S:
                _remind(pool, worker, request, now)
            continue
        if _waits_for_client(request, rows):
            request.quiet_since = now
            continue
        limit_s = silence_s if request.has_answer_begun else first_byte_s
        if 0 < limit_s < quiet_s:
            _end(pool, request, now)


def _look_whether_alone(pool: PoolBroker, worker: Incarnation, now: float) -> None:
    if not worker.is_left_alone:
        worker.left_alone_at = 0.0
    elif not worker.left_alone_at:
        worker.left_alone_at = now
    elif now - worker.left_alone_at > LEFT_ALONE_S:
        worker.left_alone_at = now
        pool.service.manager.left_alone(worker.worker_id)


def _end(pool: PoolBroker, request: ClientRequest, now: float) -> None:
    request.is_overdue = True
    request.quiet_since = now
    connection = request.connection
    if connection is None:
        pool.cancel(request)
        return
    pool.service.records.count("requests_timed_out")
    if request.has_answer_begun:
        cut(connection, "its worker is silent", "Timer_Response")
    else:
        fail(connection, request, 504, "Timer_Response")


def _remind(pool: PoolBroker, worker: Incarnation, request: ClientRequest, now: float) -> None:
    if worker.is_faulty or now < worker.remind_at:
        return
    worker.remind_at = now + pool.service.scaled(REMIND_S)
    pool.service.manager.overdue(worker.worker_id, request, is_responding=request.has_answer_begun)


def _look_for_lost(pool: PoolBroker, now: float) -> None:
    """Workers whose connection has ended though they live: what they sent last is lost."""
    router = pool.router
    if router is None:
        return
    router.read_disconnects()
    known = [worker.source for worker in pool.workers.values() if worker.source >= 0]
    if router.cut_strangers(known, MOST_STRANGERS):
        pool.service.records.count("queue_crowded")
    for worker in list(pool.workers.values()):
        if worker.is_dead or worker.is_faulty or worker.has_left or worker.source < 0:
            continue
        if worker.lost_at:
            if now - worker.lost_at > CONNECTION_LOST_S:
                pool.faulty(worker, "its connection ended")
        elif router.has_disconnected(worker.source):
            worker.lost_at = now


def _waits_for_client(request: ClientRequest, rows: list[Row]) -> bool:
    """Whether it is not the worker who makes the client wait."""
    if not has_started(request, rows):
        return True
    connection = request.connection
    if connection is None:
        return False
    if request.is_upgraded:
        return True
    if request.pull_granted > 0 and not request.is_body_complete:
        return True
    return (
        request.has_answer_begun
        and connection.stream is not None
        and connection.stream.holds_worker_back
    )
