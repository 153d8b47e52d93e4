"""The sites: which are started, which can listen, and what the listener is told of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from was.config.model import Site
from was.ipc.listener_control import ExpectUrls, SocketsRefused, WantSockets
from was.ipc.served import ListeningSocket, SiteRoute
from was.log import log
from was.manager.listener_side import ListenerSide
from was.manager.newcomers import Newcomers
from was.manager.notify import GivenSocket
from was.manager.pool import ApplicationPool
from was.manager.routes import RealPort, SocketKey, binding_text, bindings_of, site_route, site_urls
from was.manager.server import Server
from was.manager.sockets import ListeningSockets

__all__ = ["SiteSet"]


class SiteSet:
    """Started and refused sites, and their sockets."""

    def __init__(
        self,
        server: Server,
        listener: ListenerSide,
        pools: Mapping[str, ApplicationPool],
        newcomers: Newcomers,
    ) -> None:
        self._server = server
        self._listener = listener
        self._pools = pools
        self._newcomers = newcomers
        self._listening = ListeningSockets(server.notifier)
        self._wanted: dict[int, bool] = {}
        self._routes: dict[int, tuple[Site, tuple[object, ...], SiteRoute]] = {}
        self._known_pools: frozenset[str] = frozenset()
        self.refused: dict[str, str] = {}
        # There are others, or fewer, than there were.
        self.on_bound: Callable[[], object] = lambda: None
        self._programs: dict[tuple[str, int], ListeningSocket] = {}
        self._program_urls: list[str] = []
        self._is_closed = False

    def give(self, sockets: Iterable[GivenSocket]) -> None:
        """Sockets that a service manager listens on for us, before the first `bind`."""
        self._listening.give(sockets)

    def for_exec(self, *, keep: bool) -> None:
        """Whether those sockets outlive an exec."""
        self._listening.for_exec(keep=keep)

    def bind(self) -> list[str]:
        """Bind what the started sites need; who cannot listen."""
        sites = self._server.config.sites
        before = self._wanted
        self._wanted = {site.id: before.get(site.id, site.server_auto_start) for site in sites}
        if before.keys() - self._wanted:  # another site may get the id of one that is gone
            self._record_wanted()
        started = [site for site in sites if self._wanted[site.id]]
        self.refused = self._listening.apply(started, self._programs.values())
        self.on_bound()
        return self.cannot_listen()

    def cannot_listen(self) -> list[str]:
        """One line for each started site that cannot.

        Those that only wait until the listener lets go of a socket are not among them.
        """
        awaiting = self._listening.awaiting
        return [line for name, line in self.refused.items() if name not in awaiting]

    def sockets(self) -> list[tuple[str, int]]:
        """Those that are listened on now, by the names that others keep them under."""
        return self._listening.to_keep()

    def adopt(self, held: Iterable[tuple[ListeningSocket, int]]) -> None:
        """Take over sockets of an earlier manager, and what it was told of its sites."""
        files = self._server.files
        keys = {
            (ip or "*", real): SocketKey(ip, port, owner)
            for ip, port, owner, real in files.read("sockets").get("sockets", [])
        }
        known: list[tuple[SocketKey, str, int]] = []
        for item, fd in held:
            key = keys.get((item.ip, item.port))
            if key is None:
                os.close(fd)
            else:
                known.append((key, item.scheme, fd))
        self._listening.adopt(known)
        wanted = files.read("sites").get("wanted", {})
        self._wanted = {int(site_id): bool(started) for site_id, started in wanted.items()}

    def want(self, message: WantSockets) -> None:
        """Programs have URLs, and need ports."""
        is_whole = message.is_whole
        self._program_urls = message.urls if is_whole else [*self._program_urls, *message.urls]
        wanted = {(place.ip, place.port): place for place in message.places}
        before = self._programs
        self._programs = wanted if is_whole else {**before, **wanted}
        if self._programs.keys() == before.keys():
            return
        self.rebind()
        if self._listening.refused_programs:
            self._listener.send(SocketsRefused(self._listening.refused_programs))
            for ip, port, _ in self._listening.refused_programs:
                self._programs.pop((ip, port), None)

    def adopt_wanted(self, message: WantSockets) -> None:
        """The ports of programs, as the listener that is taken over had asked for."""
        self._programs = {(place.ip, place.port): place for place in message.places}
        self._program_urls = message.urls

    def publish_expected(self) -> None:
        """Tell a new listener which URLs programs had at the last one."""
        self._listener.send(ExpectUrls(list(dict.fromkeys(self._program_urls))))

    def rebind(self) -> None:
        """Sites were started, stopped or changed: sockets and routes follow, till all is closed."""
        if self._is_closed:
            return
        for line in self.bind():
            log("site_refused", error=line)
        self.publish_routes()
        self.publish_sockets()

    def listener_let_go(self) -> None:
        """The listener accepts on what it was told last, and on nothing else."""
        self._listening.let_go(is_ended=self._listener.retiring is None)
        if self._listening.awaiting:
            self.rebind()

    def listener_ended(self) -> None:
        """A listener has gone that may have held, till now, what could not be bound."""
        if self.refused:
            self.rebind()

    def set_started(self, site: Site, *, started: bool) -> str:
        """Start or stop a site; the reason if it cannot listen."""
        self._wanted[site.id] = started
        self._record_wanted()
        self.rebind()
        is_refused = started and site.name not in self._listening.awaiting
        return self.refused.get(site.name, "") if is_refused else ""

    def _record_wanted(self) -> None:
        self._server.files.write("sites", {"wanted": self._wanted})

    def is_started(self, site: Site) -> bool:
        """Whether the site is meant to answer and can."""
        return self._wanted.get(site.id, False) and site.name not in self.refused

    def publish_routes(self) -> None:
        """Tell the listener all sites. Once all is closed, it goes on with those that it knows."""
        if self._is_closed:
            return
        pools = frozenset(self._pools)
        real_port = cache(self._listening.real_port)
        self._routes = {
            site.id: self._route(site, pools, real_port) for site in self._server.config.sites
        }
        routes = [route for _, _, route in self._routes.values()]
        # A queue that is new may be what other sites' applications have waited for.
        self._listener.set_routes(routes, whole=pools != self._known_pools)
        self._known_pools = pools

    def _route(
        self, site: Site, pools: frozenset[str], real_port: RealPort
    ) -> tuple[Site, tuple[object, ...], SiteRoute]:
        """The site's route, and what it was made of: the last one if that is the same."""
        started = self.is_started(site)
        waiting = self._newcomers.of_site(site)
        made_of = (pools, started, waiting, *(real_port(key) for key, _ in bindings_of(site)))
        known = self._routes.get(site.id)
        if known is not None and known[0] is site and known[1] == made_of:
            return known
        return site, made_of, site_route(site, real_port, pools, started=started, waiting=waiting)

    def publish_sockets(self) -> None:
        """Tell the listener what to accept on."""
        self._server.files.write("sockets", {"sockets": self._listening.to_record()})
        self._listener.set_sockets(self._listening.to_send())

    def bindings(self, site: Site) -> list[str]:
        """Its bindings as people write them, with real ports."""
        return [
            f"{binding.protocol}/{binding_text(binding, self._listening.real_port(key))}"
            for key, binding in bindings_of(site)
        ]

    def urls(self) -> list[str]:
        """Where the started sites answer."""
        found: list[str] = []
        for site in self._server.config.sites:
            if self.is_started(site):
                found += site_urls(site, self._listening.real_port)
        return found

    def close(self) -> None:
        """Close every socket, for good."""
        self._is_closed = True
        self._listening.close()
