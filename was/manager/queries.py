"""Questions to the listener and to the modules of workers (GL_RSCA_QUERY), and who waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from was.ipc.listener_control import ListenerReport, QueryListener
from was.ipc.worker_control import QueryWorker, WorkerAnswer
from was.manager.handle import WorkerHandle
from was.manager.listener_side import ListenerSide
from was.manager.server import Server

__all__ = ["Queries"]

LISTENER_LIMIT_S = 2.0
# A worker whose modules take longer has nothing to say.
WORKER_LIMIT_S = 5.0

_LISTENER = 0  # no worker has this id


@dataclass(frozen=True, slots=True)
class _Waiting:
    whom: int
    deadline: float
    on_answer: Callable[[Any], None]


class Queries:
    """Each question gets exactly one answer: that of who was asked, or None when it says nothing.

    The answer comes later, or at once where who is asked cannot be reached.
    """

    def __init__(self, server: Server, listener: ListenerSide) -> None:
        self._server = server
        self._listener = listener
        self._waiting: dict[int, _Waiting] = {}
        self._last_id = 0

    def ask_listener(
        self, on_report: Callable[[ListenerReport | None], None], *, with_requests: bool = False
    ) -> None:
        """Have it report."""
        if not self._listener.is_connected:
            on_report(None)
            return
        query_id = self._wait(_LISTENER, LISTENER_LIMIT_S, on_report)
        self._listener.send(QueryListener(query_id, with_requests))

    def ask_worker(
        self,
        handle: WorkerHandle,
        function: str,
        parameters: str,
        on_answer: Callable[[WorkerAnswer | None], None],
    ) -> None:
        """Ask the worker's modules."""
        if handle.peer is None:
            on_answer(None)
            return
        query_id = self._wait(handle.id, WORKER_LIMIT_S, on_answer)
        handle.peer.send(QueryWorker(query_id, function, parameters))

    def _wait(self, whom: int, limit_s: float, on_answer: Callable[[Any], None]) -> int:
        self._last_id += 1
        deadline = self._server.clock.monotonic() + limit_s
        self._waiting[self._last_id] = _Waiting(whom, deadline, on_answer)
        return self._last_id

    def listener_answered(self, report: ListenerReport) -> None:
        """A report came."""
        self._answered(_LISTENER, report.query_id, report)

    def worker_answered(self, worker_id: int, answer: WorkerAnswer) -> None:
        """An answer came, from this worker."""
        self._answered(worker_id, answer.query_id, answer)

    def _answered(self, whom: int, query_id: int, answer: object) -> None:
        waiting = self._waiting.get(query_id)
        # Else nobody waits for it any more, or somebody else was asked.
        if waiting is not None and waiting.whom == whom:
            del self._waiting[query_id]
            waiting.on_answer(answer)

    def listener_gone(self) -> None:
        """It will answer nothing any more."""
        self._give_up(lambda waiting: waiting.whom == _LISTENER)

    def worker_gone(self, worker_id: int) -> None:
        """The same of a worker."""
        self._give_up(lambda waiting: waiting.whom == worker_id)

    def next_deadline(self) -> float | None:
        """When the first question is overdue."""
        return min((w.deadline for w in self._waiting.values()), default=None)

    def tick(self, now: float) -> None:
        """Give up on what is overdue."""
        self._give_up(lambda waiting: now >= waiting.deadline)

    def _give_up(self, is_over: Callable[[_Waiting], bool]) -> None:
        for query_id in [i for i, w in self._waiting.items() if is_over(w)]:
            self._waiting.pop(query_id).on_answer(None)
