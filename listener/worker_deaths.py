"""The death of a worker: what it had is read to its end, then taken back, answered or cut.

The order (DESIGN, section 5): the pidfd has fired; no more sends; read its queue until its
connection is seen to end, at most SETTLE_LOOKS times; read the scoreboard; only then take back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc.listener_control import InFlight
from was.ipc.scoreboard import Row, describe_row
from was.listener.endings import cut
from was.listener.fate import Fate, decide_fate, has_started, take_blame
from was.listener.held_socket import LASTING_S
from was.listener.request import Progress

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation
    from was.listener.request import ClientRequest

__all__ = ["on_death"]

RESPONDING = Progress.RESPONDING

# 50 ms, and some tenths of a second. Counted: when this process has stood still, nothing was read
# meanwhile, and ZeroMQ's thread may have much to hand over.
SETTLE_LOOKS = 25
SETTLE_STEP_S = 0.002
READ_TURNS = 200


def on_death(pool: PoolBroker, worker: Incarnation) -> None:
    """(1) The pidfd has fired. (2) No more sends. (3) Read on until its connection ended."""
    if worker.is_dead:
        return
    pool.service.loop.remove_reader(worker.pidfd)
    worker.is_dead = True
    worker.out = []
    worker.out_bytes = 0
    worker.unsent.clear()
    pool.take_from_dispatch(worker)
    _settle_later(pool, worker, SETTLE_LOOKS)


def _settle_later(pool: PoolBroker, worker: Incarnation, looks: int) -> None:
    router = pool.router
    if router is None:
        return
    ended = not worker.outstanding or worker.is_faulty
    if not ended and worker.source >= 0:
        router.read_disconnects()
        ended = router.has_disconnected(worker.source)
    router.pump()
    if not ended and looks:
        pool.service.loop.call_later(SETTLE_STEP_S, _settle_later, pool, worker, looks - 1)
        return
    _settle_when_read(pool, worker, READ_TURNS)


def _settle_when_read(pool: PoolBroker, worker: Incarnation, turns: int) -> None:
    """What the connection left behind is all read first: one pump takes at most 64 messages.

    In turns of the loop, and not for ever: other workers may send faster than can be read.
    """
    router = pool.router
    if router is None:
        return
    if turns and router.has_message():
        router.pump()
        pool.service.loop.call_soon(_settle_when_read, pool, worker, turns - 1)
        return
    _settle(pool, worker)


def _settle(pool: PoolBroker, worker: Incarnation) -> None:
    """(4) Read the scoreboard. (5) Decide each request's fate, then act."""
    rows = worker.scoreboard.read_rows()
    names = worker.scoreboard.read_names()
    held = list(worker.outstanding.values())
    worker.outstanding.clear()
    started = [request for request in held if has_started(request, rows)]
    # WebSockets that go on are no suspects: what their applications were doing is not repeated.
    blamable = [request for request in started if not _goes_on(request)]
    take_blame(worker.suspect, blamable)
    if not worker.is_draining:
        # One that was told to finish and is killed for taking too long has not crashed.
        pool.quarantine.died(blamable, worker.suspect)
    facts: list[InFlight] = []
    for request in held:
        fate = decide_fate(request, has_started=request in started)
        where = _where(request, rows, names)
        facts.append(_carry_out(pool, request, fate, request in started, where))
        if fate is Fate.RESUMED:
            _resume(pool, request, rows)
    finished = worker.finished
    pool.forget(worker)
    pool.service.manager.settled(worker.worker_id, facts, finished)
    if not pool.has_ready:
        pool.demand.forget()
    pool.turn()


def _carry_out(
    pool: PoolBroker,
    request: ClientRequest,
    fate: Fate,
    has_started: bool,
    where: tuple[str, str, str],
) -> InFlight:
    connection = request.connection
    state = "responding" if request.progress is RESPONDING else "sent"
    if state == "sent" and has_started:
        state = "started"
    fact = InFlight(
        request.id,
        request.head.method,
        request.head.target[:2048],
        request.client,
        state,
        fate.value,
        request.attempt,
        *where,
    )
    match fate:
        case Fate.NOBODY_WAITS | Fate.RESUMED:
            pass
        case Fate.AGAIN:
            pool.queue_again(request)
        case Fate.CUT:
            assert connection is not None
            cut(connection, "its worker died")
        case Fate.BAD_GATEWAY:
            pool.service.records.count("requests_failed")
            request.worker = None
            pool.fail(request, 502, "Connection_Abandoned_By_AppPool")
        case Fate.POISONED:
            request.worker = None
            pool.quarantine.poisoned(request)
    return fact


def _resume(pool: PoolBroker, request: ClientRequest, rows: list[Row]) -> None:
    """A WebSocket that outlives its worker waits for the next one, but not for ever."""
    connection = request.connection
    assert connection is not None
    beyond = connection.beyond
    assert beyond is not None
    assert beyond.held is not None
    service = pool.service
    row = rows[request.slot] if 0 <= request.slot < len(rows) else None
    taken = row.taken if row is not None and row.id == request.id else -1
    if beyond.held.survives(taken, service.time(), service.scaled(LASTING_S)):
        beyond.detach(is_interrupted=True)
    else:
        service.records.count("requests_failed")
        request.worker = None
        pool.fail(request, 502, "Connection_Abandoned_By_AppPool")


def _goes_on(request: ClientRequest) -> bool:
    return decide_fate(request, has_started=True) is Fate.RESUMED


def _where(request: ClientRequest, rows: list[Row], names: list[str]) -> tuple[str, str, str]:
    """Notification, module and library that the dead worker had come to with a request."""
    if not 0 <= request.slot < len(rows) or rows[request.slot].id != request.id:
        return "", "", ""
    _, notification, module = describe_row(rows[request.slot], names)
    return notification, module, rows[request.slot].note
