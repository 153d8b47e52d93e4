"""How pools begin: anew, or where the last manager left them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from was.config.model import AppPool, RecycleReason, StartMode
from was.log import log_exception
from was.manager.actions import Action
from was.manager.outgrown import beyond_reach, outgrown
from was.manager.pool import ApplicationPool
from was.manager.pool_record import fingerprint, restore

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Beginnings"]


class Beginnings:
    """Makes the manager's pools and starts them."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def begin(self, now: float) -> None:
        """All pools, with what was taken over."""
        manager = self._manager
        if not manager.adoption.has_taken_over:
            self._add_missing(now)
            return
        # The listener is told of pools and workers only when all of them are known again: it
        # gives up what it is not told of.
        records = self._records()
        for name, record in records.items():
            self._restore(name, record, now)
        self._add_missing(now)
        decided = self._decide(records, now)
        peer = manager.adoption.peer
        if peer is not None:
            manager.hearing.greet_adopted(peer)
        for name in records:
            pool = manager.pools[name]
            # One that is gone stops now: what waits there is other pools' by the routes.
            actions = decided[name] if name in decided else pool.stop(now)
            manager.performer.perform(pool, actions)

    def _records(self) -> dict[str, dict[str, Any]]:
        """What the last manager wrote of each pool.

        The listener knows those, too, that were removed: what waits there is to move, not to end.
        """
        files = self._manager.server.files
        names = dict.fromkeys((*self._manager.server.config.app_pools, *files.pools()))
        records = {name: files.read_pool(name) for name in names}
        return {name: record for name, record in records.items() if "settings" in record}

    def _add_missing(self, now: float) -> None:
        for name in self._manager.server.config.app_pools:
            if name not in self._manager.pools:
                self.add(name, now)

    def _decide(
        self, records: Mapping[str, Mapping[str, Any]], now: float
    ) -> dict[str, list[Action]]:
        """What the configuration of today wants otherwise than the one before."""
        manager, config = self._manager, self._manager.server.config
        handles = manager.workers.handles.values()
        grown = outgrown(None, config, records.keys(), handles)
        decided: dict[str, list[Action]] = {}
        renewed: set[str] = set()
        for name, record in records.items():
            if name not in config.app_pools:
                continue
            pool = manager.pools[name]
            actions = decided[name] = []
            if record.get("is_removed") and pool.settings.auto_start:
                actions += pool.start(now)  # it has come back meanwhile
            keeps = pool.settings.recycling.disallow_rotation_on_config_change
            is_other = record["settings"] != fingerprint(pool.settings) or name in grown
            if is_other and not keeps:
                renewed.add(name)
                actions += pool.recycling.recycle(RecycleReason.CONFIG_CHANGE, now)
            actions += pool.tick(now)
        manager.newcomers.restore()
        manager.newcomers.take(config, beyond_reach(handles), renewed)
        return decided

    def _restore(self, name: str, record: Mapping[str, Any], now: float) -> None:
        """Go on with a pool where the last manager was.

        One that the configuration has no more keeps the workers that finish, with usual limits.
        """
        manager = self._manager
        is_wanted = name in manager.server.config.app_pools
        settings = manager.server.config.app_pools[name] if is_wanted else AppPool(name=name)
        pool = self._make(settings)
        manager.pools[name] = pool
        workers = manager.adoption.workers.get(name, [])
        restore(pool, record, workers, now)
        if is_wanted:
            manager.reloading.write_config(pool)
        for owner, worker_id in manager.adoption.dead:
            if owner == name and pool.is_accepting:
                about = {"app_pool": name, "worker_id": worker_id}
                manager.server.events.report(5009, **about, how="died while there was no manager")
                pool.availability.failures.record(now, worker_id, is_settled=True)
        if pool.is_always_running and pool.is_accepting:
            pool.places.want_all()
            manager.awaited.add(name)

    def _make(self, settings: AppPool) -> ApplicationPool:
        server, machine = self._manager.server, self._manager.machine
        return ApplicationPool(settings, server.counters, server.clock.scaled, machine)

    def add(self, name: str, now: float) -> None:
        """One that the configuration has and nobody has made."""
        manager = self._manager
        settings = manager.server.config.app_pools[name]
        pool = self._make(settings)
        manager.pools[name] = pool
        self._prepare_queue(settings)
        if settings.auto_start:
            if settings.start_mode is StartMode.ALWAYS_RUNNING and not manager.is_ready:
                manager.awaited.add(name)
            manager.performer.perform(pool, pool.start(now))

    def _prepare_queue(self, settings: AppPool) -> None:
        try:
            self._manager.server.isolation.queue_folder(settings, self._manager.server.config)
        except OSError as error:  # it is tried again with each worker, which reports it
            log_exception("worker_spawn_failed", error, app_pool=settings.name)
