"""Routes: the sites as the listener serves them, and the table that finds an application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.config.bindings import binding_prefix
from was.config.urls import UrlPrefix
from was.ipc.served import SiteRoute
from was.listener.routing import RoutingTable

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker

__all__ = ["FOREVER_S", "Routes", "SiteRuntime", "Target"]

FOREVER_S = 1e9
PROGRAM = -1  # owns a prefix that no site has


class SiteRuntime:
    """A site's state that lives on when routes are swapped."""

    __slots__ = ("connection_timeout_s", "connections", "id", "max_connections", "name")

    def __init__(self, site_id: int) -> None:
        self.id = site_id
        self.name = ""
        self.connections = 0
        self.max_connections = 0xFFFFFFFF
        self.connection_timeout_s = 120.0


class Target:
    """Where a request goes."""

    __slots__ = ("application", "pool", "site")

    def __init__(self, site: SiteRuntime, application: str, pool: PoolBroker) -> None:
        self.site = site
        self.application = application
        self.pool = pool


class Routes:
    """The routing table in force."""

    def __init__(self) -> None:
        self._routes: dict[int, SiteRoute] = {}
        self._sites: dict[int, SiteRuntime] = {}
        self._entries: dict[int, list[UrlPrefix]] = {}
        self._owners: dict[UrlPrefix, int] = {}
        self._is_contested = False
        self._pools: dict[str, PoolBroker] = {}
        self._scaled: Callable[[float], float] = float
        # The prefixes of programs: who comes first has a prefix, be it a program or a site.
        self._registered: dict[UrlPrefix, Target] = {}
        self._table: RoutingTable[Target] = RoutingTable([])
        self.lookup = self._table.lookup

    def configure(
        self,
        sites: Iterable[SiteRoute],
        pools: dict[str, PoolBroker],
        scaled: Callable[[float], float],
    ) -> None:
        """Build the table anew and swap it; `scaled` turns a configured time into a real one."""
        self._routes = {route.id: route for route in sites}
        self._pools, self._scaled = pools, scaled
        before, self._sites = self._sites, {}
        self._entries, self._is_contested = {}, False
        self._owners = dict.fromkeys(self._registered, PROGRAM)
        entries: list[tuple[UrlPrefix, Target]] = list(self._registered.items())
        for route in self._routes.values():
            site = self._sites[route.id] = before.get(route.id) or SiteRuntime(route.id)
            entries += self._take(route, site, pools, scaled)
        self._swap(RoutingTable(entries))

    def change(
        self,
        sites: list[SiteRoute],
        gone: list[int],
        pools: dict[str, PoolBroker],
        scaled: Callable[[float], float],
    ) -> None:
        """Take over sites that are new or other than they were; others are gone."""
        self._pools, self._scaled = pools, scaled
        for site_id in gone:
            self._routes.pop(site_id, None)
        self._routes.update({route.id: route for route in sites})
        removed: list[UrlPrefix] = []
        for site_id in (*gone, *(route.id for route in sites)):
            for prefix in self._entries.pop(site_id, []):
                removed.append(prefix)
                del self._owners[prefix]
        for site_id in gone:
            self._sites.pop(site_id, None)
        added: list[tuple[UrlPrefix, Target]] = []
        for route in sites:
            site = self._sites.setdefault(route.id, SiteRuntime(route.id))
            added += self._take(route, site, pools, scaled)
        if self._is_contested:
            # Who asked first, and who may have it now, shows only when all are asked.
            self._settle()
        else:
            self._swap(self._table.changed(removed, added))

    def target_of(self, site_id: int, application: str) -> Target | None:
        """A site's application, None when there is none, or no pool that has it."""
        route = self._routes.get(site_id)
        for known in route.applications if route is not None else ():
            pool = self._pools.get(known.pool)
            if known.path == application and pool is not None:
                return Target(self._sites[site_id], application, pool)
        return None

    def register(self, prefix: UrlPrefix, target: Target) -> bool:
        """Give a prefix to a program's queue; False when it is a site's, or another queue's.

        One whose program has gone is nobody's any more.
        """
        known = self._registered.get(prefix)
        if known is None:
            if prefix in self._owners:
                return False
            self._owners[prefix] = PROGRAM
            removed: list[UrlPrefix] = []
        else:
            if known.pool is not target.pool and known.pool.settings.accepting:
                return False
            removed = [prefix]
        self._registered[prefix] = target
        self._swap(self._table.changed(removed, [(prefix, target)]))
        return True

    def unregister(self, prefix: UrlPrefix) -> None:
        """The prefix is nobody's any more."""
        if self._registered.pop(prefix, None) is None:
            return
        if self._is_contested:
            self._settle()  # a site may have waited for it
            return
        del self._owners[prefix]
        self._swap(self._table.changed([prefix], []))

    def _settle(self) -> None:
        self.configure(list(self._routes.values()), self._pools, self._scaled)

    def _swap(self, table: RoutingTable[Target]) -> None:
        self._table = table
        self.lookup = table.lookup

    def _take(
        self,
        route: SiteRoute,
        site: SiteRuntime,
        pools: dict[str, PoolBroker],
        scaled: Callable[[float], float],
    ) -> list[tuple[UrlPrefix, Target]]:
        """Give the site its settings, and the prefixes that nobody else has."""
        site.name = route.name
        site.max_connections = route.max_connections
        # 0 switches the limit off.
        site.connection_timeout_s = scaled(route.connection_timeout_s or FOREVER_S)
        taken: list[tuple[UrlPrefix, Target]] = []
        if not route.started:
            return taken
        for scheme, information in route.bindings:
            place = binding_prefix(scheme, information)
            for application in route.applications:
                pool = pools.get(application.pool)
                if pool is None:
                    continue
                prefix = place.with_path(application.path)
                # The first to ask for a prefix has it, as long as it is there.
                if self._owners.setdefault(prefix, route.id) != route.id:
                    self._is_contested = True
                elif prefix not in (known := self._entries.setdefault(route.id, [])):
                    known.append(prefix)
                    taken.append((prefix, Target(site, application.path, pool)))
        return taken
