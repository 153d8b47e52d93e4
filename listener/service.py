"""ListenerService: the listener's loop, and what its parts ask of it.

Everything happens on one event loop: clients' bytes, workers' messages, the manager's commands and
one tick. Work is collected during a turn and given out at its end (`mark`, `_turn`): all requests
parsed in one turn leave as one message per worker.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from was import faults
from was.clock import SystemClock
from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.channel import Context, RouterChannel
from was.ipc.descriptors import ControlLink, ControlSocket
from was.ipc.endpoints import SocketFolder
from was.ipc.messages import (
    AbandonWorker,
    ActivateWorker,
    AddWorker,
    ChangeRoutes,
    ChangeSettings,
    DemandStart,
    DrainWorker,
    ExpectUrls,
    HeldEverything,
    HeldSockets,
    HeldWorker,
    InFlight,
    ListenerDrained,
    ListenerHello,
    ListenerReady,
    ListenerSettings,
    ListenerWelcome,
    ListeningSocket,
    ManagerToListener,
    QueryListener,
    QueueEndpoint,
    ReopenLogs,
    SetPools,
    SetRoutes,
    SetSockets,
    SocketsRefused,
    StopListener,
    SuspendWorker,
    WantSockets,
    WorkerAttached,
    WorkerDeathSettled,
    WorkerDrained,
    WorkerFaulty,
    WorkerOverdue,
    WorkerSuspended,
)
from was.isolation.enter import enter
from was.listener.access_log import AccessLog
from was.listener.broker import PoolBroker
from was.listener.connection import ClientConnection
from was.listener.crowd import budget, who_leaves
from was.listener.engines import select
from was.listener.head_scanner import Head, Limits
from was.listener.headers import http_date
from was.listener.health import HEALTH, HealthConnection
from was.listener.incarnation import Incarnation
from was.listener.programs import Programs
from was.listener.report import make_report
from was.listener.routes import Routes, SiteRuntime
from was.listener.spool import SpoolMemory
from was.log import log, set_process

if TYPE_CHECKING:
    from was.ipc.messages import PoolQueue
    from was.listener.engines import Engine
    from was.listener.request import ClientRequest

__all__ = ["ListenerService", "SiteRuntime"]

TICK_S = 0.05
SWEEP_TICKS = 5
EXPIRE_TICKS = 2
RECONNECT_S = 0.2
SOCKETS_A_MESSAGE = 200
# Accepting goes on this long after the order to stop, so that no connection that waits in the
# kernel's queue is reset.
LAST_ACCEPT_S = 0.05
# How long apart are the looks at what a client has taken: minBytesPerSecond is its mean over them.
SEND_GRACE_S = 30.0
BACKLOG = 4096
SERVER = b"was"


class ListenerService:
    """One listener process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control_path: str) -> None:
        self.loop = loop
        self.time = loop.time
        self._control_path = control_path
        self.on_welcome: Callable[[], None] = lambda: None
        self._control: ControlLink | None = None
        self._lost_manager_at = 0.0
        self.epoch = 0
        self.context = Context()
        self.channels: list[RouterChannel] = []
        self.pools: dict[str, PoolBroker] = {}
        self.connections: set[ClientConnection] = set()
        self.health_connections: set[HealthConnection] = set()
        self.counters: Counter[str] = Counter()
        self.spool_memory = SpoolMemory()
        self.is_draining = False
        self._patient_until = 0.0
        # The lines every response brings, by (has a Date of its own, has a Server of its own).
        self.standing: dict[tuple[bool, bool], bytes] = {}
        self.retry_after_s = 5
        self.routes = Routes()
        self._date_second = 0
        self._set_date(int(time.time()))
        self._settings = ListenerSettings("", "", "")
        self._clock = SystemClock()
        self._sockets_folder = SocketFolder(Path("/nonexistent"))
        self.spool_folder = Path("/nonexistent")
        self.programs = Programs(self)
        self._servers: dict[tuple[str, int, str], asyncio.Server] = {}
        self._incoming_sockets: list[tuple[ListeningSocket, int]] = []
        self._setting_sockets = asyncio.Lock()
        self._marked: list[PoolBroker] = []
        self._is_turn_scheduled = False
        self._access: AccessLog | None = None
        # Ids of requests count up within an epoch and never repeat between epochs.
        self.last_request = 0
        self._next_connection = 0
        self._most_connections = budget(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._crowded: Counter[int] = Counter()  # closed since that was last said, by port
        self._ticks = 0
        self._stopped = loop.create_future()
        self._pending: set[asyncio.Task[None]] = set()
        self._is_ready_told = False

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve until told to stop."""
        self._connect_control()
        await self._stopped

    def _connect_control(self) -> None:
        end = ControlSocket.connect(self._control_path, timeout_s=5.0)
        self._control = ControlLink(self.loop, end, self._on_control, self._manager_lost)
        self._tell(ListenerHello(os.getpid(), self.epoch))
        if self.epoch:
            self._tell_what_is_held()

    def _tell_what_is_held(self) -> None:
        """A new manager takes us over: what it must know, and the descriptors it lacks."""
        servers = list(self._servers.items())
        for at in range(0, len(servers), SOCKETS_A_MESSAGE):
            part = servers[at : at + SOCKETS_A_MESSAGE]
            self._tell(
                HeldSockets([ListeningSocket(*key) for key, _ in part]),
                [server.sockets[0].fileno() for _, server in part],
            )
        for pool in self.pools.values():
            for worker in pool.workers.values():
                held = HeldWorker(
                    worker.worker_id,
                    pool.settings.name,
                    worker.is_attached,
                    worker.is_activated,
                    worker.is_draining,
                    worker.is_faulty,
                )
                if not worker.is_dead:
                    self._tell(held, [worker.scoreboard.fd])
        self.programs.tell_wanted()
        self._tell(HeldEverything())

    def _manager_lost(self) -> None:
        self._control = None
        if not self.epoch:
            if not self._stopped.done():
                self._stopped.set_result(None)  # a spare one is its manager's
            return
        self._lost_manager_at = self.time()
        for pool in self.pools.values():
            pool.resume_all()
        self.loop.call_later(RECONNECT_S, self._look_for_manager)

    def _look_for_manager(self) -> None:
        """Serve on without a manager for a while; a new one is greeted as soon as it is there."""
        if self._stopped.done() or self.is_draining:
            return  # nobody takes over a listener that ends
        try:
            self._connect_control()
        except OSError:
            limit = self._settings.managerless_limit_s
            if limit and self.time() - self._lost_manager_at > self.scaled(limit):
                self._stop(drain=True)
            self.loop.call_later(RECONNECT_S, self._look_for_manager)

    def _tell(self, notice: object, descriptors: Sequence[int] = ()) -> None:
        if self._control is not None:
            self._control.send(codec.encode(notice), descriptors)

    def _finish(self) -> None:
        if self._stopped.done():
            return
        for pool in list(self.pools.values()):
            pool.close()
        self.programs.close()
        if self._access is not None:
            self._access.close()
        self._tell(ListenerDrained())
        self._stopped.set_result(None)

    # ── the manager's commands ──────────────────────────────────────────────────────────────────

    def _on_control(self, content: bytes, descriptors: list[int]) -> None:
        try:
            command = codec.decode_manager_to_listener(content)
        except IllFormedMessageError as error:
            for fd in descriptors:
                os.close(fd)
            log("listener_error", detail=f"from the manager: {error}")
            return
        self._obey(command, descriptors)

    def _obey(self, command: ManagerToListener, descriptors: list[int]) -> None:
        match command:
            case ListenerWelcome():
                self._welcome(command)
            case SetPools():
                self._set_pools(command.pools)
            case ChangeSettings():
                self._change_settings(command.settings)
            case SetRoutes():
                self.routes.configure(command.sites, self.pools, self.scaled)
                if self._access is not None:
                    self._access.configure(command.sites)
            case ChangeRoutes():
                self.routes.change(command.sites, command.gone, self.pools, self.scaled)
                if self._access is not None:
                    self._access.change(command.sites, command.gone)
            case SetSockets():
                self._incoming_sockets += zip(command.sockets, descriptors, strict=False)
                if not command.more:
                    incoming, self._incoming_sockets = self._incoming_sockets, []
                    task = self.loop.create_task(self._set_sockets(incoming))
                    self._pending.add(task)
                    task.add_done_callback(self._pending.discard)
            case AddWorker():
                self._add_worker(command, descriptors)
            case ActivateWorker():
                for pool in self._pools_of(command.worker_id):
                    pool.activate(command.worker_id, command.replaces)
            case DrainWorker():
                for pool in self._pools_of(command.worker_id):
                    pool.drain(command.worker_id, graceful=command.drain)
            case SuspendWorker():
                quiet = [p.suspend(command.worker_id) for p in self._pools_of(command.worker_id)]
                self._tell(WorkerSuspended(command.worker_id, is_quiet=any(quiet)))
            case AbandonWorker():
                for pool in self._pools_of(command.worker_id):
                    pool.deaths.on_death(pool.workers[command.worker_id])
            case ExpectUrls():
                self.programs.expect(command.urls)
            case SocketsRefused():
                self.programs.sockets_changed(command.refused)
            case ReopenLogs():
                if self._access is not None:
                    self._access.reopen()
                log("logs_reopened")
            case StopListener():
                self._stop(drain=command.drain, patience_s=self.scaled(command.patience_s))
            case QueryListener():
                self._tell(make_report(self, command.query_id, with_requests=command.with_requests))

    def _welcome(self, command: ListenerWelcome) -> None:
        settings = command.settings
        self._clock = SystemClock(settings.time_scale)
        if self.epoch:
            self._change_settings(settings)
            return  # a new manager greets a listener that it took over: its epoch stays
        self.on_welcome()
        self.loop.call_later(TICK_S, self._tick)
        enter(command.isolation)
        self.epoch = command.epoch
        self.last_request = command.epoch << 33
        self._sockets_folder = SocketFolder(Path(settings.sockets))
        self.spool_folder = Path(settings.home) / "run" / "spool"
        try:
            self.spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            log("listener_error", detail=f"spool folder: {error}")
        self.limits = Limits(
            max_request_bytes=settings.max_request_bytes,
            max_field_length=settings.max_field_length,
        )
        factory, limits = select(settings.engine), self.limits
        self.new_engine: Callable[[], Engine] = lambda: factory(limits)
        self._change_settings(settings)
        self._access = AccessLog(Path(settings.logs), self._clock)
        self._log_line = self._access.request
        set_process("listener")
        self.programs.open_door(self._sockets_folder)

    def _change_settings(self, settings: ListenerSettings) -> None:
        """Times and rates; a limit that runs already ends when it was to."""
        self._settings = settings
        self.connection_timeout_s = self.scaled(settings.connection_timeout_s)
        self.header_wait_s = self.scaled(settings.header_wait_s or settings.connection_timeout_s)
        self.entity_body_s = self.scaled(settings.entity_body_s)
        self.programs.configure(settings.reservations, self.connection_timeout_s)

    @property
    def has_manager(self) -> bool:
        """Whether there is a manager to tell things to."""
        return self._control is not None

    def scaled(self, seconds: float) -> float:
        """A configured duration as it passes here."""
        return self._clock.scaled(seconds)

    def _set_pools(self, pools: list[PoolQueue]) -> None:
        wanted = {settings.name: settings for settings in pools}
        for name in [name for name in self.pools if name not in wanted]:
            self.pools.pop(name).close()
        for name, settings in wanted.items():
            pool = self.pools.get(name)
            if pool is None:
                self.pools[name] = PoolBroker(self, settings)
            else:
                pool.configure(settings)
                pool.renew_demand()

    async def _set_sockets(self, incoming: list[tuple[ListeningSocket, int]]) -> None:
        """Accept on exactly the sockets that came; those already open stay as they are."""
        async with self._setting_sockets:  # one after the other: two may come in one turn
            await self._accept_on(incoming)
        faults.reach("listener.sockets")
        self.programs.sockets_changed([])
        self._tell(ListenerReady(self.epoch, len(self._servers)))
        if not self._is_ready_told:
            self._is_ready_told = True
            log("listener_started", epoch=self.epoch, sockets=len(self._servers))

    async def _accept_on(self, incoming: list[tuple[ListeningSocket, int]]) -> None:
        wanted: set[tuple[str, int, str]] = set()
        for item, fd in incoming:
            key = (item.ip, item.port, item.scheme)
            wanted.add(key)
            if key in self._servers:
                os.close(fd)
                continue
            sock = socket.socket(fileno=fd)
            sock.setblocking(False)
            self._servers[key] = await self.loop.create_server(
                self._client_factory(item.scheme), sock=sock, backlog=BACKLOG
            )
        for key in [key for key in self._servers if key not in wanted]:
            self._servers.pop(key).close()

    def listens_on(self, port: int) -> bool:
        """Whether sites' clients are accepted on a port, at whatever address."""
        return any(at == port and scheme != HEALTH for _, at, scheme in self._servers)

    @property
    def server_uid(self) -> int:
        """Whom this server belongs to."""
        return self._settings.server_uid

    def want_sockets(self, wanted: WantSockets) -> None:
        """Programs have URLs, and need ports."""
        self._tell(wanted)

    def _client_factory(self, scheme: str) -> Callable[[], asyncio.Protocol]:
        """What a client of such a binding becomes."""
        if scheme == HEALTH:
            return lambda: HealthConnection(self)
        return lambda: ClientConnection(self, scheme)

    def _add_worker(self, command: AddWorker, descriptors: list[int]) -> None:
        pool = self.pools.get(command.pool)
        if pool is None or len(descriptors) != 2 or command.worker_id in pool.workers:
            for fd in descriptors:
                os.close(fd)
            return
        pidfd, scoreboard_fd = descriptors
        pool.add_worker(
            Incarnation(
                command.worker_id,
                command.pid,
                command.identity,
                command.slots,
                pidfd,
                scoreboard_fd,
                command.first_row,
                command.reserve,
            )
        )

    def _pools_of(self, worker_id: int) -> list[PoolBroker]:
        return [pool for pool in self.pools.values() if worker_id in pool.workers]

    def _stop(self, *, drain: bool, patience_s: float = 0.0) -> None:
        if not drain:
            self._finish()
            return
        if self.is_draining:
            return
        self.is_draining = True
        self.programs.close_door()
        self._patient_until = self.time() + patience_s
        self.loop.call_later(LAST_ACCEPT_S, self._stop_accepting)

    def _stop_accepting(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._close_idle()

    def _close_idle(self) -> None:
        if self.time() >= self._patient_until:
            for connection in list(self.connections):
                connection.shut_down()

    # ── what the pools tell and ask ─────────────────────────────────────────────────────────────

    def mark(self, pool: PoolBroker) -> None:
        """Have `pool.turn()` called at the end of this turn of the loop."""
        self._marked.append(pool)
        if not self._is_turn_scheduled:
            self._is_turn_scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turn_scheduled = False
        marked, self._marked = self._marked, []
        for pool in marked:
            pool.turn()

    def queue_endpoint(self, pool: str) -> QueueEndpoint:
        """Where this listener takes the pool's messages."""
        endpoint = self._sockets_folder.queue_endpoint(pool, self.epoch)
        Path(endpoint.descriptors).parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        return endpoint

    def demand(self, pool: str, *, further: bool) -> None:
        """A request waits for a worker that is not there."""
        self._tell(DemandStart(pool, further))

    def attached(self, worker_id: int) -> None:
        """The worker's channel works both ways."""
        self._tell(WorkerAttached(worker_id))

    def drained(self, worker_id: int) -> None:
        """The worker said Bye."""
        self._tell(WorkerDrained(worker_id))

    def faulty(self, worker_id: int, detail: str) -> None:
        """The worker sent what no worker may."""
        if worker_id < 0:
            self.programs.faulty(worker_id, detail)
            return
        self.count("faulty_workers")
        self._tell(WorkerFaulty(worker_id, detail))

    def overdue(self, worker_id: int, request: ClientRequest, *, is_responding: bool) -> None:
        """The worker does not come to the end of a request past its limit."""
        if worker_id < 0:
            return  # a program's own affair: its client was answered
        self.count("overdue_workers")
        self._tell(
            WorkerOverdue(
                worker_id,
                request.id,
                request.attempt,
                request.head.method,
                request.head.target[:2048],
                request.client,
                is_responding,
            )
        )

    def settled(self, worker_id: int, requests: list[InFlight], finished: int) -> None:
        """A death is settled."""
        if worker_id < 0:
            self.programs.settled(worker_id)
            return
        self._tell(WorkerDeathSettled(worker_id, requests, finished))

    # ── what the connections ask ────────────────────────────────────────────────────────────────

    def next_connection_id(self) -> int:
        """Ids of connections count up from 1."""
        self._next_connection += 1
        return self._next_connection

    def join(self, connection: ClientConnection) -> None:
        """A client has come; others may have to leave."""
        self.connections.add(connection)
        if len(self.connections) <= self._most_connections:
            return
        leaving = who_leaves(self.connections, self._most_connections)
        self._crowded[leaving[0].peer[3]] += len(leaving)
        for guest in leaving:
            self.connections.discard(guest)
            guest.abort("Connections_Refused")

    def count(self, name: str) -> None:
        """One more of something, for the report."""
        self.counters[name] += 1

    def spool_failed(self, error: OSError) -> None:
        """A body could not be kept: the disk is full, most likely."""
        self.count("spool_failures")
        log("listener_error", detail=f"spool: {error}")

    def send_deadline(self) -> float:
        """When to look (again) whether a client takes its response."""
        return self.time() + self.scaled(SEND_GRACE_S)

    @property
    def least_bytes(self) -> int:
        """What a client must take between two looks, as far as there is so much for it."""
        rate = self._settings.min_bytes_per_second
        return 0 if rate in {0, 0xFFFFFFFF} else int(rate * SEND_GRACE_S)

    # ── logs ────────────────────────────────────────────────────────────────────────────────────

    def log_request(
        self,
        request: ClientRequest,
        line: str,
        status: int,
        substatus: int,
        win32: int,
        sent_bytes: int,
    ) -> None:
        """A request that a worker answered, in its site's log."""
        self._log_line(
            request.site_id,
            line,
            status,
            substatus,
            win32,
            sent_bytes,
            request.received_bytes,
            int((self.time() - request.received_at) * 1000),
        )

    def log_cut(
        self,
        request: ClientRequest,
        line: str,
        status: int,
        sent_bytes: int,
        why: str,
        reason: str,
    ) -> None:
        """A response that was cut: in the site's log if the worker composed its line."""
        log("request_failed", id=f"{request.id:x}", url=request.head.target[:256], why=why)
        if line:
            self.log_request(request, line, status, 0, 64, sent_bytes)
        elif self._access is not None and request.connection is not None:
            self.log_error(
                request.connection.peer,
                request.head,
                0,
                request.site_id,
                reason,
                request,
            )

    def log_error(
        self,
        peer: tuple[str, int, str, int],
        head: Head,
        status: int,
        site_id: int,
        reason: str,
        request: ClientRequest | None,
    ) -> None:
        """A request that the listener ended itself, in HTTPERR."""
        self.count(f"httperr_{reason}")
        if self._access is not None:
            queue = request.pool.settings.name if request is not None else ""
            self._access.error(peer, head, status, site_id, reason, queue)

    def log_refusal(
        self, peer: tuple[str, int, str, int], raw: bytes, status: int, reason: str
    ) -> None:
        """What was no request, in HTTPERR."""
        self.count(f"httperr_{reason}")
        if self._access is not None:
            self._access.refusal(peer, raw, status, reason)

    def _set_date(self, second: int) -> None:
        date = b"Date: %b\r\n" % http_date(second)
        server = b"Server: %b\r\n" % SERVER
        self.standing = {
            (False, False): date + server,
            (False, True): date,
            (True, False): server,
            (True, True): b"",
        }

    # ── the tick ────────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        if self._stopped.done():
            return
        self._ticks += 1
        now = self.time()
        for channel in self.channels:
            if channel.missed_an_edge():
                self.count("pump_tick_hits")
                log("pump_tick_hit")
        second = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self._set_date(second)
        if self._ticks % EXPIRE_TICKS == 0:
            for pool in list(self.pools.values()):
                pool.limits.expire(now)
            for broker in self.programs.brokers:
                broker.limits.expire(now)
        if self._ticks % SWEEP_TICKS == 0:
            for connection in [c for c in self.connections if 0.0 < c.deadline < now]:
                connection.expire()
            for port, closed in self._crowded.items():
                log("connections_crowded", port=port, closed=closed)
            self._crowded.clear()
            if self.is_draining and not self._servers:
                # Some were accepted in the very turn in which accepting ended.
                self._close_idle()
        if self._access is not None:
            self._access.flush()
        if self.is_draining and not self._servers and not self.connections:
            self._finish()
            return
        self.loop.call_later(TICK_S, self._tick)
