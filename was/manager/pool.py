"""ApplicationPool: how many workers a pool should have, and what to do to get there.

Pure: no process, no socket, no clock. Each method is told what happened and when, changes the
pool's own record and returns the actions that follow; the service performs them.

`wanted` is how many *places* the pool should have. A place is a worker that is starting or
running; the successor of one that still runs (overlapped recycling) shares its place until it is
active, when the old worker leaves it. An idle worker that is suspended keeps its place; the next
request that finds no other worker wakes it. So at most `max_processes` workers are ever in
dispatch, and no more than twice as many exist.

Workers that nobody has asked to go are replaced at once if they had finished a request, else after
a delay that doubles, and then only if the pool is AlwaysRunning or somebody waits, for whom the
delay is never more than BACKOFF_WAITING_S.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from was.config.model import AppPool, IdleTimeoutAction, RecycleReason, StartMode
from was.manager.actions import (
    Action,
    Activate,
    AutoShutdown,
    Drain,
    Freeze,
    Kill,
    Note,
    Orphan,
    Publish,
    RecycleSettled,
    Report,
    SendPing,
    Spawn,
    Stop,
    Suspend,
    Thaw,
)
from was.manager.health import (
    BACKOFF_WAITING_S,
    ORPHANING,
    Backoff,
    FailureWindow,
    PingWatch,
    culprit,
)
from was.manager.machine import Machine
from was.manager.record import Worker
from was.manager.recycle import EVENT_OF_REASON, Wear, WorkerSample, early_share
from was.manager.rotations import Rotations
from was.manager.schedule import ScheduleWatch
from was.manager.states import DISPATCHING, PoolState, WorkerEvent, WorkerState, after

__all__ = ["ApplicationPool"]

Refusal: TypeAlias = Literal["", "AppOffline", "Disabled", "AppShutdown"]

_REFUSALS: dict[PoolState, Refusal] = {
    PoolState.DISABLED: "AppOffline",
    PoolState.SHUT_OUT: "AppShutdown",
}

_PLACED = frozenset({WorkerState.STARTING, WorkerState.RUNNING, WorkerState.SUSPENDED})

STOPPING_ERROR = "the server is stopping"

# So long a worker has at the server's end whose requests have all passed their limits.
LEFT_ALONE_S = 10.0

# Who goes last when there are too many.
_KEPT = {WorkerState.RUNNING: 0, WorkerState.SUSPENDED: 1, WorkerState.STARTING: 2}


class ApplicationPool:
    """Wanted and actual state of one pool."""

    def __init__(
        self,
        settings: AppPool,
        ids: Iterator[int],
        scaled: Callable[[float], float],
        machine: Machine | None = None,
    ) -> None:
        self.settings = settings
        self.machine = machine or Machine()
        self.state = PoolState.STOPPED
        self.workers: dict[int, Worker] = {}
        self.failures = FailureWindow()
        self.generation = 1
        self.wanted = 0
        self._has_demand = False
        self._ids = ids
        self.scaled = scaled
        self._backoff = Backoff()
        self._not_before = 0.0
        self._is_winding_down = False
        self._is_ending = False
        self._is_refused = False  # the machine has as many workers as it may have
        self.resume_at: float | None = None  # when a disabled or shut out pool starts by itself
        self.trial_until: float | None = None  # after that: one failure disables it again
        self._rotations = Rotations()
        self._schedule = ScheduleWatch()

    # ── what it is ──────────────────────────────────────────────────────────────────────────────

    @property
    def max_processes(self) -> int:
        """The most workers in dispatch at a time (0 in the file: one a NUMA node)."""
        if self.trial_until is not None:
            return 1
        return self.settings.process_model.max_processes or self.machine.nodes

    @property
    def is_always_running(self) -> bool:
        """Whether workers start without a request."""
        return self.settings.start_mode is StartMode.ALWAYS_RUNNING

    @property
    def is_accepting(self) -> bool:
        """Whether the queue takes requests."""
        return self.state is PoolState.STARTED

    @property
    def refusal(self) -> Refusal:
        """HTTPERR reason of the 503 while the pool does not take requests."""
        return "" if self.is_accepting else _REFUSALS.get(self.state, "Disabled")

    def failure_count(self, now: float) -> int:
        """Failures in the current window."""
        interval_s = self.scaled(self.settings.failure.rapid_fail_protection_interval_s)
        return self.failures.count(now, interval_s)

    def _places(self) -> int:
        """Workers that count against `wanted`; without overlap one that still stops does too."""
        counted = _PLACED
        if self.settings.recycling.disallow_overlapping_rotation:
            counted = _PLACED | {WorkerState.STOPPING}
        return sum(1 for w in self.workers.values() if w.state in counted and not self._shares(w))

    def _shares(self, worker: Worker) -> bool:
        old = self.workers.get(worker.replaces)
        return old is not None and old.state in DISPATCHING

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, None when time alone changes nothing."""
        if not self.workers and not self.wanted and self.failures.is_empty:
            # Most pools of a machine sleep, and this is asked of all of them again and again.
            return self.resume_at if self.trial_until is None else self._next_date()
        times = [w.deadline for w in self.workers.values() if w.deadline is not None]
        if self.settings.process_model.pinging_enabled:
            times += [w.ping.next_at for w in self.workers.values() if w.state in DISPATCHING]
        if self.is_accepting and self._may_start() and self.wanted > self._places():
            times.append(self._not_before)
        dates = self._next_date()
        if dates is not None:
            times.append(dates)
        unsettled = self.failures.next_deadline()
        if unsettled is not None and self._is_protected():
            times.append(unsettled)
        return min(times, default=None)

    def _next_date(self) -> float | None:
        return min((t for t in (self.resume_at, self.trial_until) if t is not None), default=None)

    # ── orders ──────────────────────────────────────────────────────────────────────────────────

    def start(self, now: float) -> list[Action]:
        """Take requests; forgets earlier failures."""
        if self.is_accepting:
            return []
        return self._start(now, None)

    def _start(self, now: float, trial_until: float | None) -> list[Action]:
        self.state = PoolState.STARTED
        self.resume_at = None
        self.trial_until = trial_until  # before anything else: on trial there is one worker
        self.failures.clear()
        self._backoff.reset()
        self._not_before = now
        self._has_demand = False
        self.wanted = self.max_processes if self.is_always_running else 0
        return [Publish(), *self._fill(now)]

    def stop(self, now: float) -> list[Action]:
        """Refuse requests and let all workers finish."""
        self.state = PoolState.STOPPING if self.workers else PoolState.STOPPED
        self.resume_at = self.trial_until = None
        return [Publish(), *self._empty(now)]

    def shut_out(self, now: float, until: float) -> list[Action]:
        """Its processor time is used up: no worker and no request till then. No failure."""
        if not self.is_accepting:
            return []
        self.state = PoolState.SHUT_OUT
        self.resume_at = until
        self.wanted = 0
        self._has_demand = False
        actions: list[Action] = [Note("pool_shut_out"), Publish()]
        for worker in self.workers.values():
            if worker.state is WorkerState.RUNNING:
                actions.append(Drain(worker.id))  # its requests are not to blame for its end
            if worker.state is not WorkerState.FAILED:
                worker.state = after(worker.state, WorkerEvent.CONDEMN)
                worker.deadline = None
                actions.append(Kill(worker.id))
        return actions

    def wind_down(self) -> list[Action]:
        """The server is about to end: workers that die are replaced while requests wait, worn ones
        are not."""
        self._is_winding_down = True
        for worker in self.workers.values():
            worker.stale = ""
        return [RecycleSettled(token, STOPPING_ERROR) for token in self._rotations.all_given_up()]

    def shut_down(
        self, now: float, left_alone: frozenset[int] = frozenset(), *, drain: bool
    ) -> list[Action]:
        """The server ends: workers are told directly, the queue is gone.

        Those `left_alone` have only requests past their limits, which nobody waits for.
        """
        self._is_ending = True
        self.resume_at = self.trial_until = None
        self.state = PoolState.STOPPING if self.workers else PoolState.STOPPED
        self.wanted = 0
        actions: list[Action] = []
        limit_s = self.scaled(self.settings.process_model.shutdown_time_limit_s)
        for worker in self.workers.values():
            if worker.state in _PLACED:
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
        was_always_running = self.is_always_running
        self.settings = settings
        if self.state is PoolState.DISABLED:
            self.resume_at = self._retry_at(now)
        self.wanted = min(self.wanted, self.max_processes)
        if self.is_always_running and self.is_accepting:
            self.wanted = self.max_processes
        elif was_always_running:
            self.wanted = min(self.wanted, self._places())
        return [*self._shrink(now), *self._fill(now)]

    def _shrink(self, now: float) -> list[Action]:
        """Workers for whom there is no place any more go, with their successors."""
        placed = [w for w in self.workers.values() if w.state in _PLACED and not self._shares(w)]
        placed.sort(key=lambda worker: _KEPT[worker.state])
        actions: list[Action] = []
        for worker in placed[self.max_processes :]:
            heirs = [w for w in self.workers.values() if w.replaces == worker.id]
            for leaving in (worker, *(w for w in heirs if w.state in _PLACED)):
                actions += self._drain(leaving, now)
        return actions

    def recycle(
        self,
        reason: RecycleReason,
        now: float,
        token: int = 0,
        only: int | None = None,
        detail: str = "",
    ) -> list[Action]:
        """Replace all workers, or one. RecycleSettled(token) follows, at once if there is none."""
        if self._is_winding_down:
            return [RecycleSettled(token, STOPPING_ERROR)] if token else []
        targets = [w for w in self.workers.values() if w.state in _PLACED and only in (None, w.id)]
        if not targets:
            return [RecycleSettled(token, "")] if token else []
        self.generation += 1
        if token:
            self._rotations.begin(token, (w.id for w in targets))
        actions: list[Action] = []
        if reason in self.settings.recycling.log_event_on_recycle:
            about: dict[str, object] = {"detail": detail} if detail else {}
            actions.append(Report(EVENT_OF_REASON[reason], only or 0, about))
        actions.append(Note("recycle_started", fields={"reason": reason.value}))
        for worker in targets:
            worker.stale = reason.value
            actions += self._wake(worker, now)
        return [*actions, *self._fill(now)]

    # ── what happened ───────────────────────────────────────────────────────────────────────────

    def demand(self, now: float, *, further: bool) -> list[Action]:
        """A request waits for a worker."""
        if not self.is_accepting:
            return []
        self._has_demand = True
        self._not_before = min(self._not_before, now + BACKOFF_WAITING_S)
        self.wanted = max(self.wanted, 1)
        for worker in self.workers.values():
            if worker.state is WorkerState.SUSPENDED:
                return self._wake(worker, now)
        starting = any(w.state is WorkerState.STARTING for w in self.workers.values())
        if further and not starting:
            self.wanted = min(self.max_processes, max(self.wanted, self._places() + 1))
        return self._fill(now)

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
        old = self.workers.get(worker.replaces) if self._shares(worker) else None
        worker.state = after(worker.state, WorkerEvent.STARTED)
        worker.deadline = None
        worker.idle_since = now
        worker.ping.next_at = now + self.scaled(self.settings.process_model.ping_interval_s)
        self._has_demand = False
        replaces: tuple[int, ...] = ()
        if old is not None:
            replaces = (old.id,)
            self._leave(old, now)
        return [
            Activate(worker.id, replaces),
            Note("worker_ready", worker.id),
            *self._fill(now),
        ]

    def worker_suspended(self, worker_id: int, now: float, *, is_quiet: bool) -> list[Action]:
        """The listener has taken it out of dispatch; not `is_quiet`: a request was quicker."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.state is not WorkerState.SUSPENDED:
            return []
        if not is_quiet:
            return self._wake(worker, now)
        return [Freeze(worker_id), Note("worker_suspended", worker_id)]

    def wake(self, now: float, only: int | None = None) -> list[Action]:
        """Workers that are suspended have something to hear: resume all, or one."""
        actions: list[Action] = []
        for worker in self.workers.values():
            if only in (None, worker.id):
                actions += self._wake(worker, now)
        return actions

    def _wake(self, worker: Worker, now: float) -> list[Action]:
        if worker.state is not WorkerState.SUSPENDED:
            return []
        worker.state = after(worker.state, WorkerEvent.RESUME)
        worker.idle_since = now
        self._has_demand = False
        note = Note("worker_resumed", worker.id)
        return [Thaw(worker.id), Activate(worker.id), note]

    def worker_failed(
        self, worker_id: int, now: float, event_id: int, **fields: object
    ) -> list[Action]:
        """The worker is not to be trusted or cannot start: its place is given away.

        It is killed, or orphaned where the pool is configured so. An orphan is no worker any more.
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
        if before in _PLACED:
            actions += self._lost(worker, before, now)
        if is_orphaned:
            actions += self.worker_exited(worker_id, now, served=False, how="orphaned")
        return actions

    def _is_orphaned_by(self, event_id: int) -> bool:
        wanted = self.settings.failure.orphan_worker_process and not self._is_ending
        return wanted and event_id in ORPHANING

    def worker_exited(self, worker_id: int, now: float, *, served: bool, how: str) -> list[Action]:
        """The process has gone; `how` is its exit status in words, "exit 0" when all went well."""
        worker = self.workers.pop(worker_id, None)
        if worker is None:
            return []
        self.machine.workers.discard(worker_id)
        before = worker.state
        worker.state = after(before, WorkerEvent.EXITED)
        worker.has_served = worker.has_served or served
        actions: list[Action] = []
        if before in _PLACED:
            actions.append(Report(5009, worker_id, {"how": how}))
            actions += self._lost(worker, before, now)
        for token in self._rotations.gone(worker_id):
            actions += [RecycleSettled(token, ""), Note("recycle_completed")]
        if self.state is PoolState.STOPPING and not self.workers:
            self.state = PoolState.STOPPED
            actions.append(Publish())
        return [*actions, *self._fill(now)]

    def death_settled(
        self, worker_id: int, now: float, clients: frozenset[str], *, has_waiting: bool
    ) -> list[Action]:
        """The listener has dealt with a dead worker's requests, which came from `clients`."""
        self.failures.settle(worker_id, culprit(clients))
        actions = self._protect(now)
        return [*actions, *self.demand(now, further=False)] if has_waiting else actions

    def worker_asks(
        self, worker_id: int, reason: RecycleReason, now: float, detail: str
    ) -> list[Action]:
        """A worker asks to be replaced; to ask again changes nothing."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.stale or now < worker.wear.not_before:
            return []
        if (
            reason is RecycleReason.CONFIG_CHANGE
            and self.settings.recycling.disallow_rotation_on_config_change
        ):
            return []
        return self.recycle(reason, now, only=worker_id, detail=detail)

    def pong(self, worker_id: int, nonce: int, now: float) -> None:
        """The worker answered a ping."""
        worker = self.workers.get(worker_id)
        if worker is not None:
            interval_s = self.scaled(self.settings.process_model.ping_interval_s)
            worker.ping.answered(nonce, now, interval_s)

    def is_held_up(self, now: float) -> bool:
        """Whether workers are wanted and none is there, because the last did not live."""
        return self.is_accepting and self.wanted > self._places() == 0 and now < self._not_before

    def sample(self, worker_id: int, sample: WorkerSample, now: float) -> list[Action]:
        """A look at a worker: is it idle, is it due for replacement?"""
        worker = self.workers.get(worker_id)
        if worker is None or worker.state not in DISPATCHING:
            return []
        if sample.finished > 0:
            worker.has_served = True
            self._backoff.reset()
        if sample.active or sample.finished != worker.finished:
            worker.idle_since = now
        worker.finished = sample.finished
        idle_s = self.scaled(self.settings.process_model.idle_timeout_s)
        is_idle = 0 < idle_s / self.machine.idle_divisor <= now - worker.idle_since
        if is_idle and not worker.stale:
            return self._idled(worker, now, is_early=now - worker.idle_since < idle_s)
        reason = worker.wear.due(sample, self.settings.recycling.periodic_restart, self.scaled)
        if reason is None or now < worker.wear.not_before or self._is_replacing():
            return []
        return self.recycle(reason, now, only=worker_id)

    def _idled(self, worker: Worker, now: float, *, is_early: bool) -> list[Action]:
        model = self.settings.process_model
        if model.idle_timeout_action is IdleTimeoutAction.SUSPEND:
            worker.state = after(worker.state, WorkerEvent.SUSPEND)
            # Nobody waits for the answer of one that is stopped.
            interval_s = self.scaled(model.ping_interval_s)
            worker.ping = PingWatch(now + interval_s, worker.ping.nonce)
            return [Suspend(worker.id)]
        if not self.is_always_running:
            self.wanted = max(0, self.wanted - 1)
        is_logged = "IdleTimeout" in model.log_event_on_process_model
        reports = [Report(5195 if is_early else 5186, worker.id)] if is_logged else []
        return [*reports, *self._drain(worker, now), *self._fill(now)]

    def look_at_clock(self, wall: float) -> None:
        """Has a scheduled time come? The workers that run are then due at their next sample."""
        if self._schedule.has_come(self.settings.recycling.periodic_restart.schedule, wall):
            for worker in self.workers.values():
                if worker.state in DISPATCHING or worker.state is WorkerState.SUSPENDED:
                    worker.wear.is_scheduled = True

    def _is_replacing(self) -> bool:
        """Whether a worker is being replaced: periodic restarts go one at a time."""
        return any(
            (w.stale and w.state in DISPATCHING) or w.state is WorkerState.STARTING
            for w in self.workers.values()
        )

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
        return [*actions, *self._protect(now), *self._fill(now)]

    # ── how ─────────────────────────────────────────────────────────────────────────────────────

    def _lost(self, worker: Worker, before: WorkerState, now: float) -> list[Action]:
        """A worker went that nobody had asked to go: count it, decide about its place."""
        ran = before is not WorkerState.STARTING
        self.failures.record(now, worker.id, is_settled=not ran)
        actions: list[Action] = []
        old = self.workers.get(worker.replaces)
        if not ran and old is not None and old.state in DISPATCHING:
            actions += self._give_up_rotation(old, now)
        elif ran and worker.has_served:
            self._backoff.reset()
            self._not_before = now
        else:
            self._not_before = now + self._backoff.take()
            if not (self.is_always_running or self._has_demand):
                self.wanted = max(0, self.wanted - 1)
        return [*actions, *self._protect(now), *self._fill(now)]

    def _give_up_rotation(self, old: Worker, now: float) -> list[Action]:
        old.stale = ""
        # So that a worker that works is not lost to rapid-fail protection over its replacement.
        interval_s = self.scaled(self.settings.failure.rapid_fail_protection_interval_s)
        old.wear.not_before = now + interval_s
        error = "the new worker did not become ready"
        actions: list[Action] = [Report(5093, old.id), Note("recycle_failed", old.id)]
        actions += [RecycleSettled(token, error) for token in self._rotations.given_up(old.id)]
        return actions

    def _protect(self, now: float) -> list[Action]:
        """Rapid-fail protection."""
        if not self._is_protected():
            return []
        most = self.settings.failure.rapid_fail_protection_max_crashes
        if self.trial_until is not None:
            most = 1
        if self.failure_count(now) < most:
            return []
        self.state = PoolState.DISABLED
        self.resume_at, self.trial_until = self._retry_at(now), None
        actions: list[Action] = [
            RecycleSettled(token, "the pool was disabled after a series of failures")
            for token in self._rotations.all_given_up()
        ]
        disabled: list[Action] = [Report(5002), Note("pool_disabled"), Publish(), AutoShutdown()]
        return [*actions, *disabled, *self._empty(now)]

    def _retry_at(self, now: float) -> float | None:
        retry_s = self.settings.failure.rapid_fail_protection_retry_s
        return now + self.scaled(retry_s) if retry_s > 0 else None

    def _come_back(self, now: float) -> list[Action]:
        """A pool that was shut out starts again; a disabled one on trial; a trial passes."""
        if self.trial_until is not None and now >= self.trial_until:
            self.trial_until = None
            if self.is_always_running:
                self.wanted = self.max_processes
            return [Publish()]
        if self.resume_at is None or now < self.resume_at:
            return []
        if self.state is not PoolState.DISABLED:
            return self._start(now, None)
        interval_s = self.settings.failure.rapid_fail_protection_interval_s
        return [Note("pool_on_trial"), *self._start(now, now + self.scaled(interval_s))]

    def _is_protected(self) -> bool:
        return self.is_accepting and self.settings.failure.rapid_fail_protection

    def _empty(self, now: float) -> list[Action]:
        self.wanted = 0
        self._has_demand = False
        actions: list[Action] = []
        for worker in list(self.workers.values()):
            if worker.state in _PLACED:
                actions += self._drain(worker, now)
        return actions

    def _drain(self, worker: Worker, now: float) -> list[Action]:
        before = worker.state
        self._leave(worker, now)
        if before is WorkerState.STARTING:
            return [Kill(worker.id)]
        thaw = [Thaw(worker.id)] if before is WorkerState.SUSPENDED else []
        return [*thaw, Drain(worker.id)]

    def _leave(self, worker: Worker, now: float) -> None:
        worker.state = after(worker.state, WorkerEvent.STOP)
        worker.deadline = now + self.scaled(self.settings.process_model.shutdown_time_limit_s)

    def _has_room(self) -> bool:
        is_apart = self.settings.recycling.disallow_overlapping_rotation
        return len(self.workers) < self.max_processes * (1 if is_apart else 2)

    def _may_start(self) -> bool:
        """Whether there is room for a worker that replaces none, here and on the machine."""
        return self._has_room() and self.machine.has_room

    def _fill(self, now: float) -> list[Action]:
        """Successors for stale workers, then workers for empty places, as far as there is room."""
        if not self.is_accepting:
            return []
        actions: list[Action] = []
        taken = {w.replaces for w in self.workers.values() if w.state in _PLACED}
        for worker in list(self.workers.values()):
            if worker.state not in DISPATCHING or not worker.stale or worker.id in taken:
                continue
            if self.settings.recycling.disallow_overlapping_rotation:
                if not (self.is_always_running or self._has_demand):
                    self.wanted = max(0, self.wanted - 1)
                actions += self._drain(worker, now)
            elif self._has_room():
                actions.append(self._spawn(now, worker.id))
        while now >= self._not_before and self.wanted > self._places() and self._may_start():
            actions.append(self._spawn(now, 0))
        return [*actions, *self._report_refusal()]

    def _report_refusal(self) -> list[Action]:
        """Event 5196, once for each time that the machine is full."""
        was_refused = self._is_refused
        self._is_refused = self.wanted > self._places() and not self.machine.has_room
        return [Report(5196)] if self._is_refused and not was_refused else []

    def _spawn(self, now: float, replaces: int) -> Spawn:
        limit_s = self.scaled(self.settings.process_model.startup_time_limit_s)
        worker_id = next(self._ids)
        worker = Worker(worker_id, self.generation, now, now + limit_s, replaces, PingWatch(now))
        worker.wear = Wear(early_share(worker_id, self.max_processes))
        self.workers[worker_id] = worker
        self.machine.workers.add(worker_id)
        return Spawn(worker.id, self.generation, replaces)
