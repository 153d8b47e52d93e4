"""Sampling: what is looked at now and then, since nobody tells of it.

Whether workers are idle or worn, whether a scheduled time has come, how much memory is left,
whether a file was changed unnoticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc import listener_control as lc
from was.manager.memory import measure
from was.manager.pressure import MemoryPressure, idle_divisor, used_share
from was.manager.wear import WorkerSample

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Sampling"]

SAMPLE_EVERY_S = 10.0


class Sampling:
    """Looks at everything every SAMPLE_EVERY_S."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._pressure = MemoryPressure()
        self._next_at = 0.0

    def begin(self, now: float) -> None:
        """For the first time a while after the start."""
        self._next_at = now + max(0.1, self._manager.server.clock.scaled(SAMPLE_EVERY_S))

    def next_deadline(self) -> float:
        """When it is time to look."""
        return self._next_at

    def is_due(self, now: float) -> bool:
        """Whether the next `tick` looks."""
        return now >= self._next_at

    def tick(self, now: float) -> None:
        """Look, if it is time; what the listener has counted comes later."""
        if not self.is_due(now):
            return
        manager = self._manager
        self.begin(now)
        manager.reloading.look(now)
        for pool in manager.pools.values():
            pool.recycling.look_at_clock(manager.server.clock.wall())
        self._look_at_memory()
        manager.server.files.write_again()
        manager.queries.ask_listener(self._sampled)

    def _look_at_memory(self) -> None:
        server = self._manager.server
        threshold = server.config.web_limits.dynamic_idle_threshold
        used = used_share() if threshold else 0.0
        for event_id in self._pressure.update(idle_divisor(used, threshold)):
            server.events.report(event_id, used_percent=round(used * 100), limit=threshold)
        self._manager.machine.idle_divisor = self._pressure.divisor

    def _sampled(self, report: lc.ListenerReport | None) -> None:
        if report is None or self._manager.shutdown.has_begun:
            return
        now = self._manager.now()
        for counters in report.workers:
            self._take(counters, now)

    def _take(self, counters: lc.WorkerCounters, now: float) -> None:
        manager = self._manager
        pool = manager.pool_of(counters.worker_id)
        handle = manager.workers.handles.get(counters.worker_id)
        if pool is None or handle is None:
            return
        limits = pool.settings.recycling.periodic_restart
        memory = measure(handle.pid, virtual=limits.memory > 0, private=limits.private_memory > 0)
        sample = WorkerSample(
            age_s=now - handle.started_at,
            # Not the listener's: its figures begin anew with every listener.
            finished=handle.finished(),
            active=counters.active,
            virtual_kb=memory.virtual_kb,
            private_kb=memory.private_kb,
        )
        manager.performer.perform(pool, pool.recycling.sample(handle.id, sample, now))
