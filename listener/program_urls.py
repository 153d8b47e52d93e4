"""The URLs that programs have added, and the ports that they need (was.httpapi).

A URL that nobody took back while its queue was there is answered 503, until somebody adds it anew.
What a program asks of the machine's ports the manager is asked for: it owns the sockets, so that no
port closes when this listener dies. What the programs of the last listener had is theirs for a
moment: requests for it wait until they have come back.
"""

from __future__ import annotations

import grp
import pwd
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import structs

from was.config.urls import Bucket, UrlPrefix, parse_prefix
from was.ipc.listener_control import WantSockets
from was.ipc.program_messages import (
    ERROR_ACCESS_DENIED,
    ERROR_ALREADY_EXISTS,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_QUOTA,
    ERROR_NOT_READY,
    ERROR_NOT_SUPPORTED,
    ERROR_SHARING_VIOLATION,
    Replied,
)
from was.ipc.served import ListeningSocket
from was.listener.program_queue import ProgramQueue, RefusedCallError
from was.listener.reservations import Reservations, Who
from was.listener.routes import Target
from was.listener.url_adders import UrlAdders

if TYPE_CHECKING:
    from was.ipc.served import UrlReservation
    from was.listener.broker import PoolBroker
    from was.listener.program_link import ProgramLink
    from was.listener.service import ListenerService

__all__ = ["RETURN_S", "ProgramUrls"]

MOST_URLS = 1024  # of one queue; of one user, in none
MOST_DEAD_URLS = 1024
MAX_URL = 16384  # no request can have a longer one

# So long a new listener adds to the ports that its predecessor's programs had, before it says which
# are wanted in all: they need a moment to come back.
RETURN_S = 5.0

UNBOUND = "(no request queue)"
ABSENT = "(a program that is to come back)"


