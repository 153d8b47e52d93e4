"""The manager: one loop that takes signals, messages, ends of processes and times from one queue.

Policy lives in the pools, which return actions; `perform` carries them out. Processes are held by
three sides: listener, template, workers. Stopping is a sequence of its own (shutdown.py), answers
to the command line are in commands.py.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from was import faults
from was.config.model import AppPool, RecycleReason, StartMode
from was.errors import ConfigErrors
from was.ipc import listener_control as lc
from was.ipc import worker_control as wc
from was.log import log, log_exception
from was.manager import process
from was.manager.adoption import Adoption
from was.manager.deaths import Deaths
from was.manager.endings import Endings
from was.manager.hearing import Hearing
from was.manager.history import HistoryKeeper
from was.manager.inbox import (
    SIGNALS_OF_OTHERS,
    AdminAsked,
    ChildEnded,
    FilesTouched,
    HelloLost,
    Item,
    MessageArrived,
    PeerFaulty,
    PeerGone,
    SignalArrived,
    TimeCame,
)
from was.manager.listener_side import ListenerSide
from was.manager.machine import Machine, count_nodes
from was.manager.memory import measure
from was.manager.overdue import OverdueWorkers
from was.manager.performer import Performer
from was.manager.pool import ApplicationPool
from was.manager.pool_deadlines import PoolDeadlines
from was.manager.pool_record import fingerprint, restore
from was.manager.pressure import MemoryPressure, idle_divisor, used_share
from was.manager.processors import Processors
from was.manager.queries import Queries
from was.manager.recycle import WorkerSample
from was.manager.reload import compare_pools
from was.manager.server import Configuration, Server
from was.manager.shutdown import Shutdown
from was.manager.sites import SiteSet
from was.manager.states import DISPATCHING, PoolState
from was.manager.supervisor_side import SupervisorSide
from was.manager.template_side import TemplateSide
from was.manager.upgrade import Upgrade
from was.manager.watching import ConfigurationWatch, Storm
from was.manager.worker_queries import WorkerQueries
from was.manager.workers import WorkerSet

__all__ = ["Manager"]

SAMPLE_EVERY_S = 10.0
LINK_LOST_LIMIT_S = 1.0
MOST_FAILED_STARTS = 5


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
        self.supervisor = SupervisorSide(server)
        self.workers = WorkerSet(server, self.template)
        self.pools: dict[str, ApplicationPool] = {}
        self.sites = SiteSet(server, self.listener, self.pools)
        self.deaths = Deaths(server)
        self.overdue = OverdueWorkers(self)
        self.performer = Performer(server, self.listener, self.workers, self.pools, self.deaths)
        self._deadlines = PoolDeadlines()
        self.performer.on_performed = self._deadlines.note
        self.processors = Processors(server, self.performer, self.workers, self.pools)
        self.queries = Queries(server, self.listener)
        self.worker_queries = WorkerQueries(server)
        self.shutdown = Shutdown(self)
        self.hearing = Hearing(self)
        self.workers.on_arrival = self.hearing.worker_arrived
        self.endings = Endings(self)
        self.adoption = Adoption(self)
        self.upgrade = Upgrade(self)
        self.history = HistoryKeeper(server)
        self.watch = ConfigurationWatch(
            server.loop.add_reader, lambda: server.inbox.put_nowait(FilesTouched())
        )
        self.watch.look_at(server.configuration.files)
        self._touched = Storm()
        self.config_errors: list[str] = []
        self.config_since = server.clock.wall()
        self.started_wall = server.clock.wall()
        self.is_ready = False
        self.failed_start = ""
        self.answer_admin: Callable[[Manager, AdminAsked], None] = lambda _m, _a: None
        self.reopen_log: Callable[[], None] = lambda: None
        self._on_ready = on_ready
        self.awaited: set[str] = set()
        self.exits: dict[int, process.Exit] = {}
        self._sample_at = 0.0
        self._machine = Machine(count_nodes(), server.config.web_limits.demand_start_threshold)
        self._pressure = MemoryPressure()
        self._timer: asyncio.TimerHandle | None = None

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Start template and listener, then the pools; go on with what was taken over."""
        now = self.now()
        self._sample_at = now + self.server.clock.scaled(SAMPLE_EVERY_S)
        self.template.spawn()
        peer = self.adoption.peer
        if peer is None:
            self.listener.spawn()
        if not self.adoption.has_taken_over:
            for name in self.server.config.app_pools:
                self._add_pool(name, now)
            return
        # The listener is told of pools and workers only when all of them are known again: it
        # gives up what it is not told of.
        files = self.server.files
        config = self.server.config.app_pools
        # The listener knows those, too, that were removed: what waits there is to move, not to end.
        names = dict.fromkeys((*config, *files.pools()))
        records = {name: files.read_pool(name) for name in names}
        restored = {name: record for name, record in records.items() if "settings" in record}
        for name, record in restored.items():
            self._restore_pool(name, record, now)
        for name in self.server.config.app_pools:
            if name not in self.pools:
                self._add_pool(name, now)
        if peer is not None:
            self.hearing.greet_adopted(peer)
        for name, record in restored.items():
            pool = self.pools[name]
            if name not in config:
                self.performer.perform(pool, pool.stop(now))
                continue
            if record.get("is_removed") and pool.settings.auto_start:
                self.performer.perform(pool, pool.start(now))  # it has come back meanwhile
            keeps = pool.settings.recycling.disallow_rotation_on_config_change
            if record["settings"] != fingerprint(pool.settings) and not keeps:
                self.performer.perform(pool, pool.recycle(RecycleReason.CONFIG_CHANGE, now))
            self.performer.perform(pool, pool.tick(now))

    def _restore_pool(self, name: str, record: Mapping[str, Any], now: float) -> None:
        """Go on with a pool where the last manager was.

        One that the configuration has no more keeps the workers that finish, with usual limits.
        """
        is_wanted = name in self.server.config.app_pools
        settings = self.server.config.app_pools[name] if is_wanted else AppPool(name=name)
        pool = self._make_pool(settings)
        self.pools[name] = pool
        workers = self.adoption.workers.get(name, [])
        restore(pool, record, workers, now)
        if is_wanted:
            self.workers.write_config(name)
        for owner, worker_id in self.adoption.dead:
            if owner == name and pool.is_accepting:
                about = {"app_pool": name, "worker_id": worker_id}
                self.server.events.report(5009, **about, how="died while there was no manager")
                pool.availability.failures.record(now, worker_id, is_settled=True)
        if pool.is_always_running and pool.is_accepting:
            pool.places.want_all()
            self.awaited.add(name)

    def _make_pool(self, settings: AppPool) -> ApplicationPool:
        server = self.server
        return ApplicationPool(settings, server.counters, server.clock.scaled, self._machine)

    def _add_pool(self, name: str, now: float) -> None:
        settings = self.server.config.app_pools[name]
        pool = self._make_pool(settings)
        self.pools[name] = pool
        self._prepare_queue(settings)
        if settings.auto_start:
            if settings.start_mode is StartMode.ALWAYS_RUNNING and not self.is_ready:
                self.awaited.add(name)
            self.performer.perform(pool, pool.start(now))

    def _prepare_queue(self, settings: AppPool) -> None:
        try:
            self.server.isolation.queue_folder(settings, self.server.config)
        except OSError as error:  # it is tried again with each worker, which reports it
            log_exception("worker_spawn_failed", error, app_pool=settings.name)

    async def run(self) -> int:
        """Handle what happens until all is over; the exit status."""
        while not self.shutdown.is_over:
            self._arm()
            item = await self.server.inbox.get()
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 one bad item must not end the server
                log_exception("unexpected_error", error, item=type(item).__name__)
        self.overdue.finish()
        self.deaths.finish()
        if self._timer is not None:
            self._timer.cancel()
        return 1 if self.failed_start else 0

    # ── one thing at a time ─────────────────────────────────────────────────────────────────────

    def _handle(self, item: Item) -> None:
        match item:
            case MessageArrived(peer, message, descriptors):
                self.hearing.hear(peer, message, descriptors)
            case ChildEnded(who, pidfd, worker_id):
                self.endings.child_ended(who, pidfd, worker_id)
            case HelloLost(worker_id):
                self.endings.hello_lost(worker_id)
            case TimeCame():
                self._timer = None
                self.tick()
            case SignalArrived(number):
                self._signalled(number)
            case FilesTouched():
                self._touched.touched(self.now())
            case AdminAsked():
                self.answer_admin(self, item)
            case PeerFaulty(peer, detail):
                self.hearing.peer_faulty(peer, detail)
            case PeerGone(peer):
                self.hearing.peer_gone(peer)
            case _:
                assert_never(item)
        self.shutdown.advance(self.now())

    def pool_of(self, worker_id: int) -> ApplicationPool | None:
        """The pool of a worker that lives."""
        handle = self.workers.handles.get(worker_id)
        return None if handle is None else self.pools.get(handle.pool)

    # ── time ────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> float:
        """Monotonic seconds."""
        return self.server.clock.monotonic()

    def _arm(self) -> None:
        """One timer, for the earliest of all deadlines."""
        times = [self._sample_at, self.shutdown.deadline, self.queries.next_deadline()]
        times += [
            self.worker_queries.next_deadline(),
            self.deaths.next_deadline(),
            self.processors.next_deadline(),
        ]
        if self.is_ready:
            times.append(self.history.next_deadline())
        times.append(self._deadlines.earliest())
        times += [self.upgrade.next_deadline(), self._touched.next_deadline()]
        times += [self.server.notifier.next_deadline(), self.supervisor.respawn_at]
        if not self.shutdown.has_begun:
            times += [self.listener.respawn_at, self.template.respawn_at]
            times.append(self.listener.spare.make_at)
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
        delay_s = max(0.001, earliest - self.now())
        self._timer = self.server.loop.call_later(delay_s, self.server.inbox.put_nowait, TimeCame())

    def tick(self) -> None:
        """Whatever is due."""
        now = self.now()
        self._respawn(now)
        if not self.shutdown.has_begun and self.is_ready and self.listener.pid:
            self.listener.spare.plan(now)
            self.listener.spare.tick(now)
        for pool in self.pools.values():
            if self._deadlines.note(pool) <= now or now >= self._sample_at:
                self.performer.perform(pool, pool.tick(now))
        # A pool may just have been given up, of which no process tells.
        self.check_ready()
        for handle in list(self.workers.handles.values()):
            if handle.link_lost_at is not None and now >= handle.link_lost_at + LINK_LOST_LIMIT_S:
                handle.link_lost_at = None
                if not handle.is_draining:
                    self.endings.fail_worker(handle.id, 5011)
        self.processors.tick(now, is_ending=self.shutdown.has_begun)
        self.queries.tick(now)
        self.worker_queries.tick(now)
        self.deaths.tick(now)
        self.upgrade.tick(now)
        if self.is_ready:
            self.history.tick(now)
        if self._touched.is_over(now):
            self._look_at_files()
        self.server.notifier.tick(now)
        self.supervisor.tick(now)
        if now >= self._sample_at:
            # Nobody may have told of it. Whoever writes the file at this moment has time to finish.
            if self._touched.next_deadline() is None and self.watch.differs():
                self._touched.touched(now)
            self._sample_at = now + max(0.1, self.server.clock.scaled(SAMPLE_EVERY_S))
            for pool in self.pools.values():
                pool.look_at_clock(self.server.clock.wall())
            self._look_at_memory()
            self.server.files.write_again()
            self.queries.ask(self._sampled)
        for name in [n for n, p in self.pools.items() if self._is_dropped(n, p)]:
            del self.pools[name]
            self._deadlines.drop(name)
            self.server.files.remove_pool(name)
            self.performer.publish_pools()

    def _look_at_memory(self) -> None:
        threshold = self.server.config.web_limits.dynamic_idle_threshold
        used = used_share() if threshold else 0.0
        for event_id in self._pressure.update(idle_divisor(used, threshold)):
            self.server.events.report(event_id, used_percent=round(used * 100), limit=threshold)
        self._machine.idle_divisor = self._pressure.divisor

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

    def _sampled(self, report: lc.ListenerReport | None) -> None:
        if report is None or self.shutdown.has_begun:
            return
        now = self.now()
        for counters in report.workers:
            pool = self.pool_of(counters.worker_id)
            handle = self.workers.handles.get(counters.worker_id)
            if pool is not None and handle is not None:
                age_s = now - handle.started_at
                limits = pool.settings.recycling.periodic_restart
                memory = measure(
                    handle.pid, virtual=limits.memory > 0, private=limits.private_memory > 0
                )
                sample = WorkerSample(
                    age_s,
                    # Not the listener's: its figures begin anew with every listener.
                    handle.finished(),
                    counters.active,
                    memory.virtual_kb,
                    memory.private_kb,
                )
                self.performer.perform(pool, pool.sample(handle.id, sample, now))

    # ── orders ──────────────────────────────────────────────────────────────────────────────────

    def _signalled(self, number: int) -> None:
        now = self.now()
        if number in (signal.SIGTERM, signal.SIGINT):
            if self.shutdown.has_begun:
                self.shutdown.at_once(now)
            else:
                self.shutdown.begin(now)
        elif number == signal.SIGQUIT:
            self.shutdown.at_once(now)
        elif number == signal.SIGHUP:
            self.reload()
            if self.server.options.is_command_line and not self.shutdown.has_begun:
                # There is no configuration that anybody changes: they mean the code.
                for pool in self.pools.values():
                    self.performer.perform(pool, pool.recycle(RecycleReason.ON_DEMAND, now))
        elif number == signal.SIGUSR1:
            self.reopen_logs()
        elif number in SIGNALS_OF_OTHERS:
            log("signal_ignored", signal=signal.Signals(number).name)
        elif number == signal.SIGCHLD:
            self.exits.update(process.reap())

    def reopen_logs(self) -> None:
        """Have everybody go on in the files that there are now.

        But for the template, which writes only when it cannot do its work, and workers' programs.
        """
        self.reopen_log()
        self.listener.reopen_logs()
        self.workers.reopen_outputs()
        log("logs_reopened")

    def _look_at_files(self) -> None:
        if not self.shutdown.has_begun and self.watch.has_changed():
            self.reload(by_hand=False)

    def reload(self, *, by_hand: bool = True) -> list[str]:
        """Take the configuration as it is now; what is wrong with it leaves the last one.

        By hand, workers look at everything again, their web.config files too.
        """
        if self.shutdown.has_begun:
            return ["the server is stopping"]
        log("reload_started", because="asked" if by_hand else "changed")
        self.server.notifier.reloading()
        try:
            return self._reload(by_hand=by_hand)
        finally:
            self.server.notifier.ready()

    def _reload(self, *, by_hand: bool) -> list[str]:
        try:
            configuration = self.load()
        except ConfigErrors as errors:
            self.watch.has_changed()  # known now, and known to be wrong
            self.config_errors = [str(error) for error in errors.errors]
            for line in self.config_errors:
                log("config_error", error=line)
            log("reload_failed", errors=len(self.config_errors))
            self.server.events.report(5172, detail=self.config_errors[0], errors=self.config_errors)
            return self.config_errors
        self.watch.look_at(configuration.files)
        self._apply(configuration, by_hand=by_hand)
        log("reload_completed")
        return []

    def _apply(self, configuration: Configuration, *, by_hand: bool) -> None:
        now = self.now()
        before = self.server.config.app_pools
        changes = compare_pools(
            {name: pool.settings for name, pool in self.pools.items()}, configuration.config
        )
        self.server.configuration = configuration
        self._machine.most_workers = configuration.config.web_limits.demand_start_threshold
        has_recovered = bool(self.config_errors)
        self._prepare_logs()
        self.config_errors = []
        self.config_since = self.server.clock.wall()
        rewritten = {
            name
            for name, pool in self.pools.items()
            if pool.workers and name in configuration.config.app_pools and self._write_config(pool)
        }
        for name in changes.added:
            self._add_pool(name, now)
        for name, settings in configuration.config.app_pools.items():
            pool = self.pools[name]
            actions = pool.apply(settings, now)
            if name not in before and settings.auto_start:
                actions += pool.start(now)  # it was removed, and has workers that still finish
            keep = settings.recycling.disallow_rotation_on_config_change
            if name in changes.recycled and not keep:
                if has_recovered:
                    self.performer.report(pool, 5081, 0, {})
                actions += pool.recycle(RecycleReason.CONFIG_CHANGE, now)
            # In one: a record of the new settings without the workers that are to be replaced for
            # them would have the manager after this one take them for new.
            self.performer.perform(pool, actions)
        faults.reach("manager.reloading")
        self.performer.publish_pools()
        self.sites.rebind()
        for name in changes.removed:
            # Only now: what waits there goes to the pools that the applications have instead.
            self.performer.perform(self.pools[name], self.pools[name].stop(now))
        self.listener.change_settings()
        for handle in self.workers.handles.values():
            if handle.peer is not None and (by_hand or handle.pool in rewritten):
                pool = self.pools[handle.pool]
                self.performer.perform(pool, pool.wake(now, handle.id))
                handle.peer.send(wc.ConfigurationChanged())

    def _write_config(self, pool: ApplicationPool) -> bool:
        """Whether its workers have something new to read."""
        try:
            return self.workers.write_config(pool.settings.name)
        except OSError as error:
            # Its workers go on with what they have; the next one cannot start.
            self.performer.report(pool, 5189, 0, {"detail": str(error)})
            return False

    def _prepare_logs(self) -> None:
        try:
            self.server.isolation.open_logs(self.server.config)
        except OSError as error:
            log_exception("log_dropped", error)

    def check_ready(self) -> None:
        """Say `ready` when every site answers and every AlwaysRunning pool has been tried."""
        if self.is_ready or self.shutdown.has_begun:
            return
        if not (self.listener.is_ready and self.template.is_connected):
            return
        for name in list(self.awaited):
            pool = self.pools[name]
            running = any(w.state in DISPATCHING for w in pool.workers.values())
            if running or pool.state is not PoolState.STARTED:
                self.awaited.discard(name)
        if not self.awaited:
            self.is_ready = True
            log("ready")
            self._on_ready(self)
            self.supervisor.begin(self.now(), anew=self.upgrade.is_under_way)
            self.upgrade.go_on()
