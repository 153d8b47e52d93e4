"""Programs that serve URLs of their own through the listener (was.httpapi): the way in.

A program connects at the door, opens a request queue and adds URLs; its queues are brokers like the
pools' (program_queue), its URLs entries of the same routing table (routes). When the last process
of a queue has gone the queue goes too; URLs that nobody took back are then answered 503 until
somebody adds them anew. What a program asks of the machine's ports the manager is asked for: it
owns the sockets, so that no port closes when this listener dies.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import structs

from was.config.urls import Bucket, UrlPrefix, parse_prefix
from was.ipc.descriptors import ControlSocket, listen_control
from was.ipc.listener_control import ListeningSocket, WantSockets
from was.ipc.program_messages import (
    ERROR_ACCESS_DENIED,
    ERROR_ALREADY_EXISTS,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_QUOTA,
    ERROR_NOT_READY,
    ERROR_NOT_SUPPORTED,
    ERROR_SHARING_VIOLATION,
    Moved,
    OpenQueue,
    Replied,
)
from was.listener.program_link import ProgramLink
from was.listener.program_queue import ProgramQueue
from was.listener.reservations import Reservations, Who
from was.listener.routes import Target
from was.listener.url_adders import UrlAdders
from was.log import log

if TYPE_CHECKING:
    from was.ipc.endpoints import SocketFolder
    from was.ipc.listener_control import UrlReservation
    from was.listener.broker import PoolBroker
    from was.listener.service import ListenerService

__all__ = ["Programs"]

MOST_LINKS = 1024
MOST_LINKS_OF_A_USER = 256
MOST_URLS = 1024  # of one queue; of one user, in none
MOST_DEAD_URLS = 1024
MAX_NAME = 260  # MAX_PATH
MAX_URL = 16384  # no request can have a longer one

# So long a new listener adds to the ports that its predecessor's programs had, before it says which
# are wanted in all: they need a moment to come back.
RETURN_S = 5.0

UNBOUND = "(no request queue)"
ABSENT = "(a program that is to come back)"


class Programs:
    """All programs of this listener."""

    def __init__(self, service: ListenerService) -> None:
        self._service = service
        self.loop = service.loop
        self._door: socket.socket | None = None
        self._door_path = ""
        self._next_number = 0
        self._links: dict[int, ProgramLink] = {}
        self._queues: dict[str, ProgramQueue] = {}
        self._urls: dict[UrlPrefix, ProgramQueue] = {}
        self._adders = UrlAdders()
        self._unbound: dict[UrlPrefix, ProgramLink] = {}
        self._dead: OrderedDict[UrlPrefix, None] = OrderedDict()
        self._connection_timeout_s = 120.0
        self._nobody = ProgramQueue(service, UNBOUND, 0)
        self._nobody.broker.close()
        # Requests for URLs whose programs have yet to come back from the last listener wait here.
        self._absent = ProgramQueue(service, ABSENT, 0)
        self._absent.broker.configure(
            structs.replace(self._absent.broker.settings, queue_time_limit_s=RETURN_S)
        )
        self._expected: set[UrlPrefix] = set()
        self._reservations = Reservations((), _uid_of, _gid_of)
        self._known: list[UrlReservation] = []
        # Added URLs whose port is asked for: (link, call, prefix, context).
        self._waiting: list[tuple[ProgramLink, int, UrlPrefix, int]] = []
        self._wanted: set[tuple[str, int]] = set()
        self._is_whole = False

    @property
    def epoch(self) -> int:
        """The listener's."""
        return self._service.epoch

    @property
    def queues(self) -> list[ProgramQueue]:
        """Those that are open."""
        return list(self._queues.values())

    @property
    def brokers(self) -> list[PoolBroker]:
        """All whose clocks run."""
        return [self._absent.broker, *(queue.broker for queue in self._queues.values())]

    def expire(self, now: float) -> None:
        """Ten times a second: what has passed its limit ends, what nobody reads is taken back."""
        for broker in self.brokers:
            broker.limits.expire(now)
        for queue in self._queues.values():
            queue.take_back_unread(now)

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def open_door(self, folder: SocketFolder) -> None:
        """Let programs in; a door that cannot be made is logged, sites are served all the same."""
        path = str(folder.programs / str(self.epoch))
        new = f"{path}.new"
        try:
            folder.programs.mkdir(mode=0o711, exist_ok=True)
            self._door = listen_control(path)
            self._door.setblocking(False)
            with suppress(FileNotFoundError):
                os.unlink(new)
            os.symlink(str(self.epoch), new)
            os.replace(new, folder.programs_door)
        except OSError as error:
            log("listener_error", detail=f"door for programs: {error}")
            return
        self._door_path = path
        self.loop.add_reader(self._door.fileno(), self._come_in)
        self.loop.call_later(RETURN_S, self._have_returned)

    def close_door(self) -> None:
        """Another listener takes over, or the server stops: no more programs."""
        if self._door is not None:
            self.loop.remove_reader(self._door.fileno())
            self._door.close()
            self._door = None
            with suppress(OSError):
                os.unlink(self._door_path)
            for link in self._links.values():
                link.tell(Moved())

    def close(self) -> None:
        """The listener leaves."""
        self.close_door()
        for broker in self.brokers:
            broker.close()
        for link in list(self._links.values()):
            link.close()

    def configure(self, reservations: list[UrlReservation], connection_timeout_s: float) -> None:
        """What the configuration says of programs."""
        self._connection_timeout_s = connection_timeout_s
        if reservations != self._known:
            self._known = reservations
            self._reservations = Reservations(reservations, _uid_of, _gid_of)

    # ── programs come and go ────────────────────────────────────────────────────────────────────

    def _come_in(self) -> None:
        assert self._door is not None
        try:
            sock, _ = self._door.accept()
        except (BlockingIOError, OSError):
            return
        end = ControlSocket(sock)
        try:
            uid = end.peer()[1]
            same = sum(link.uid == uid for link in self._links.values())
            if len(self._links) >= MOST_LINKS or same >= MOST_LINKS_OF_A_USER:
                log("program_refused", uid=uid, error="too many connections")
                end.close()
                return
            self._next_number += 1
            link = ProgramLink(self, end, self._next_number)
        except OSError:
            end.close()  # it has gone already
            return
        self._links[link.number] = link

    def link_ended(self, link: ProgramLink) -> None:
        """A connection is no more; one without a queue leaves nothing to settle."""
        self._links.pop(link.number, None)
        has_waited = any(entry[0] is link for entry in self._waiting)
        self._waiting = [entry for entry in self._waiting if entry[0] is not link]
        for prefix in [p for p, owner in self._unbound.items() if owner is link]:
            del self._unbound[prefix]
            self._bury(prefix)
        if has_waited:
            self._forget_ports()  # nobody wants the port any more that is being opened

    def settled(self, worker_id: int) -> None:
        """What a process had has been settled; the last one's queue goes."""
        link = self._links.get(-worker_id)
        for queue in self.queues:
            known = queue.ends.links.pop((-worker_id).to_bytes(16, "big"), None)
            if known is not None and queue.is_dead:
                self._dissolve(queue)
        if link is not None:
            link.close()

    def faulty(self, worker_id: int, detail: str) -> None:
        """A program sent what none may: its connection ends."""
        link = self._links.get(-worker_id)
        if link is not None:
            log("program_refused", pid=link.pid, uid=link.uid, error=detail)
            link.close()

    def _dissolve(self, queue: ProgramQueue) -> None:
        if self._queues.get(queue.name) is queue:
            del self._queues[queue.name]
        queue.broker.close()
        for prefix in [p for p, owner in self._urls.items() if owner is queue]:
            del self._urls[prefix]
            self._adders.forget(prefix)
            self._bury(prefix)

    def _bury(self, prefix: UrlPrefix) -> None:
        """Nobody serves this URL any more: 503, until somebody adds it, or too many are dead."""
        self._dead[prefix] = None
        if len(self._dead) > MOST_DEAD_URLS:
            oldest, _ = self._dead.popitem(last=False)
            self._service.routes.unregister(oldest)

    # ── calls ───────────────────────────────────────────────────────────────────────────────────

    def open_queue(
        self, link: ProgramLink, call: OpenQueue
    ) -> tuple[ProgramQueue | None, int, str]:
        """A new queue, or one there is; else None with error and words."""
        name = call.name or f"(queue {link.number} of pid {link.pid})"
        if len(name) > MAX_NAME or not name.isprintable():
            return None, ERROR_INVALID_PARAMETER, "a queue's name has up to 260 printable letters"
        known = self._queues.get(name)
        if known is None:
            if call.must_exist:
                return None, ERROR_FILE_NOT_FOUND, f"there is no request queue '{name}'"
            known = self._queues[name] = ProgramQueue(self._service, name, link.uid)
            known.site.connection_timeout_s = self._connection_timeout_s
            return known, 0, ""
        if link.uid not in self._administrators | {known.owner_uid}:
            return None, ERROR_ACCESS_DENIED, f"request queue '{name}' is another user's"
        if not call.must_exist:
            return None, ERROR_ALREADY_EXISTS, f"there is a request queue '{name}' already"
        return known, 0, ""

    def add_url(self, link: ProgramLink, call: int, url: str, context: int) -> None:
        """Add a URL to a queue, or to none; the Replied follows, when its port is open."""
        error, detail, prefix = self._check_url(link, url)
        if prefix is None:
            link.tell(Replied(call, error, detail))
            return
        if not self._service.listening.is_on(prefix.port):
            if not self._service.manager.is_there:
                detail = f"nobody can open port {prefix.port} while the manager is away"
                link.tell(Replied(call, ERROR_NOT_READY, detail))
                return
            self._waiting.append((link, call, prefix, context))
            self._wanted.add(_place_of(prefix))
            self._tell_urls()
            return
        self._take_url(link, call, prefix, context)

    def _check_url(self, link: ProgramLink, url: str) -> tuple[int, str, UrlPrefix | None]:
        if len(url) > MAX_URL:
            return ERROR_INVALID_PARAMETER, f"a URL of more than {MAX_URL} characters", None
        try:
            prefix = parse_prefix(url)
        except ValueError as error:
            return ERROR_INVALID_PARAMETER, str(error), None
        if prefix.scheme != "http":
            return ERROR_NOT_SUPPORTED, "https is not served", None
        who = Who(link.uid, link.groups)
        if not self._reservations.may_listen(who, prefix, self._administrators):
            return ERROR_ACCESS_DENIED, f"{prefix} is not reserved for this user", None
        owned = sum(owner is link.queue for owner in self._urls.values())
        owned += sum(owner.uid == link.uid for owner in self._unbound.values())
        owned += sum(asking is link for asking, *_ in self._waiting)
        if owned >= MOST_URLS:
            return ERROR_NOT_ENOUGH_QUOTA, f"more than {MOST_URLS} URLs", None
        return 0, "", prefix

    def _take_url(self, link: ProgramLink, call: int, prefix: UrlPrefix, context: int) -> None:
        queue = link.queue or self._nobody
        # What the program knows its URL by travels where a site's application has its path.
        target = Target(queue.site, f"{context:x} {prefix}", queue.broker)
        if prefix in self._expected:
            self._expected.discard(prefix)
            self._service.routes.unregister(prefix)
        known = self._urls.get(prefix)
        is_taken = known is not None and known is not queue
        if is_taken or prefix in self._unbound or not self._service.routes.register(prefix, target):
            link.tell(Replied(call, ERROR_ALREADY_EXISTS, f"{prefix} is somebody else's"))
            return
        self._dead.pop(prefix, None)
        if link.queue is None:
            self._unbound[prefix] = link
        else:
            self._urls[prefix] = link.queue
            self._adders.add(prefix, link.number)
        self._wanted.add(_place_of(prefix))
        link.tell(Replied(call))
        self._bring_back(prefix, target)
        self._tell_urls()

    def expect(self, urls: list[str]) -> None:
        """What programs had at the last listener: requests for it wait until they are back."""
        for url in urls:
            prefix = parse_prefix(url)
            target = Target(self._absent.site, str(prefix), self._absent.broker)
            if prefix not in self._urls and self._service.routes.register(prefix, target):
                self._expected.add(prefix)

    def _bring_back(self, prefix: UrlPrefix, target: Target) -> None:
        """The program has come back: it gets what has waited for it."""
        if not self._absent.broker.queue.has_waiting():
            return
        for request in self._absent.broker.queue.drain():
            if request.application == str(prefix):
                request.application, request.pool = target.application, target.pool
            request.pool.submit(request)

    def remove_url(self, link: ProgramLink, url: str) -> tuple[int, str]:
        """Take URLs back; error and words."""
        if len(url) > MAX_URL:
            return ERROR_FILE_NOT_FOUND, "so long a URL was not added"
        if url:
            try:
                wanted = {parse_prefix(url)}
            except ValueError as error:
                return ERROR_INVALID_PARAMETER, str(error)
        else:
            wanted = set(self._urls) | set(self._unbound)
        own = {p for p in wanted if self._unbound.get(p) is link}
        if link.queue is not None:
            may = self._adders.may_give_back
            added = {p for p in wanted if self._urls.get(p) is link.queue}
            own |= {p for p in added if may(p, link.number, self._links)}
        if url and not own:
            return ERROR_FILE_NOT_FOUND, f"{url} was not added"
        for prefix in own:
            if self._adders.give_back(prefix, link.number, self._links):
                self._urls.pop(prefix, None)
                self._unbound.pop(prefix, None)
                self._service.routes.unregister(prefix)
        self._forget_ports()
        return 0, ""

    # ── ports ───────────────────────────────────────────────────────────────────────────────────

    def sockets_changed(self, refused: list[tuple[str, int, str]]) -> None:
        """Ports were opened, or cannot be: those who waited are told."""
        reasons = {port: reason for _, port, reason in refused}
        waiting, self._waiting = self._waiting, []
        for link, call, prefix, context in waiting:
            if self._service.listening.is_on(prefix.port):
                self._take_url(link, call, prefix, context)
            elif prefix.port in reasons:
                self._wanted = {place for place in self._wanted if place[1] != prefix.port}
                link.tell(Replied(call, ERROR_SHARING_VIOLATION, reasons[prefix.port]))
            else:
                self._waiting.append((link, call, prefix, context))

    def _tell_urls(self) -> None:
        urls = [str(prefix) for prefix in (*self._urls, *self._unbound)]
        places = [ListeningSocket(ip, port, "http") for ip, port in sorted(self._wanted)]
        self._service.manager.tell(WantSockets(places, self._is_whole, urls))

    def tell_wanted(self) -> None:
        """A manager that took over must know which URLs and ports are the programs'."""
        if self._wanted or self._urls or self._unbound:
            self._tell_urls()

    def _have_returned(self) -> None:
        """Programs of the last listener have had their time: who is not back is gone."""
        for prefix in self._expected:
            self._service.routes.unregister(prefix)
            target = Target(self._nobody.site, str(prefix), self._nobody.broker)
            if self._service.routes.register(prefix, target):
                self._bury(prefix)
        self._expected.clear()
        self._is_whole = True
        self._forget_ports()

    def _forget_ports(self) -> None:
        """Which ports are wanted in all; others may be closed."""
        alive = {prefix.port for prefix in (*self._urls, *self._unbound, *self._dead)}
        alive |= {prefix.port for _, _, prefix, _ in self._waiting}
        self._wanted = {place for place in self._wanted if place[1] in alive}
        self._tell_urls()

    @property
    def _administrators(self) -> frozenset[int]:
        return frozenset([0, self._service.server_uid])


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
