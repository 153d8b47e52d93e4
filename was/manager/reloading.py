"""Reloading: a new configuration is taken in while everything runs.

Somebody says so, or the files have changed. One with errors is reported and leaves the last good
one in force. What a change means for a pool that runs is decided in reload.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was import faults
from was.config.model import RecycleReason
from was.errors import ConfigErrors
from was.ipc import worker_control as wc
from was.log import log, log_exception
from was.manager.actions import Action
from was.manager.inbox import FilesTouched
from was.manager.newcomers import new_since
from was.manager.outgrown import outgrown
from was.manager.pool import ApplicationPool
from was.manager.reload import compare_pools, needs_restart
from was.manager.server import Configuration
from was.manager.watching import ConfigurationWatch, Storm

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Reloading"]


class Reloading:
    """Watches the files of the configuration and has the manager follow them."""

    def __init__(self, manager: Manager, load: Callable[[], Configuration]) -> None:
        self._manager = manager
        self._load = load
        server = manager.server
        self._watch = ConfigurationWatch(
            server.loop.add_reader, lambda: server.inbox.put_nowait(FilesTouched())
        )
        self._watch.look_at(server.configuration.files)
        self._started = server.config
        self._touched = Storm()
        self._untold: set[int] = set()  # workers that do not know of the one in force
        self.errors: list[str] = []  # of the newest configuration; the one in force has none
        self.since = server.clock.wall()  # when the one in force came

    @property
    def warnings(self) -> list[str]:
        """What of the configuration in force has no effect: here, or not yet."""
        config = self._manager.server.config
        return [*config.warnings, *needs_restart(self._started, config)]

    def close(self) -> None:
        """Watch no longer."""
        self._watch.close(self._manager.server.loop.remove_reader)

    def touched(self, now: float) -> None:
        """Something happened in a folder that a file of the configuration is in."""
        self._touched.touched(now)

    def look(self, now: float) -> None:
        """Nobody may have told of a change. Whoever writes at this moment has time to finish."""
        if self._touched.next_deadline() is None and self._watch.differs():
            self._touched.touched(now)

    def next_deadline(self) -> float | None:
        """When `tick` looks at the files that were touched."""
        return self._touched.next_deadline()

    def tick(self, now: float) -> None:
        """Take in what has changed, once it is quiet."""
        if not self._touched.is_over(now) or self._manager.shutdown.has_begun:
            return
        if self._watch.has_changed():
            self.reload(by_hand=False)

    def reload(self, *, by_hand: bool = True) -> list[str]:
        """Take the configuration as it is now; what is wrong with it leaves the last one.

        By hand, workers look at everything again, their web.config files too.
        """
        if self._manager.shutdown.has_begun:
            return ["the server is stopping"]
        log("reload_started", because="asked" if by_hand else "changed")
        self._manager.server.notifier.reloading()
        try:
            return self._reload(by_hand=by_hand)
        finally:
            self._manager.server.notifier.ready()

    def _reload(self, *, by_hand: bool) -> list[str]:
        try:
            configuration = self._load()
        except ConfigErrors as errors:
            self._watch.has_changed()  # known now, and known to be wrong
            self.errors = [str(error) for error in errors.errors]
            for line in self.errors:
                log("config_error", error=line)
            log("reload_failed", errors=len(self.errors))
            self._manager.server.events.report(5172, detail=self.errors[0], errors=self.errors)
            return self.errors
        self._watch.look_at(configuration.files)
        self._apply(configuration, by_hand=by_hand)
        log("reload_completed")
        return []

    def _apply(self, configuration: Configuration, *, by_hand: bool) -> None:
        manager = self._manager
        now = manager.now()
        before = manager.server.config
        changes = compare_pools(
            {name: pool.settings for name, pool in manager.pools.items()}, configuration.config
        )
        manager.server.configuration = configuration
        manager.machine.most_workers = configuration.config.web_limits.demand_start_threshold
        has_recovered = bool(self.errors)
        self.prepare_logs()
        self.errors = []
        self.since = manager.server.clock.wall()
        rewritten = {
            name
            for name, pool in manager.pools.items()
            if pool.workers and name in configuration.config.app_pools and self.write_config(pool)
        }
        for name in changes.added:
            manager.beginnings.add(name, now)
        renewed = dict.fromkeys(changes.recycled, "")
        handles = manager.workers.handles.values()
        renewed |= outgrown(before, configuration.config, rewritten, handles)
        decided: dict[str, list[Action]] = {}
        for name, settings in configuration.config.app_pools.items():
            pool = manager.pools[name]
            actions = decided[name] = pool.apply(settings, now)
            if name not in before.app_pools and settings.auto_start:
                actions += pool.start(now)  # it was removed, and has workers that still finish
            if settings.recycling.disallow_rotation_on_config_change:
                renewed.pop(name, None)
            if name in renewed:
                if has_recovered:
                    manager.performer.report(pool, 5081, 0, {})
                detail = renewed[name]
                actions += pool.recycling.recycle(RecycleReason.CONFIG_CHANGE, now, detail=detail)
        manager.newcomers.take(configuration.config, new_since(before), renewed.keys())
        for name, actions in decided.items():
            # In one: a record of the new settings without the workers that are to be replaced for
            # them would have the manager after this one take them for new.
            manager.performer.perform(manager.pools[name], actions)
        faults.reach("manager.reloading")
        manager.performer.publish_pools()
        manager.sites.rebind()
        manager.close_queues()
        for name in changes.removed:
            # Only now: what waits there goes to the pools that the applications have instead.
            manager.performer.perform(manager.pools[name], manager.pools[name].stop(now))
        manager.listener.change_settings()
        self._untold |= {h.id for h in handles if by_hand or h.pool in rewritten}

    def listener_follows(self, now: float) -> None:
        """The listener has the routes: workers that have something new to read may do so.

        Before, they would be sent requests for applications that they have no more.
        """
        manager = self._manager
        untold, self._untold = self._untold, set()
        for worker_id in untold:
            handle, pool = manager.workers.handles.get(worker_id), manager.pool_of(worker_id)
            if handle is not None and handle.peer is not None and pool is not None:
                manager.performer.perform(pool, pool.wake(now, worker_id))
                handle.peer.send(wc.ConfigurationChanged())

    def write_config(self, pool: ApplicationPool) -> bool:
        """Whether its workers have something new to read."""
        try:
            return self._manager.workers.write_config(pool.settings.name)
        except OSError as error:
            # Its workers go on with what they have; the next one cannot start.
            self._manager.performer.report(pool, 5189, 0, {"detail": str(error)})
            return False

    def prepare_logs(self, *, all_sites: bool = False) -> None:
        """Have the folders of request logs that are new, or all of them."""
        server = self._manager.server
        try:
            server.isolation.open_logs(server.config, all_sites=all_sites)
        except OSError as error:
            log_exception("log_dropped", error)
