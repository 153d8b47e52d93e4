"""The manager: one loop that takes signals, messages, ends of processes and times from one queue.

Policy lives in the pools, which return actions; `perform` carries them out. Processes are held by
three sides: listener, template, workers. Stopping is a sequence of its own (shutdown.py), answers
to the command line are in commands.py.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Protocol, assert_never

from was.config.model import RecycleReason
from was.known import keep
from was.log import log, log_exception
from was.manager import process
from was.manager.adoption import Adoption
from was.manager.alarm import Alarm
from was.manager.beginnings import Beginnings
from was.manager.commands import answer
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
from was.manager.newcomers import Newcomers
from was.manager.overdue import OverdueWorkers
from was.manager.performer import Performer
from was.manager.pool import ApplicationPool
from was.manager.pool_deadlines import PoolDeadlines
from was.manager.processors import Processors
from was.manager.queries import Queries
from was.manager.reloading import Reloading
from was.manager.replacing import Replacing
from was.manager.sampling import Sampling
from was.manager.server import Configuration, Server
from was.manager.shutdown import Shutdown
from was.manager.sites import SiteSet
from was.manager.states import DISPATCHING, PoolState
from was.manager.supervisor_side import SupervisorSide
from was.manager.template_side import TemplateSide
from was.manager.upgrade import Upgrade
from was.manager.workers import WorkerSet

__all__ = ["Manager"]

MOST_UNCLAIMED_EXITS = 1000


class _Timed(Protocol):
    """A part that has something to do when a time has come."""

    def next_deadline(self) -> float | None: ...

    def tick(self, now: float) -> None: ...


class Manager:
    """Everything of one running server, and what happens to it."""

    def __init__(
        self,
        server: Server,
        load: Callable[[], Configuration],
        on_ready: Callable[[list[str]], None],
        reopen_log: Callable[[], bool],
    ) -> None:
        """`on_ready` is given the URLs; `reopen_log` opens our own log anew, if it is a file."""
        self.server = server
        self.listener = ListenerSide(server)
        self.template = TemplateSide(server)
        self.workers = WorkerSet(server, self.template)
        self.pools: dict[str, ApplicationPool] = {}
        self.newcomers = Newcomers(server.files, self.pools)
        self.sites = SiteSet(server, self.listener, self.pools, self.newcomers)
        self.supervisor = SupervisorSide(server, self.sites.sockets)
        self.sites.on_bound = self.supervisor.sockets_changed
        self.deaths = Deaths(server)
        self.overdue = OverdueWorkers(self)
        self.performer = Performer(
            server, self.listener, self.workers, self.pools, self.deaths, self.newcomers
        )
        self._deadlines = PoolDeadlines()
        self.performer.on_performed = self._deadlines.note
        self.processors = Processors(server, self.performer, self.workers, self.pools)
        self.queries = Queries(server, self.listener)
        self.shutdown = Shutdown(self)
        self.hearing = Hearing(self)
        self.workers.on_arrival = self.hearing.worker_arrived
        self.endings = Endings(self)
        self.adoption = Adoption(self)
        self.upgrade = Upgrade(self)
        self.history = HistoryKeeper(server)
        self.beginnings = Beginnings(self)
        self.reloading = Reloading(self, load)
        self.sampling = Sampling(self)
        self._timed: tuple[_Timed, ...] = (
            Replacing(self),
            self.endings,
            self.processors,
            self.queries,
            self.deaths,
            self.upgrade,
            self.history,
            self.reloading,
            server.notifier,
            self.supervisor,
            self.sampling,
        )
        self.started_at = server.clock.monotonic()
        self.is_ready = False
        self.failed_start = ""
        self._on_ready = on_ready
        self._reopen_log = reopen_log
        self.awaited: set[str] = set()
        self.exits: dict[int, process.Exit] = {}
        self.machine = Machine(count_nodes(), server.config.web_limits.demand_start_threshold)
        self._alarm = Alarm(server.loop, self.now, partial(server.inbox.put_nowait, TimeCame()))

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Start template and listener, then the pools; go on with what was taken over."""
        now = self.now()
        self.sampling.begin(now)
        self.template.spawn()
        if self.adoption.peer is None:
            self.listener.spawn()
        self.beginnings.begin(now)

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
        self._alarm.cancel()
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
                self.tick()
            case SignalArrived(number):
                self._signalled(number)
            case FilesTouched():
                self.reloading.touched(self.now())
            case AdminAsked():
                answer(self, item)
            case PeerFaulty(peer, detail):
                self.hearing.peer_faulty(peer, detail)
            case PeerGone(peer):
                self.hearing.peer_gone(peer)
            case _:
                assert_never(item)
        self._let_newcomers_in()
        self.shutdown.advance(self.now())

    def _let_newcomers_in(self) -> None:
        """Pools may have got the workers that applications have waited for."""
        if self.newcomers.settle():
            self.sites.publish_routes()
            self.close_queues()

    def close_queues(self) -> None:
        """The listener has been told the routes: queues that none leads to may go."""
        if self.newcomers.close_queues():
            self.performer.publish_pools()

    def pool_of(self, worker_id: int) -> ApplicationPool | None:
        """The pool of a worker that lives."""
        handle = self.workers.handles.get(worker_id)
        return None if handle is None else self.pools.get(handle.pool)

    def shutdown_limit_s(self) -> float:
        """The longest that any pool gives its workers to finish."""
        limits = [p.settings.process_model.shutdown_time_limit_s for p in self.pools.values()]
        return self.server.clock.scaled(max(limits, default=1.0))

    # ── time ────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> float:
        """Monotonic seconds."""
        return self.server.clock.monotonic()

    def _arm(self) -> None:
        """Have the alarm ring at the earliest of all deadlines."""
        times = [
            self.shutdown.next_deadline(),
            self._deadlines.earliest(),
            *(part.next_deadline() for part in self._timed),
        ]
        self._alarm.set(min(t for t in times if t is not None))

    def tick(self) -> None:
        """Whatever is due."""
        now = self.now()
        for pool in self.pools.values():
            if self._deadlines.note(pool) <= now or self.sampling.is_due(now):
                self.performer.perform(pool, pool.tick(now))
        # A pool may just have been given up, of which no process tells.
        self.check_ready()
        for part in self._timed:
            part.tick(now)
        self.drop_empty_pools()

    def drop_empty_pools(self) -> None:
        """Forget pools that the configuration has no more, when their last worker has gone."""
        configured = self.server.config.app_pools
        for name in [n for n, p in self.pools.items() if n not in configured and not p.workers]:
            self._drop_pool(name)

    def _drop_pool(self, name: str) -> None:
        del self.pools[name]
        self.awaited.discard(name)
        self._deadlines.drop(name)
        self.server.files.remove_pool(name)
        self.performer.publish_pools()

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
            self.reloading.reload()
            if self.server.options.is_command_line and not self.shutdown.has_begun:
                # There is no configuration that anybody changes: they mean the code.
                for pool in self.pools.values():
                    self.performer.perform(
                        pool, pool.recycling.recycle(RecycleReason.ON_DEMAND, now)
                    )
        elif number == signal.SIGUSR1:
            self.reopen_logs()
        elif number in SIGNALS_OF_OTHERS:
            log("signal_ignored", signal=signal.Signals(number).name)
        elif number == signal.SIGCHLD:
            self.reap()

    def reap(self) -> None:
        """Learn how children have ended: ours, and what applications leave behind."""
        for pid, end in process.reap():
            keep(self.exits, pid, end, MOST_UNCLAIMED_EXITS)

    def reopen_logs(self) -> None:
        """Have everybody go on in the files that there are now, in folders that were removed too.

        FastCGI processes are replaced; other programs end with their requests.
        """
        if self._reopen_log():
            self.template.reopen_log()
        self.reloading.prepare_logs(all_sites=True)
        self.listener.reopen_logs()
        self.workers.reopen_outputs()
        log("logs_reopened")

    def check_ready(self) -> None:
        """Say `ready` when every site answers and every AlwaysRunning pool has been tried."""
        if self.is_ready or self.shutdown.has_begun:
            return
        if not (self.listener.is_ready and self.template.is_connected):
            return
        for name in list(self.awaited):
            pool = self.pools[name]
            running = any(w.state in DISPATCHING for w in pool.workers.values())
            if running or pool.state is not PoolState.STARTED or pool.may_never_run:
                self.awaited.discard(name)
        if not self.awaited:
            self.is_ready = True
            log("ready")
            self.history.begin(self.now())
            self._on_ready(self.sites.urls())
            self.server.notifier.ready()
            self.supervisor.begin(self.now(), anew=self.upgrade.is_under_way)
            self.upgrade.go_on()
