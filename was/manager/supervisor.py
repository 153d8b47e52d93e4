"""The manager: one loop that takes signals, messages, ends of processes and times from one queue.

Policy lives in the pools, which return actions; `perform` carries them out. Processes are held by
three sides: listener, template, workers. Stopping is a sequence of its own (shutdown.py), answers
to the command line are in commands.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import assert_never

from was.config.model import RecycleReason, StartMode
from was.errors import ConfigErrors
from was.ipc import messages as m
from was.log import log, log_exception
from was.manager import process
from was.manager.control import Peer
from was.manager.inbox import (
    AdminAsked,
    ChildEnded,
    HelloLost,
    Item,
    MessageArrived,
    PeerFaulty,
    PeerGone,
    SignalArrived,
    TimeCame,
)
from was.manager.listener_side import ListenerSide
from was.manager.performer import Performer
from was.manager.pool import ApplicationPool
from was.manager.queries import Queries
from was.manager.recycle import WorkerSample
from was.manager.reload import compare_pools
from was.manager.server import Configuration, Server
from was.manager.shutdown import Shutdown
from was.manager.sites import SiteSet
from was.manager.states import DISPATCHING, PoolState, WorkerState
from was.manager.template_side import TemplateSide
from was.manager.workers import WorkerSet

__all__ = ["Manager"]

SAMPLE_EVERY_S = 10.0
LINK_LOST_LIMIT_S = 1.0
MOST_FAILED_STARTS = 5
MOST_UNCLAIMED_EXITS = 1000


class Manager:
    """Everything of one running server, and what happens to it."""

    def __init__(
        self,
        server: Server,
        load: Callable[[], Configuration],
        on_ready: Callable[[Manager], None],
    ) -> None:
        self.server = server
        self.load = load
        self.listener = ListenerSide(server)
        self.template = TemplateSide(server)
        self.workers = WorkerSet(server, self.template)
        self.pools: dict[str, ApplicationPool] = {}
        self.sites = SiteSet(server, self.listener, self.pools)
        self.performer = Performer(server, self.listener, self.workers, self.pools)
        self.queries = Queries(server, self.listener)
        self.shutdown = Shutdown(self)
        self.config_errors: list[str] = []
        self.config_since = server.clock.wall()
        self.started_wall = server.clock.wall()
        self.is_ready = False
        self.failed_start = ""
        self.answer_admin: Callable[[Manager, AdminAsked], None] = lambda _m, _a: None
        self.reopen_log: Callable[[], None] = lambda: None
        self._on_ready = on_ready
        self._awaited: set[str] = set()
        self._exits: dict[int, int] = {}
        self._sample_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Start template and listener, then the pools."""
        now = self._now()
        self._sample_at = now + self.server.clock.scaled(SAMPLE_EVERY_S)
        self.template.spawn()
        self.listener.spawn()
        for settings in self.server.config.app_pools.values():
            self._add_pool(settings.name, now)

    def _add_pool(self, name: str, now: float) -> None:
        settings = self.server.config.app_pools[name]
        pool = ApplicationPool(settings, self.server.counters, self.server.clock.scaled)
        self.pools[name] = pool
        folder = self.server.folder.queue_folder(name)
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        if settings.auto_start:
            if settings.start_mode is StartMode.ALWAYS_RUNNING and not self.is_ready:
                self._awaited.add(name)
            self.performer.perform(pool, pool.start(now))

    async def run(self) -> int:
        """Handle what happens until all is over; the exit status."""
        while not self.shutdown.is_over:
            self._arm()
            item = await self.server.inbox.get()
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 one bad item must not end the server
                log_exception("unexpected_error", error, item=type(item).__name__)
        if self._timer is not None:
            self._timer.cancel()
        return 1 if self.failed_start else 0

    # ── one thing at a time ─────────────────────────────────────────────────────────────────────

    def _handle(self, item: Item) -> None:
        match item:
            case MessageArrived(peer, message, descriptors):
                self._hear(peer, message, descriptors)
            case ChildEnded(who, pidfd, worker_id):
                self._child_ended(who, pidfd, worker_id)
            case HelloLost(worker_id):
                self._hello_lost(worker_id)
            case TimeCame():
                self._timer = None
                self._tick()
            case SignalArrived(number):
                self._signalled(number)
            case AdminAsked():
                self.answer_admin(self, item)
            case PeerFaulty(peer, detail):
                self._peer_faulty(peer, detail)
            case PeerGone(peer):
                self._peer_gone(peer)
            case _:
                assert_never(item)
        self.shutdown.advance(self._now())

    def _hear(self, peer: Peer, message: m.ToManager, descriptors: list[int]) -> None:
        if isinstance(message, m.WorkerHello):
            self._worker_hello(peer, message, descriptors)
            return
        for fd in descriptors:
            os.close(fd)
        if isinstance(message, m.TemplateHello):
            self._greet(peer, "template", self.template.welcome(peer))
            self._check_ready()
        elif isinstance(message, m.ListenerHello):
            self._greet(peer, "listener", self.listener.welcome(peer))
            if peer.kind == "listener":
                self._tell_listener_all()
        elif peer.kind == "listener":
            self._hear_listener(message)
        elif peer.kind == "worker":
            self._hear_worker(peer, message)
        elif isinstance(message, m.ForkFailed) and peer.kind == "template":
            self._fork_failed(message.worker_id, message.error)
        else:
            self._peer_faulty(peer, f"{type(message).__name__} from nobody we know")

    def _greet(self, peer: Peer, kind: str, is_ours: bool) -> None:
        if is_ours:
            peer.kind = kind
        else:
            log("admin_error", error=f"pid {peer.pid} says that it is our {kind}, and is not")
            peer.close()

    def _hear_listener(self, message: m.ToManager) -> None:
        now = self._now()
        match message:
            case m.ListenerReady(epoch, listening):
                self.listener.ready(epoch, listening)
                self._endpoints_changed()
                self._check_ready()
            case m.DemandStart(name, further):
                pool = self.pools.get(name)
                if pool is not None:
                    self.performer.perform(pool, pool.demand(now, further=further))
            case m.WorkerAttached(worker_id):
                self._attached(worker_id, now)
            case m.WorkerDrained(worker_id):
                log("worker_drained", worker=worker_id)
            case m.WorkerFaulty(worker_id, detail):
                self._fail_worker(worker_id, 5127, detail=detail)
            case m.WorkerDeathSettled(worker_id, requests, _):
                self._settled(worker_id, requests, now)
            case m.ListenerReport():
                self.queries.answered(message)
            case m.ListenerDrained():
                self.shutdown.listener_drained(now)
            case _:
                self.listener.kill()

    def _hear_worker(self, peer: Peer, message: m.ToManager) -> None:
        now = self._now()
        worker_id = peer.worker_id
        pool = self._pool_of(worker_id)
        if pool is None:
            return
        match message:
            case m.WorkerReady():
                self.performer.perform(pool, pool.worker_loaded(worker_id, now))
                self._check_ready()
            case m.WorkerStartFailed(_, detail):
                self._fail_worker(worker_id, 5059, detail=detail)
            case m.RecycleRequested(_, reason):
                known = {r.value: r for r in RecycleReason}
                why = known.get(reason, RecycleReason.ON_DEMAND)
                self.performer.perform(pool, pool.recycle(why, now, only=worker_id))
            case m.Pong(nonce):
                pool.pong(worker_id, nonce, now)
            case _:
                self._peer_faulty(peer, f"{type(message).__name__} from a worker")

    def _worker_hello(self, peer: Peer, hello: m.WorkerHello, descriptors: list[int]) -> None:
        handle = self.workers.welcome(peer, hello, descriptors, self.listener.epoch)
        self._greet(peer, "worker", handle is not None)
        if handle is None:
            return
        log("worker_spawned", worker=handle.id, pid=handle.pid, app_pool=handle.pool)
        if handle.is_condemned:
            self.workers.kill(handle.id)
        else:
            self.listener.announce(handle)

    # ── the listener ────────────────────────────────────────────────────────────────────────────

    def _tell_listener_all(self) -> None:
        self.performer.publish_pools()
        self.sites.publish_routes()
        for handle in self.workers.handles.values():
            handle.is_announced = False
            if not handle.is_draining and not handle.is_condemned:
                self.listener.announce(handle)
        self.sites.publish_sockets()

    def _endpoints_changed(self) -> None:
        epoch = self.listener.epoch
        for handle in self.workers.handles.values():
            if handle.peer is not None and handle.epoch != epoch:
                handle.epoch = epoch
                endpoint = self.server.folder.queue_endpoint(handle.pool, epoch)
                handle.peer.send(m.SetEndpoints([endpoint]))

    def _attached(self, worker_id: int, now: float) -> None:
        handle = self.workers.handles.get(worker_id)
        pool = self._pool_of(worker_id)
        if handle is None or pool is None:
            return
        if handle.is_active:  # it ran under an earlier listener
            self.listener.send(m.ActivateWorker(worker_id, []))
        self.performer.perform(pool, pool.worker_attached(worker_id, now))
        self._check_ready()

    def _settled(self, worker_id: int, requests: Sequence[m.InFlight], now: float) -> None:
        pool = self.pools.get(self.workers.pool_of(worker_id))
        if pool is None:
            return
        clients = frozenset(r.client for r in requests if r.state in ("started", "responding"))
        waiting = any(r.fate == "dispatched again" for r in requests)
        self.performer.perform(
            pool, pool.death_settled(worker_id, now, clients, has_waiting=waiting)
        )

    # ── workers that end or fail ────────────────────────────────────────────────────────────────

    def _pool_of(self, worker_id: int) -> ApplicationPool | None:
        handle = self.workers.handles.get(worker_id)
        return None if handle is None else self.pools.get(handle.pool)

    def _child_ended(self, who: str, pidfd: int, worker_id: int) -> None:
        now = self._now()
        self._exits.update(process.reap())
        if who == "listener":
            self._listener_ended(pidfd, now)
        elif who == "template":
            if pidfd == self.template.pidfd:
                log("template_died", pid=self.template.pid)
                self.template.ended(now)
        else:
            handle = self.workers.handles.get(worker_id)
            if handle is not None and handle.pidfd == pidfd:
                how = process.describe_status(self._exits.pop(handle.pid, None))
                self._worker_ended(worker_id, how, now)
        if len(self._exits) > MOST_UNCLAIMED_EXITS:
            self._exits.clear()
        self._tick()

    def _worker_ended(self, worker_id: int, how: str, now: float) -> None:
        handle = self.workers.handles.get(worker_id)
        pool = self._pool_of(worker_id)
        if handle is None:
            return
        served = handle.finished() > 0
        event = "worker_exited" if handle.is_draining and how == "exit 0" else "worker_died"
        log(event, worker=worker_id, pid=handle.pid, app_pool=handle.pool, how=how)
        if pool is not None:
            if pool.workers[worker_id].state is WorkerState.STARTING:
                self._awaited.discard(handle.pool)
            self.performer.perform(pool, pool.worker_exited(worker_id, now, served=served, how=how))
        self.workers.remove(handle)
        self._check_ready()

    def _hello_lost(self, worker_id: int) -> None:
        handle = self.workers.handles.get(worker_id)
        pool = self._pool_of(worker_id)
        if handle is None or handle.pid or pool is None:
            return
        if self.template.has_ended and not handle.is_condemned and not self.shutdown.has_begun:
            self.workers.fork(handle, pool.settings)  # it died before it forked
            return
        self._worker_ended(worker_id, "ended before its first message", self._now())

    def _fork_failed(self, worker_id: int, error: str) -> None:
        log("worker_spawn_failed", worker=worker_id, error=error)
        self._worker_ended(worker_id, f"could not be forked: {error}", self._now())

    def _fail_worker(self, worker_id: int, event_id: int, **fields: object) -> None:
        pool = self._pool_of(worker_id)
        if pool is None or worker_id not in pool.workers:
            return
        if pool.workers[worker_id].state is WorkerState.STARTING:
            self._awaited.discard(pool.settings.name)
            log("worker_start_failed", worker=worker_id, app_pool=pool.settings.name, **fields)
        else:
            log("worker_faulty", worker=worker_id, app_pool=pool.settings.name, **fields)
        self.performer.perform(pool, pool.worker_failed(worker_id, self._now(), event_id, **fields))
        self._check_ready()

    def _peer_faulty(self, peer: Peer, detail: str) -> None:
        if peer.kind == "worker":
            self._fail_worker(peer.worker_id, 5127, detail=detail)
        elif peer.kind == "listener":
            log("listener_error", error=detail)
            self.listener.kill()
        elif peer.kind == "template":
            self.template.kill()
        else:
            log("admin_error", error=f"pid {peer.pid} on the control socket: {detail}")
            peer.close()

    def _peer_gone(self, peer: Peer) -> None:
        handle = self.workers.handles.get(peer.worker_id) if peer.kind == "worker" else None
        if handle is not None:
            # A death closes the connection a moment before the pidfd fires; give it that moment.
            handle.link_lost_at = self._now()
        elif peer.kind == "listener" and peer.pid == self.listener.pid:
            self.listener.kill()
        elif peer.kind == "template" and peer.pid == self.template.pid:
            self.template.kill()

    def _listener_ended(self, pidfd: int, now: float) -> None:
        if pidfd != self.listener.pidfd:
            return
        status = self._exits.pop(self.listener.pid, None)
        expected = self.shutdown.has_begun
        log(
            "listener_stopped" if expected else "listener_died",
            pid=self.listener.pid,
            how=process.describe_status(status),
        )
        self.listener.ended(now)
        self.queries.listener_gone()
        for handle in self.workers.handles.values():
            if handle.is_draining and handle.peer is not None:
                handle.peer.send(m.StopWorker(drain=True))
        self.shutdown.listener_drained(now)

    # ── time ────────────────────────────────────────────────────────────────────────────────────

    def _now(self) -> float:
        return self.server.clock.monotonic()

    def _arm(self) -> None:
        """One timer, for the earliest of all deadlines."""
        times = [self._sample_at, self.shutdown.deadline, self.queries.next_deadline()]
        times += [pool.next_deadline() for pool in self.pools.values()]
        if not self.shutdown.has_begun:
            times += [self.listener.respawn_at, self.template.respawn_at]
        elif self.template.respawn_at is not None and not self.shutdown.is_stopping_workers:
            times.append(self.template.respawn_at)
        times += [
            handle.link_lost_at + LINK_LOST_LIMIT_S
            for handle in self.workers.handles.values()
            if handle.link_lost_at is not None
        ]
        earliest = min(t for t in times if t is not None)
        if self._timer is not None:
            self._timer.cancel()
        # Never at once: a deadline that could not be met must not keep the loop from its queue.
        delay_s = max(0.001, earliest - self._now())
        self._timer = self.server.loop.call_later(delay_s, self.server.inbox.put_nowait, TimeCame())

    def _tick(self) -> None:
        now = self._now()
        self._respawn(now)
        for pool in self.pools.values():
            self.performer.perform(pool, pool.tick(now))
        for handle in list(self.workers.handles.values()):
            if handle.link_lost_at is not None and now >= handle.link_lost_at + LINK_LOST_LIMIT_S:
                handle.link_lost_at = None
                if not handle.is_draining:
                    self._fail_worker(handle.id, 5011)
        self.queries.tick(now)
        if now >= self._sample_at:
            self._sample_at = now + max(0.1, self.server.clock.scaled(SAMPLE_EVERY_S))
            self.queries.ask(self._sampled)
        for name in [n for n, p in self.pools.items() if self._is_dropped(n, p)]:
            del self.pools[name]
            self.performer.publish_pools()

    def _is_dropped(self, name: str, pool: ApplicationPool) -> bool:
        return name not in self.server.config.app_pools and not pool.workers

    def _respawn(self, now: float) -> None:
        for side in (self.listener, self.template):
            if side.respawn_at is None or now < side.respawn_at:
                continue
            if self.shutdown.has_begun and (
                side is self.listener or self.shutdown.is_stopping_workers
            ):
                continue
            if side.failed_starts >= MOST_FAILED_STARTS and not self.is_ready:
                name = "listener" if side is self.listener else "template"
                self.failed_start = f"the {name} process does not start; see the log"
                self.shutdown.at_once(now)
                return
            side.spawn()

    def _sampled(self, report: m.ListenerReport | None) -> None:
        if report is None or self.shutdown.has_begun:
            return
        now = self._now()
        for counters in report.workers:
            pool = self._pool_of(counters.worker_id)
            handle = self.workers.handles.get(counters.worker_id)
            if pool is not None and handle is not None:
                age_s = now - handle.started_at
                sample = WorkerSample(age_s, counters.finished, counters.active)
                self.performer.perform(pool, pool.sample(handle.id, sample, now))

    # ── orders ──────────────────────────────────────────────────────────────────────────────────

    def _signalled(self, number: int) -> None:
        now = self._now()
        if number in (signal.SIGTERM, signal.SIGINT):
            if self.shutdown.has_begun:
                self.shutdown.at_once(now)
            else:
                self.shutdown.begin(now)
        elif number == signal.SIGHUP:
            self.reload()
        elif number == signal.SIGUSR1:
            self.reopen_logs()
        elif number == signal.SIGCHLD:
            self._exits.update(process.reap())

    def reopen_logs(self) -> None:
        """Close and open log files, ours and the listener's; pools' at their next worker."""
        self.reopen_log()
        self.listener.send(m.ReopenLogs())
        log("logs_reopened")

    def reload(self) -> list[str]:
        """Take the configuration as it is now; what is wrong with it leaves the last one."""
        log("reload_started")
        try:
            configuration = self.load()
        except ConfigErrors as errors:
            self.config_errors = [str(error) for error in errors.errors]
            for line in self.config_errors:
                log("config_error", error=line)
            log("reload_failed", errors=len(self.config_errors))
            return self.config_errors
        self._apply(configuration)
        log("reload_completed")
        return []

    def _apply(self, configuration: Configuration) -> None:
        now = self._now()
        changes = compare_pools(
            {name: pool.settings for name, pool in self.pools.items()}, configuration.config
        )
        self.server.configuration = configuration
        self.config_errors = []
        self.config_since = self.server.clock.wall()
        for name in changes.added:
            self._add_pool(name, now)
        for name in changes.removed:
            self.performer.perform(self.pools[name], self.pools[name].stop(now))
        for name, settings in configuration.config.app_pools.items():
            pool = self.pools[name]
            self.performer.perform(pool, pool.apply(settings, now))
            if pool.workers:
                self.workers.write_config(name)
            keep = settings.recycling.disallow_rotation_on_config_change
            if name in changes.recycled and not keep:
                self.performer.perform(pool, pool.recycle(RecycleReason.CONFIG_CHANGE, now))
        self.performer.publish_pools()
        self.sites.rebind()
        for handle in self.workers.handles.values():
            if handle.peer is not None and handle.pool not in changes.recycled:
                handle.peer.send(m.ConfigurationChanged())

    def _check_ready(self) -> None:
        if self.is_ready or self.shutdown.has_begun:
            return
        if not (self.listener.is_ready and self.template.is_connected):
            return
        for name in list(self._awaited):
            pool = self.pools[name]
            running = any(w.state in DISPATCHING for w in pool.workers.values())
            if running or pool.state is not PoolState.STARTED:
                self._awaited.discard(name)
        if not self._awaited:
            self.is_ready = True
            log("ready")
            self._on_ready(self)
