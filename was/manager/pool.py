"""ApplicationPool: what is done when people order something, workers do something, time passes.

Pure: no process, no socket, no clock. Each method is told what happened and when, changes the
pool's own record and returns the actions that follow; the service performs them. How many workers
there should be is in places.py, whether there should be any in availability.py, which of them are
replaced in recycling.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from was.config.model import AppPool, Failure
from was.manager.actions import (
    Action,
    AutoShutdown,
    Drain,
    Freeze,
    Kill,
    Note,
    Orphan,
    Publish,
    Report,
    SendPing,
    Stop,
    Thaw,
)
from was.manager.availability import Availability, Refusal
from was.manager.health import ORPHANING, culprit
from was.manager.machine import Machine
from was.manager.places import Places
from was.manager.record import Worker
from was.manager.recycling import PoolRecycling
from was.manager.states import DISPATCHING, PLACED, PoolState, WorkerEvent, WorkerState, after

__all__ = ["ApplicationPool"]

# So long a worker has at the server's end whose requests have all passed their limits.
LEFT_ALONE_S = 10.0


class ApplicationPool:
    """Wanted and actual state of one pool."""

    def __init__(
        self,
        settings: AppPool,
        ids: Iterator[int],
        scaled: Callable[[float], float],
        machine: Machine | None = None,
    ) -> None:
        self.scaled = scaled
        self.availability = Availability(scaled)
        self.places = Places(settings, self.availability, ids, scaled, machine or Machine())
        self.workers = self.places.workers
        self._is_ending = False
        self.recycling = PoolRecycling(self.places, scaled)

    # ── what it is ──────────────────────────────────────────────────────────────────────────────

    @property
    def settings(self) -> AppPool:
        """As `apply` was last told."""
        return self.places.settings

    @property
    def state(self) -> PoolState:
        """Its state as people see it."""
        return self.availability.state

    @property
    def may_never_run(self) -> bool:
        """Whether it may have no worker for ever, and nothing would disable it for that.

        The machine has as many workers as it may have, or rapid-fail protection is off.
        """
        is_protected = self.availability.is_protected(self.settings.failure)
        return self.places.is_refused or (self.is_held_up and not is_protected)

    @property
    def is_held_up(self) -> bool:
        """Whether a worker is wanted and none runs, because the last did not live."""
        return self.is_accepting and self.places.is_held_up

    @property
    def is_accepting(self) -> bool:
        """Whether the queue takes requests."""
        return self.availability.is_accepting

    @property
    def comes_back(self) -> bool:
        """Whether it is shut out or disabled, and will start by itself."""
        return self.availability.resume_at is not None

    @property
    def refusal(self) -> Refusal:
        """HTTPERR reason of the 503 while the pool does not take requests."""
        return self.availability.refusal

    @property
    def max_processes(self) -> int:
        """The most workers in dispatch at a time."""
        return self.places.max_processes

    @property
    def is_always_running(self) -> bool:
        """Whether workers start without a request."""
        return self.places.is_always_running

    def failure_count(self, now: float) -> int:
        """Failures in the current window."""
        return self.availability.failure_count(now, self.settings.failure)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, None when time alone changes nothing."""
        available = self.availability
        if not self.workers and not self.places.wanted and available.failures.is_empty:
            # Most pools of a machine sleep, and this is asked of all of them again and again.
            return available.next_date()
        times = [w.deadline for w in self.workers.values()]
        if self.settings.process_model.pinging_enabled:
            times += [w.ping.next_at for w in self.workers.values() if w.state in DISPATCHING]
        times += [self.places.next_start(), available.next_date()]
        if available.is_protected(self.settings.failure):
            times.append(available.failures.next_deadline())
        return min((time for time in times if time is not None), default=None)

    # ── orders ──────────────────────────────────────────────────────────────────────────────────

    def start(self, now: float) -> list[Action]:
        """Take requests; forgets earlier failures."""
        if self.is_accepting:
            return []
        return self._start(now, None)

    def _start(self, now: float, trial_until: float | None) -> list[Action]:
        self.availability.start(trial_until)  # first of all: on trial there is one worker
        self.places.open(now)
        return [Publish(), *self.places.fill(now)]

    def stop(self, now: float) -> list[Action]:
        """Refuse requests and let all workers finish."""
        self.availability.stop(has_workers=bool(self.workers))
        return [Publish(), *self.places.empty(now)]

    def shut_out(self, until: float) -> list[Action]:
        """Its processor time is used up: no worker and no request till then. No failure."""
        if not self.is_accepting:
            return []
        self.availability.shut_out(until)
        self.places.close()
        actions: list[Action] = [Note("pool_shut_out"), Publish()]
        for worker in self.workers.values():
            if worker.state is WorkerState.RUNNING:
                actions.append(Drain(worker.id))  # its requests are not to blame for its end
            if worker.state is not WorkerState.FAILED:
                worker.state = after(worker.state, WorkerEvent.CONDEMN)
                worker.deadline = None
                actions.append(Kill(worker.id))
        return actions

    def shut_down(
        self, now: float, left_alone: frozenset[int] = frozenset(), *, drain: bool
    ) -> list[Action]:
        """The server ends: workers are told directly, the queue is gone.

        Those `left_alone` have only requests past their limits, which nobody waits for.
        """
        self._is_ending = True
        self.availability.stop(has_workers=bool(self.workers))
        self.places.close()
        actions: list[Action] = []
        limit_s = self.scaled(self.settings.process_model.shutdown_time_limit_s)
        for worker in self.workers.values():
            if worker.state in PLACED:
                if worker.state is WorkerState.SUSPENDED:
                    actions.append(Thaw(worker.id))
                worker.state = after(worker.state, WorkerEvent.STOP)
                worker.deadline = now + limit_s
            if worker.id in left_alone and worker.deadline is not None:
                worker.deadline = min(worker.deadline, now + LEFT_ALONE_S)
            if worker.state is WorkerState.STOPPING:
                is_there = worker.is_loaded and worker.is_attached
                actions.append(Stop(worker.id, drain) if is_there else Kill(worker.id))
        return actions

    def apply(self, settings: AppPool, now: float) -> list[Action]:
        """New settings; says nothing about recycling, which the caller decides."""
        if self.state is PoolState.DISABLED:
            self.availability.retry_later(now, settings.failure)
        return self.places.resize(settings, now)

    # ── what happened ───────────────────────────────────────────────────────────────────────────

    def demand(self, now: float, *, further: bool) -> list[Action]:
        """A request waits for a worker."""
        if not self.is_accepting:
            return []
        return self.places.demand(now, further=further)

    def worker_loaded(self, worker_id: int, now: float) -> list[Action]:
        """The worker has loaded its applications."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return []
        worker.is_loaded = True
        return self._try_run(worker, now)

    def worker_attached(self, worker_id: int, now: float) -> list[Action]:
        """The listener and the worker have found each other."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return []
        worker.is_attached = True
        return self._try_run(worker, now)

    def _try_run(self, worker: Worker, now: float) -> list[Action]:
        if worker.state is not WorkerState.STARTING:
            return []
        if not (worker.is_loaded and worker.is_attached):
            return []
        return self.places.activate(worker, now)

    def worker_suspended(self, worker_id: int, now: float, *, is_quiet: bool) -> list[Action]:
        """The listener has taken it out of dispatch; not `is_quiet`: a request was quicker."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.state is not WorkerState.SUSPENDED:
            return []
        if not is_quiet:
            return self.places.wake(worker, now)
        return [Freeze(worker_id), Note("worker_suspended", worker_id)]

    def wake(self, now: float, only: int | None = None) -> list[Action]:
        """Workers that are suspended have something to hear: resume all, or one."""
        actions: list[Action] = []
        for worker in self.workers.values():
            if only in (None, worker.id):
                actions += self.places.wake(worker, now)
        return actions

    def worker_failed(
        self,
        worker_id: int,
        now: float,
        event_id: int,
        *,
        is_counted: bool = True,
        **fields: object,
    ) -> list[Action]:
        """The worker is not to be trusted or cannot start: its place is given away.

        It is killed, or orphaned where the pool is configured so. An orphan is no worker any more.
        What is not counted costs no worker that works, however often it is tried again.
        """
        worker = self.workers.get(worker_id)
        if worker is None or worker.state is WorkerState.FAILED:
            return []
        report = Report(event_id, worker_id, dict(fields))
        before = worker.state
        worker.state = after(worker.state, WorkerEvent.CONDEMN)
        worker.deadline = None
        is_orphaned = self._is_orphaned_by(event_id)
        actions: list[Action] = [report, Orphan(worker_id) if is_orphaned else Kill(worker_id)]
        if before in PLACED:
            # One that was to replace another and found nobody to replace is like any other.
            is_counted = is_counted or self.places.predecessor(worker) is None
            actions += self._lost(worker, before, now, is_counted=is_counted)
        if is_orphaned:
            actions += self.worker_exited(worker_id, now, served=False, how="orphaned")
        return actions

    def _is_orphaned_by(self, event_id: int) -> bool:
        wanted = self.settings.failure.orphan_worker_process and not self._is_ending
        return wanted and event_id in ORPHANING

    def worker_exited(
        self, worker_id: int, now: float, *, served: bool, how: str, is_counted: bool = True
    ) -> list[Action]:
        """The process has gone; `how` is its exit status in words, "exit 0" when all went well.

        Not `is_counted`: the machine had no room for it, which says nothing of the application.
        """
        worker = self.workers.pop(worker_id, None)
        if worker is None:
            return []
        self.places.machine.workers.discard(worker_id)
        before = worker.state
        worker.state = after(before, WorkerEvent.EXITED)
        worker.has_served = worker.has_served or served
        actions: list[Action] = []
        if before in PLACED:
            actions.append(Report(5009, worker_id, {"how": how}))
            actions += self._lost(worker, before, now, is_counted=is_counted)
        actions += self.recycling.gone(worker_id)
        if self.state is PoolState.STOPPING and not self.workers:
            self.availability.stop(has_workers=False)
            actions.append(Publish())
        return [*actions, *self.places.fill(now)]

    def death_settled(
        self, worker_id: int, now: float, clients: frozenset[str], *, has_waiting: bool
    ) -> list[Action]:
        """The listener has dealt with a dead worker's requests, which came from `clients`."""
        self.availability.failures.settle(worker_id, culprit(clients))
        actions = self._protect(now)
        return [*actions, *self.demand(now, further=False)] if has_waiting else actions

    def pong(self, worker_id: int, nonce: int, now: float) -> None:
        """The worker answered a ping."""
        worker = self.workers.get(worker_id)
        if worker is not None:
            interval_s = self.scaled(self.settings.process_model.ping_interval_s)
            worker.ping.answered(nonce, now, interval_s)

    def came_back(self, worker_id: int) -> list[Action]:
        """It has found this manager: a ping that was due before has been sent to nobody."""
        worker = self.workers.get(worker_id)
        if worker is None or not worker.ping.is_waiting:
            return []
        return [SendPing(worker_id, worker.ping.nonce)]

    def tick(self, now: float) -> list[Action]:
        """Time has passed: limits, pings, delayed starts."""
        actions = self._come_back(now)
        limits = self.settings.process_model
        for worker in list(self.workers.values()):
            if worker.deadline is not None and now >= worker.deadline:
                late = 5012 if worker.state is WorkerState.STARTING else 5013
                actions += self.worker_failed(worker.id, now, late)
            elif worker.state in DISPATCHING and limits.pinging_enabled:
                if worker.ping.is_missed(now):
                    actions += self.worker_failed(worker.id, now, 5010)
                    continue
                nonce = worker.ping.send(now, self.scaled(limits.ping_response_time_s))
                if nonce is not None:
                    actions.append(SendPing(worker.id, nonce))
        return [*actions, *self._protect(now), *self.places.fill(now)]

    # ── how ─────────────────────────────────────────────────────────────────────────────────────

    def _lost(
        self, worker: Worker, before: WorkerState, now: float, *, is_counted: bool
    ) -> list[Action]:
        """A worker went that nobody had asked to go: count it, decide about its place."""
        has_run = before is not WorkerState.STARTING
        if is_counted:
            self.availability.failures.record(now, worker.id, is_settled=not has_run)
        actions: list[Action] = []
        old = self.places.predecessor(worker)
        if old is not None and not has_run:
            actions += self.recycling.give_up(old, now)
        else:
            actions += self.places.lost(worker, now, has_run=has_run)
        return [*actions, *self._protect(now), *self.places.fill(now)]

    def _protect(self, now: float) -> list[Action]:
        """Rapid-fail protection."""
        limits = self.settings.failure
        if not self.availability.has_failed_too_often(now, limits):
            return []
        self.availability.disable(now, limits)
        actions = self.recycling.give_up_all("the pool was disabled after a series of failures")
        actions += [Report(5002), Note("pool_disabled", fields=self._way_back(limits))]
        return [*actions, Publish(), AutoShutdown(), *self.places.empty(now)]

    def _way_back(self, limits: Failure) -> dict[str, object]:
        """For the log: how a disabled pool takes requests again."""
        retry_s = limits.rapid_fail_protection_retry_s
        return {
            "start_it": f"was start apppool {self.settings.name}",
            **({"tried_again_in_s": retry_s} if retry_s > 0 else {}),
        }

    def _come_back(self, now: float) -> list[Action]:
        """A pool that was shut out starts again; a disabled one on trial; a trial passes."""
        available = self.availability
        if available.trial_until is not None and now >= available.trial_until:
            available.trial_until = None
            self.places.want_all()
            return [Publish()]
        if available.resume_at is None or now < available.resume_at:
            return []
        if self.state is not PoolState.DISABLED:
            return self._start(now, None)
        interval_s = self.settings.failure.rapid_fail_protection_interval_s
        return [Note("pool_on_trial"), *self._start(now, now + self.scaled(interval_s))]
