"""Demand: a pool's requests that wait without credit have the manager start workers, or wake them.

The first worker is asked for once, and again only when the manager has lost the start; a further
one when a request has waited FURTHER_S for the workers there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.log import log_exception

if TYPE_CHECKING:
    import asyncio

    from was.listener.broker import PoolBroker

__all__ = ["Demand"]

FURTHER_S = 0.05


class Demand:
    """What one pool's broker asks of the manager."""

    def __init__(self, pool: PoolBroker) -> None:
        self._pool = pool
        self._is_told = False
        self._timer: asyncio.TimerHandle | None = None

    def tell(self) -> None:
        """A request waits without credit: have the manager start a worker, or a further one."""
        settings = self._pool.settings
        if not (settings.demand_start or self._pool.has_suspended) or settings.stands_for:
            return
        if not self._pool.has_ready:
            if not self._is_told:
                self._is_told = True
                self._pool.service.manager.demand(settings.name, further=False)
                self._bind_ahead()
        elif self._timer is None and self._may_have_further():
            self._await_further()

    def renew(self) -> None:
        """The manager has lost or given up a start: if requests still wait, ask again."""
        self._is_told = False
        if self._pool.queue.has_waiting():
            self.tell()

    def forget(self) -> None:
        """What was asked for has come, or is no answer any more: the next request asks again."""
        self._is_told = False

    def close(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _bind_ahead(self) -> None:
        """The worker that was asked for is not to find the door closed, and look again later."""
        try:
            self._pool.bind()
        except Exception as error:  # noqa: BLE001 it is tried again when the worker is announced
            log_exception("listener_error", error, app_pool=self._pool.settings.name)

    def _may_have_further(self) -> bool:
        pool = self._pool
        return pool.has_suspended or len(pool.workers) < pool.settings.max_processes

    def _await_further(self) -> None:
        self._timer = self._pool.service.loop.call_later(FURTHER_S, self._tell_further)

    def _tell_further(self) -> None:
        self._timer = None
        oldest = self._pool.queue.peek()
        if oldest is None or not self._pool.has_ready or not self._may_have_further():
            return
        service = self._pool.service
        if service.loop.time() - oldest.queued_at >= FURTHER_S * 0.9:
            service.manager.demand(self._pool.settings.name, further=True)
        self._await_further()