class ProgramUrls:
    """All URLs of programs, whose each is, and which have lost theirs."""

    def __init__(self, service: ListenerService, links: Mapping[int, ProgramLink]) -> None:
        """`links` are the connections there are, by number."""
        self._service = service
        self._links = links
        self._of_queues: dict[UrlPrefix, ProgramQueue] = {}
        self._adders = UrlAdders()
        self._unbound: dict[UrlPrefix, ProgramLink] = {}
        self._dead: OrderedDict[UrlPrefix, None] = OrderedDict()
        self._nobody = ProgramQueue(service, UNBOUND, 0)
        self._nobody.broker.close()
        # Requests for URLs whose programs have yet to come back from the last listener wait here.
        self._absent = ProgramQueue(service, ABSENT, 0)
        self._absent.broker.configure(
            structs.replace(self._absent.broker.settings, queue_time_limit_s=RETURN_S)
        )
        self._expected: set[UrlPrefix] = set()
        self._known: list[UrlReservation] = []
        self._reservations = Reservations((), _uid_of, _gid_of)
        # Added URLs whose port is asked for: (link, call, prefix, context).
        self._waiting: list[tuple[ProgramLink, int, UrlPrefix, int]] = []
        self._wanted: set[tuple[str, int]] = set()
        self._is_whole = False

    @property
    def absent(self) -> PoolBroker:
        """Where requests wait for programs that have yet to come back."""
        return self._absent.broker

    def reserve(self, reservations: list[UrlReservation]) -> None:
        """Who may add which URLs, as the configuration says."""
        if reservations != self._known:
            self._known = reservations
            self._reservations = Reservations(reservations, _uid_of, _gid_of)

    # ── calls ───────────────────────────────────────────────────────────────────────────────────

    def add(self, link: ProgramLink, call: int, url: str, context: int) -> None:
        """Add a URL to a queue, or to none; the Replied follows, when its port is open.

        Raises RefusedCallError.
        """
        prefix = self._checked(link, url)
        if self._service.listening.is_on(prefix.port):
            self._take(link, call, prefix, context)
            return
        if not self._service.manager.is_there:
            words = f"nobody can open port {prefix.port} while the manager is away"
            raise RefusedCallError(ERROR_NOT_READY, words)
        self._waiting.append((link, call, prefix, context))
        self._wanted.add(_place_of(prefix))
        self._tell()

    def _checked(self, link: ProgramLink, url: str) -> UrlPrefix:
        if len(url) > MAX_URL:
            words = f"a URL of more than {MAX_URL} characters"
            raise RefusedCallError(ERROR_INVALID_PARAMETER, words)
        prefix = _parsed(url)
        if prefix.scheme != "http":
            raise RefusedCallError(ERROR_NOT_SUPPORTED, "https is not served")
        who = Who(link.uid, link.groups)
        if not self._reservations.may_listen(who, prefix, self._service.administrators):
            raise RefusedCallError(ERROR_ACCESS_DENIED, f"{prefix} is not reserved for this user")
        owned = sum(owner is link.queue for owner in self._of_queues.values())
        owned += sum(owner.uid == link.uid for owner in self._unbound.values())
        owned += sum(asking is link for asking, *_ in self._waiting)
        if owned >= MOST_URLS:
            raise RefusedCallError(ERROR_NOT_ENOUGH_QUOTA, f"more than {MOST_URLS} URLs")
        return prefix

    def _take(self, link: ProgramLink, call: int, prefix: UrlPrefix, context: int) -> None:
        queue = link.queue or self._nobody
        # What the program knows its URL by travels where a site's application has its path.
        target = Target(queue.site, f"{context:x} {prefix}", queue.broker)
        if prefix in self._expected:
            self._expected.discard(prefix)
            self._service.routes.unregister(prefix)
        known = self._of_queues.get(prefix)
        is_taken = known is not None and known is not queue
        if is_taken or prefix in self._unbound or not self._service.routes.register(prefix, target):
            link.tell(Replied(call, ERROR_ALREADY_EXISTS, f"{prefix} is somebody else's"))
            return
        self._dead.pop(prefix, None)
        if link.queue is None:
            self._unbound[prefix] = link
        else:
            self._of_queues[prefix] = link.queue
            self._adders.add(prefix, link.number)
        self._wanted.add(_place_of(prefix))
        link.tell(Replied(call))
        self._bring_back(prefix, target)
        self._tell()

    def remove(self, link: ProgramLink, url: str) -> None:
        """Take a URL back, or with "" all of this connection's. Raises RefusedCallError."""
        if len(url) > MAX_URL:
            raise RefusedCallError(ERROR_FILE_NOT_FOUND, "so long a URL was not added")
        wanted = {_parsed(url)} if url else self._of_queues.keys() | self._unbound.keys()
        own = {p for p in wanted if self._unbound.get(p) is link}
        if link.queue is not None:
            may = self._adders.may_give_back
            added = {p for p in wanted if self._of_queues.get(p) is link.queue}
            own |= {p for p in added if may(p, link.number, self._links)}
        if url and not own:
            raise RefusedCallError(ERROR_FILE_NOT_FOUND, f"{url} was not added")
        for prefix in own:
            if self._adders.give_back(prefix, link.number, self._links):
                self._of_queues.pop(prefix, None)
                self._unbound.pop(prefix, None)
                self._service.routes.unregister(prefix)
        self._forget_ports()

    # ── queues and connections that end ─────────────────────────────────────────────────────────

    def link_ended(self, link: ProgramLink) -> None:
        """A connection is no more; what it had added to no queue is dead."""
        has_waited = any(entry[0] is link for entry in self._waiting)
        self._waiting = [entry for entry in self._waiting if entry[0] is not link]
        for prefix in [p for p, owner in self._unbound.items() if owner is link]:
            del self._unbound[prefix]
            self._bury(prefix)
        if has_waited:
            self._forget_ports()  # nobody wants the port any more that is being opened

    def queue_ended(self, queue: ProgramQueue) -> None:
        """A queue is no more; what was added to it is dead."""
        for prefix in [p for p, owner in self._of_queues.items() if owner is queue]:
            del self._of_queues[prefix]
            self._adders.forget(prefix)
            self._bury(prefix)

    def _bury(self, prefix: UrlPrefix) -> None:
        """Nobody serves this URL any more: 503, until somebody adds it, or too many are dead."""
        self._dead[prefix] = None
        if len(self._dead) > MOST_DEAD_URLS:
            oldest, _ = self._dead.popitem(last=False)
            self._service.routes.unregister(oldest)

    # ── what the last listener's programs had ───────────────────────────────────────────────────

    def expect(self, urls: list[str]) -> None:
        """What programs had at the last listener: requests for it wait until they are back."""
        for url in urls:
            prefix = parse_prefix(url)
            target = Target(self._absent.site, str(prefix), self._absent.broker)
            if prefix not in self._of_queues and self._service.routes.register(prefix, target):
                self._expected.add(prefix)

    def _bring_back(self, prefix: UrlPrefix, target: Target) -> None:
        """The program has come back: it gets what has waited for it."""
        if not self._absent.broker.queue.has_waiting():
            return
        for request in self._absent.broker.queue.drain():
            if request.application == str(prefix):
                request.application, request.pool = target.application, target.pool
            request.pool.submit(request)

    def have_returned(self) -> None:
        """Programs of the last listener have had their time: who is not back is gone."""
        for prefix in self._expected:
            self._service.routes.unregister(prefix)
            target = Target(self._nobody.site, str(prefix), self._nobody.broker)
            if self._service.routes.register(prefix, target):
                self._bury(prefix)
        self._expected.clear()
        self._is_whole = True
        self._forget_ports()

    # ── ports ───────────────────────────────────────────────────────────────────────────────────

    def sockets_changed(self, refused: list[tuple[str, int, str]]) -> None:
        """Ports were opened, or cannot be: those who waited are told."""
        reasons = {port: reason for _, port, reason in refused}
        waiting, self._waiting = self._waiting, []
        for link, call, prefix, context in waiting:
            if self._service.listening.is_on(prefix.port):
                self._take(link, call, prefix, context)
            elif prefix.port in reasons:
                self._wanted = {place for place in self._wanted if place[1] != prefix.port}
                link.tell(Replied(call, ERROR_SHARING_VIOLATION, reasons[prefix.port]))
            else:
                self._waiting.append((link, call, prefix, context))

    def _tell(self) -> None:
        urls = [str(prefix) for prefix in (*self._of_queues, *self._unbound)]
        places = [ListeningSocket(ip, port, "http") for ip, port in sorted(self._wanted)]
        self._service.manager.tell(WantSockets(places, self._is_whole, urls))

    def tell_wanted(self) -> None:
        """A manager that took over must know which URLs and ports are the programs'."""
        if self._wanted or self._of_queues or self._unbound:
            self._tell()

    def _forget_ports(self) -> None:
        """Which ports are wanted in all; others may be closed."""
        alive = {prefix.port for prefix in (*self._of_queues, *self._unbound, *self._dead)}
        alive |= {prefix.port for _, _, prefix, _ in self._waiting}
        self._wanted = {place for place in self._wanted if place[1] in alive}
        self._tell()


def _parsed(url: str) -> UrlPrefix:
    try:
        return parse_prefix(url)
    except ValueError as error:
        raise RefusedCallError(ERROR_INVALID_PARAMETER, str(error)) from error


def _place_of(prefix: UrlPrefix) -> tuple[str, int]:
    """Address and port that the prefix needs, if no site has that port."""
    return prefix.host if prefix.bucket is Bucket.IP_BOUND else prefix.local_ip, prefix.port


def _uid_of(name: str) -> int | None:
    with suppress(KeyError):
        return pwd.getpwnam(name).pw_uid
    return None


def _gid_of(name: str) -> int | None:
    with suppress(KeyError):
        return grp.getgrnam(name).gr_gid
    return None
