"""Questions to the modules of a worker (GL_RSCA_QUERY), and who waits for the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from was.ipc.worker_control import QueryWorker, WorkerAnswer
from was.manager.handle import WorkerHandle
from was.manager.server import Server

__all__ = ["WorkerQueries"]

# A worker whose modules take longer has nothing to say.
ANSWER_LIMIT_S = 5.0

OnAnswer = Callable[[WorkerAnswer | None], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    worker_id: int
    deadline: float
    on_answer: OnAnswer


class WorkerQueries:
    """Each question gets exactly one answer: the worker's, or None when it says nothing."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._waiting: dict[int, _Waiting] = {}
        self._last_id = 0

    def ask(
        self, handle: WorkerHandle, function: str, parameters: str, on_answer: OnAnswer
    ) -> None:
        """Ask now; `on_answer` is called later, or at once when the worker cannot be reached."""
        if handle.peer is None:
            on_answer(None)
            return
        self._last_id += 1
        deadline = self._server.clock.monotonic() + ANSWER_LIMIT_S
        self._waiting[self._last_id] = _Waiting(handle.id, deadline, on_answer)
        handle.peer.send(QueryWorker(self._last_id, function, parameters))

    def answered(self, worker_id: int, answer: WorkerAnswer) -> None:
        """An answer came; one that nobody waits for, or from another worker, is dropped."""
        waiting = self._waiting.get(answer.query_id)
        if waiting is not None and waiting.worker_id == worker_id:
            del self._waiting[answer.query_id]
            waiting.on_answer(answer)

    def worker_gone(self, worker_id: int) -> None:
        """It will answer nothing any more."""
        for query_id in [i for i, w in self._waiting.items() if w.worker_id == worker_id]:
            self._waiting.pop(query_id).on_answer(None)

    def tick(self, now: float) -> None:
        """Give up on what is overdue."""
        for query_id in [i for i, w in self._waiting.items() if now >= w.deadline]:
            self._waiting.pop(query_id).on_answer(None)

    def next_deadline(self) -> float | None:
        """When the first question is overdue."""
        return min((w.deadline for w in self._waiting.values()), default=None)
