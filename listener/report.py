"""The ListenerReport: what the listener knows, for `was list` and `was status`. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc.listener_control import ListenerReport, PoolCounters, RequestRow, WorkerCounters
from was.ipc.scoreboard import Row, describe_row

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation
    from was.listener.request import ClientRequest
    from was.listener.service import ListenerService

__all__ = ["make_report"]

MAX_ROWS = 10_000


def make_report(service: ListenerService, query_id: int, *, with_requests: bool) -> ListenerReport:
    """Everything as it is now."""
    pools: list[PoolCounters] = []
    workers: list[WorkerCounters] = []
    rows: list[RequestRow] = []
    for pool in service.pools.values():
        active = sum(len(worker.outstanding) for worker in pool.workers.values())
        pools.append(PoolCounters(pool.name, len(pool.queue), active))
        workers += [
            WorkerCounters(
                worker.worker_id,
                worker.finished,
                len(worker.outstanding),
                worker.is_attached and not worker.is_dead,
            )
            for worker in pool.workers.values()
        ]
        if with_requests and len(rows) < MAX_ROWS:
            rows += _rows_of(service, pool)
    return ListenerReport(
        query_id,
        pools,
        workers,
        rows[:MAX_ROWS],
        len(service.connections),
        dict(service.records.counters),
    )


def _rows_of(service: ListenerService, pool: PoolBroker) -> list[RequestRow]:
    now = service.time()
    rows = [_row(request, pool, None, None, [], now) for request in pool.queue]
    for worker in pool.workers.values():
        if not worker.outstanding:
            continue
        scoreboard = worker.scoreboard.read_rows()
        names = worker.scoreboard.read_names()
        for request in worker.outstanding.values():
            board = scoreboard[request.slot] if request.slot < len(scoreboard) else None
            rows.append(_row(request, pool, worker, board, names, now))
    return rows


def _row(
    request: ClientRequest,
    pool: PoolBroker,
    worker: Incarnation | None,
    board: Row | None,
    names: list[str],
    now: float,
) -> RequestRow:
    state, notification, module = "queued", "", ""
    if worker is not None:
        state = "sent"
        if board is not None and board.id == request.id:
            known, notification, module = describe_row(board, names)
            state = known or state
    connection = request.connection
    return RequestRow(
        request.id,
        connection.id if connection is not None else 0,
        pool.name,
        request.site_id,
        worker.worker_id if worker is not None else 0,
        request.head.method,
        request.head.target[:2048],
        connection.peer[0] if connection is not None else "",
        request.attempt,
        state,
        notification,
        module,
        int((now - request.received_at) * 1000),
    )
