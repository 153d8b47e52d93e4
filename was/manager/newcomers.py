"""Applications that are new to a pool whose workers must be replaced before they can run them.

Their requests wait, in a queue of their own that the listener takes for another pool's. When the
pool has only workers that know them, the applications move over, and what waits goes along: for the
listener it is a move like any other. So nobody is answered by a worker whose sandbox does not know
the folder, or that has the settings or the modules of before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import msgspec

from was.config.model import Application, ServerConfig, Site
from was.ipc.served import PoolQueue
from was.manager.pool import ApplicationPool
from was.manager.routes import pool_queue
from was.manager.state_files import StateFiles

__all__ = ["IsNew", "Newcomers", "new_since"]

# No pool can be called that: IIS's names begin otherwise.
_QUEUE = "\N{MIDDLE DOT}{}"

IsNew: TypeAlias = Callable[[Site, Application], bool]


def new_since(before: ServerConfig) -> IsNew:
    """Tells which applications are in another pool than they were, or were not there."""
    sites = {site.id: site for site in before.sites}

    def is_new(site: Site, application: Application) -> bool:
        was = sites.get(site.id)
        if was is site:
            return False
        known = () if was is None else was.applications
        pool = application.application_pool
        return not any(a.path == application.path and a.application_pool == pool for a in known)

    return is_new


class Newcomers:
    """Who waits, for workers of which pool, and of which generation."""

    def __init__(self, files: StateFiles, pools: Mapping[str, ApplicationPool]) -> None:
        self._files = files
        self._pools = pools
        self._waiting: dict[tuple[int, str], tuple[str, int]] = {}
        self._queues: set[str] = set()  # pools with such a queue: until nothing is in it any more

    def restore(self) -> None:
        """Go on where an earlier manager was; its pools are there again."""
        for site_id, path, pool, generation in self._files.read("newcomers").get("waiting", []):
            self._waiting[site_id, path] = pool, generation
        self._queues = {pool for pool, _ in self._waiting.values() if pool in self._pools}
        self.settle()

    def take(self, config: ServerConfig, is_new: IsNew, renewed: Collection[str]) -> None:
        """A configuration is in force, and these pools' workers are to be replaced for it."""
        if not renewed and not self._waiting:
            return
        before, self._waiting = self._waiting, {}
        for site in config.sites:
            for application in site.applications:
                key, pool = (site.id, application.path), application.application_pool
                known = before.get(key)
                if known is not None and known[0] == pool:
                    self._waiting[key] = known
                elif pool in renewed and is_new(site, application):
                    self._waiting[key] = pool, self._pools[pool].places.generation
        self._drop_settled()
        self._queues |= {pool for pool, _ in self._waiting.values()}
        if self._waiting != before:
            self._write()

    def settle(self) -> bool:
        """Whether some need not wait any more; their routes are others now."""
        if not self._waiting:
            return False
        count = len(self._waiting)
        self._drop_settled()
        if len(self._waiting) == count:
            return False
        self._write()
        return True

    def _drop_settled(self) -> None:
        pools = self._pools
        self._waiting = {
            key: (pool, generation)
            for key, (pool, generation) in self._waiting.items()
            if pool in pools and pools[pool].places.has_older(generation)
        }

    def _write(self) -> None:
        waiting = [[*key, *value] for key, value in self._waiting.items()]
        self._files.write("newcomers", {"waiting": waiting})

    def close_queues(self) -> bool:
        """The listener has the routes: whether there are queues that nothing leads to any more."""
        before, self._queues = self._queues, {pool for pool, _ in self._waiting.values()}
        return before != self._queues

    def queues(self) -> list[PoolQueue]:
        """What the listener is to have beside the pools' own."""
        return [
            msgspec.structs.replace(
                pool_queue(self._pools[pool]), name=_QUEUE.format(pool), stands_for=pool
            )
            for pool in sorted(self._queues & self._pools.keys())
        ]

    def of_site(self, site: Site) -> dict[str, str]:
        """Paths of applications that wait, and the queue that takes their requests."""
        if not self._waiting:
            return {}
        paths = [a.path for a in site.applications if (site.id, a.path) in self._waiting]
        return {path: _QUEUE.format(self._waiting[site.id, path][0]) for path in paths}
