"""Requests that a program was sent and does not read: it is stopped, or stuck in its own code.

A request in the queue is the queue's, not a process's: who shares the queue is to have it. But
nothing can be taken out of a socket, and the program may go on at any moment, so the two agree on
its row of the scoreboard, which both see, each writing first and looking then:

    listener   writes word 6: withdrawn (id, attempt)     a tick later: is it STARTED?
    program    writes word 0: STARTED (id, attempt)       then: is it withdrawn?

At least one sees the other. The program gives back what it finds withdrawn, the listener leaves
alone what it finds started. What it takes back goes to its place in the queue, and the program
still owes the END of the attempt that it had: until then the row stays in use.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from was.ipc.scoreboard import RequestState
from was.listener.request import ClientRequest, Progress

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation

__all__ = ["UnreadRequests"]

UNREAD_S = 1.0


class UnreadRequests:
    """Those of one queue."""

    def __init__(self, pool: PoolBroker) -> None:
        self._pool = pool
        # By id and attempt: since when it is known to be unread, and whether it is withdrawn.
        self._known: dict[tuple[int, int], tuple[float, bool]] = {}

    def take_back(self, now: float, workers: list[Incarnation]) -> list[Incarnation]:
        """Called ten times a second. Who has not read for so long: out of the dispatch now."""
        known, self._known = self._known, {}
        limit_s = self._pool.service.scaled(UNREAD_S)
        silent: list[Incarnation] = []
        for worker in workers:
            if worker.is_dead:
                continue
            for request in list(worker.outstanding.values()):
                if request.progress is not Progress.SENT or _has_started(worker, request):
                    continue
                key = request.id, request.attempt
                since, is_withdrawn = known.get(key, (now, False))
                if is_withdrawn:
                    self._give_back(worker, request)
                    continue
                is_late = now - since >= limit_s
                if is_late:
                    worker.scoreboard.withdraw(request.slot, *key)
                    self._pool.take_from_dispatch(worker)
                    silent.append(worker)
                self._known[key] = since, is_late
        return silent

    def _give_back(self, worker: Incarnation, request: ClientRequest) -> None:
        owed = copy.copy(request)
        owed.connection = None
        owed.gone_client = request.client
        owed.progress = Progress.ENDED
        owed.spool = None
        owed.body = b""
        worker.outstanding[request.id] = owed
        if worker.suspect is request:
            worker.suspect = None
        self._pool.queue_again(request)
        self._pool.turn()


def _has_started(worker: Incarnation, request: ClientRequest) -> bool:
    proof = worker.scoreboard.read_proof(request.slot)
    is_its = proof >> 3 == request.id << 8 | (request.attempt & 0xFF)
    return is_its and proof & 7 >= RequestState.STARTED
