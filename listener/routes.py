"""Routes: the sites as the listener serves them, and the table that finds an application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.ipc.messages import SiteRoute
from was.listener.bindings import parse_binding
from was.listener.routing import RoutingTable
from was.listener.urls import UrlPrefix
from was.log import log

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker

__all__ = ["Routes", "SiteRuntime", "Target"]

FOREVER_S = 1e9


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
        self._sites: dict[int, SiteRuntime] = {}
        self._table: RoutingTable[Target] = RoutingTable([])
        self.lookup = self._table.lookup

    def configure(
        self,
        sites: list[SiteRoute],
        pools: dict[str, PoolBroker],
        scaled: Callable[[float], float],
    ) -> None:
        """Build the table anew and swap it; `scaled` turns a configured time into a real one."""
        entries: dict[UrlPrefix, Target] = {}
        known: dict[int, SiteRuntime] = {}
        for route in sites:
            site = known[route.id] = self._sites.get(route.id) or SiteRuntime(route.id)
            site.name = route.name
            site.max_connections = route.max_connections
            # 0 switches the limit off.
            site.connection_timeout_s = scaled(route.connection_timeout_s or FOREVER_S)
            if not route.started:
                continue
            for scheme, information in route.bindings:
                try:
                    prefix = parse_binding(information, scheme).prefix()
                except ValueError as error:
                    log("site_refused", site=route.name, binding=information, error=error)
                    continue
                for application in route.applications:
                    pool = pools.get(application.pool)
                    if pool is not None:
                        # The first to ask for a prefix has it, as long as it is there.
                        entries.setdefault(
                            prefix.with_path(application.path),
                            Target(site, application.path, pool),
                        )
        self._sites = known
        self._table = RoutingTable(entries.items())
        self.lookup = self._table.lookup
