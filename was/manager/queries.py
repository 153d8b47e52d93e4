"""Questions to the listener, and who waits for the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from was.ipc.listener_control import ListenerReport, QueryListener
from was.manager.listener_side import ListenerSide
from was.manager.server import Server

__all__ = ["Queries"]

ANSWER_LIMIT_S = 2.0

OnReport = Callable[[ListenerReport | None], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    deadline: float
    on_report: OnReport


class Queries:
    """Each question gets exactly one answer: the report, or None when the listener says nothing."""

    def __init__(self, server: Server, listener: ListenerSide) -> None:
        self._server = server
        self._listener = listener
        self._waiting: dict[int, _Waiting] = {}
        self._last_id = 0

    def ask(self, on_report: OnReport, *, with_requests: bool = False) -> None:
        """Ask now; `on_report` is called later, or at once when there is no listener."""
        if not self._listener.is_connected:
            on_report(None)
            return
        self._last_id += 1
        deadline = self._server.clock.monotonic() + ANSWER_LIMIT_S
        self._waiting[self._last_id] = _Waiting(deadline, on_report)
        self._listener.send(QueryListener(self._last_id, with_requests))

    def answered(self, report: ListenerReport) -> None:
        """A report came; one that nobody waits for any more is dropped."""
        waiting = self._waiting.pop(report.query_id, None)
        if waiting is not None:
            waiting.on_report(report)

    def listener_gone(self) -> None:
        """Nobody will answer what was asked."""
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.on_report(None)

    def tick(self, now: float) -> None:
        """Give up on what is overdue."""
        for query_id in [i for i, w in self._waiting.items() if now >= w.deadline]:
            self._waiting.pop(query_id).on_report(None)

    def next_deadline(self) -> float | None:
        """When the first question is overdue."""
        return min((w.deadline for w in self._waiting.values()), default=None)
