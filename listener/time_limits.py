"""Time limits of waiting and running requests, and workers whose connection was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.listener.fate import has_started
from was.listener.request import Progress

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation
    from was.listener.request import ClientRequest

__all__ = ["TimeLimits"]

SENT = Progress.SENT

# A worker's connection ends with its process. If it has ended and this much later the pidfd has not
# fired, the worker lives on and what it said last is lost (a message beyond MAXMSGSIZE, say).
CONNECTION_LOST_S = 1.0


class TimeLimits:
    """The clock of one pool's requests."""

    def __init__(self, pool: PoolBroker) -> None:
        self._pool = pool

    def expire(self, now: float) -> None:
        """Time limits of waiting and running requests; called ten times a second."""
        settings = self._pool.settings
        scaled = self._pool.service.scaled
        if settings.queue_time_limit_s > 0:
            limit = scaled(settings.queue_time_limit_s)
            for request in self._pool.queue.waiting_since(now - limit):
                self._pool.queue.withdraw(request)
                self._pool.fail(request, 503, "Timer_AppPool")
        self._look_for_lost(now)
        self._pool.quarantine.look_again(now)
        if settings.time_limit_s <= 0:
            return
        limit = scaled(settings.time_limit_s)
        for worker in list(self._pool.workers.values()):
            late = [
                request
                for request in worker.outstanding.values()
                if request.progress is SENT and now - request.sent_at > limit
            ]
            if late:
                self._time_out(worker, late)

    def _look_for_lost(self, now: float) -> None:
        """Workers whose connection has ended though they live: what they sent last is lost."""
        router = self._pool.router
        if router is None:
            return
        router.read_disconnects()
        for worker in list(self._pool.workers.values()):
            if worker.is_dead or worker.is_faulty or worker.has_left or worker.source < 0:
                continue
            if worker.lost_at:
                if now - worker.lost_at > CONNECTION_LOST_S:
                    self._pool.faulty(worker, "its connection ended")
            elif router.has_disconnected(worker.source):
                worker.lost_at = now

    def _time_out(self, worker: Incarnation, late: list[ClientRequest]) -> None:
        """504 for what has run too long; a request that has not even begun waits on."""
        rows = worker.scoreboard.read_rows()
        for request in late:
            if request.connection is None or not has_started(request, rows):
                continue
            if request.pull_granted > 0 and not request.is_body_complete:
                continue  # the worker waits for the client
            self._pool.service.count("requests_timed_out")
            request.connection.fail(request, 504, "Timer_Response")
