"""The places of a pool: who takes one, who is started for one, and who has to leave. Pure.

`wanted` is how many places the pool should have. A place is a worker that is starting or
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

from was.config.model import AppPool, RecycleReason, StartMode
from was.manager.actions import Action, Activate, Drain, Kill, Note, Publish, Report, Spawn, Thaw
from was.manager.availability import Availability
from was.manager.health import BACKOFF_WAITING_S, Backoff, PingWatch
from was.manager.machine import Machine
from was.manager.record import Worker
from was.manager.states import DISPATCHING, PLACED, WorkerEvent, WorkerState, after
from was.manager.wear import Wear, early_share

__all__ = ["Places"]

# Who may be given requests, or woken for one.
_SERVING = DISPATCHING | {WorkerState.SUSPENDED}

# Who goes last when there are too many.
_KEPT = {WorkerState.RUNNING: 0, WorkerState.SUSPENDED: 1, WorkerState.STARTING: 2}


class Places:
    """The workers of one pool, and how many of them are wanted."""

    def __init__(
        self,
        settings: AppPool,
        availability: Availability,
        ids: Iterator[int],
        scaled: Callable[[float], float],
        machine: Machine,
    ) -> None:
        self.settings = settings
        self.workers: dict[int, Worker] = {}
        self.wanted = 0
        self.generation = 1
        self.machine = machine
        self.scaled = scaled
        self._availability = availability
        self._ids = ids
        self._has_demand = False  # a request has waited since the last worker could take one
        self._backoff = Backoff()
        self._not_before = 0.0
        self._has_lost_all = False  # the last worker did not live, and none runs
        self.is_refused = False  # the machine has as many workers as it may have

    @property
    def max_processes(self) -> int:
        """The most workers in dispatch at a time (0 in the file: one a NUMA node)."""
        if self._availability.is_on_trial:
            return 1
        return self.settings.process_model.max_processes or self.machine.nodes

    @property
    def is_always_running(self) -> bool:
        """Whether workers start without a request."""
        return self.settings.start_mode is StartMode.ALWAYS_RUNNING

    @property
    def _is_apart(self) -> bool:
        """Whether a worker has to go before its successor comes."""
        return self.settings.recycling.disallow_overlapping_rotation

    def taken(self) -> int:
        """Workers that count against `wanted`; without overlap one that still stops does too."""
        counted = PLACED | {WorkerState.STOPPING} if self._is_apart else PLACED
        return sum(1 for w in self.workers.values() if w.state in counted and not self._shares(w))

    def _shares(self, worker: Worker) -> bool:
        return self.predecessor(worker) is not None

    def predecessor(self, worker: Worker) -> Worker | None:
        """The worker in dispatch whose place this one is to take."""
        old = self.workers.get(worker.replaces)
        return old if old is not None and old.state in DISPATCHING else None

    def has_older(self, generation: int) -> bool:
        """Whether workers are in dispatch, or will be, that those of a generation are to replace.

        One whose successor did not become ready stays, and is nobody's predecessor any more.
        """
        return any(
            w.stale and w.generation < generation and w.state in PLACED
            for w in self.workers.values()
        )

    def is_replacing(self) -> bool:
        """Whether a worker is being replaced: periodic restarts go one at a time."""
        return any(
            (w.stale and w.state in DISPATCHING) or w.state is WorkerState.STARTING
            for w in self.workers.values()
        )

    @property
    def is_held_up(self) -> bool:
        """Whether a worker is wanted and none runs, because the last did not live."""
        return self.wanted > 0 and self._has_lost_all

    def next_start(self) -> float | None:
        """When `fill` starts a worker that it could not start yet."""
        if not (self._availability.is_accepting and self._may_start()):
            return None
        return self._not_before if self.wanted > self.taken() else None

    def _has_room(self) -> bool:
        return len(self.workers) < self.max_processes * (1 if self._is_apart else 2)

    def _may_start(self) -> bool:
        """Whether there is room for a worker that replaces none, here and on the machine."""
        return self._has_room() and self.machine.has_room

    # ── how many are wanted ─────────────────────────────────────────────────────────────────────

    def open(self, now: float) -> None:
        """The pool takes requests from now on; what was before says nothing."""
        self._backoff.reset()
        self._not_before = now
        self._has_lost_all = False
        self._has_demand = False
        self.wanted = 0
        self.want_all()

    def close(self) -> None:
        """No worker is wanted any more."""
        self.wanted = 0
        self._has_demand = False

    def demand(self, now: float, *, further: bool) -> list[Action]:
        """A request waits for a worker; `further`: those that run have no credit left."""
        self._has_demand = True
        self._not_before = min(self._not_before, now + BACKOFF_WAITING_S)
        self.wanted = max(self.wanted, 1)
        for worker in self.workers.values():
            if worker.state is WorkerState.SUSPENDED:
                return self.wake(worker, now)
        starting = any(w.state is WorkerState.STARTING for w in self.workers.values())
        if further and not starting:
            self.wanted = min(self.max_processes, max(self.wanted, self.taken() + 1))
        return self.fill(now)

    def resize(self, settings: AppPool, now: float) -> list[Action]:
        """New settings: workers start or go until there are as many as they say."""
        was_always_running = self.is_always_running
        self.settings = settings
        self.wanted = min(self.wanted, self.max_processes)
        if self.is_always_running and self._availability.is_accepting:
            self.want_all()
        elif was_always_running:
            self.wanted = min(self.wanted, self.taken())
        return [*self._shrink(now), *self.fill(now)]

    def want_all(self) -> None:
        """An AlwaysRunning pool has as many as it may have."""
        if self.is_always_running:
            self.wanted = self.max_processes

    def proved(self, worker: Worker) -> None:
        """It has finished a request: the pool can work."""
        worker.has_served = True
        self._backoff.reset()

    def lost(self, worker: Worker, now: float, *, has_run: bool) -> list[Action]:
        """Nobody had asked it to go: how soon may another come, and is it wanted at all?"""
        if has_run and worker.has_served:
            self._backoff.reset()
            self._not_before = now
            return []
        self._not_before = now + self._backoff.take()
        self._give_up_unless_waiting()
        before = self.is_held_up
        self._has_lost_all = self.wanted > 0 and not any(
            w.state in _SERVING for w in self.workers.values()
        )
        return [Publish()] if self.is_held_up != before else []

    def give_up(self) -> None:
        """One place fewer; an AlwaysRunning pool keeps all of its own."""
        if not self.is_always_running:
            self.wanted = max(0, self.wanted - 1)

    def _give_up_unless_waiting(self) -> None:
        if not self._has_demand:
            self.give_up()

    # ── who comes ───────────────────────────────────────────────────────────────────────────────

    def fill(self, now: float) -> list[Action]:
        """Successors for stale workers, then workers for empty places, as far as there is room."""
        if not self._availability.is_accepting:
            return []
        actions: list[Action] = []
        replaced = {w.replaces for w in self.workers.values() if w.state in PLACED}
        for worker in list(self.workers.values()):
            if worker.state not in DISPATCHING or not worker.stale or worker.id in replaced:
                continue
            if self._is_apart:
                self._give_up_unless_waiting()
                actions += self.drain(worker, now)
            elif self._has_room():
                actions.append(self._spawn(now, worker.id))
        while now >= self._not_before and self.wanted > self.taken() and self._may_start():
            actions.append(self._spawn(now, 0))
        return [*actions, *self._report_refusal()]

    def _report_refusal(self) -> list[Action]:
        """Event 5196, once for each time that the machine is full."""
        was_refused = self.is_refused
        self.is_refused = self.wanted > self.taken() and not self.machine.has_room
        return [Report(5196)] if self.is_refused and not was_refused else []

    def _spawn(self, now: float, replaces: int) -> Spawn:
        limit_s = self.scaled(self.settings.process_model.startup_time_limit_s)
        worker_id = next(self._ids)
        worker = Worker(worker_id, self.generation, now, now + limit_s, replaces, PingWatch(now))
        worker.wear = Wear(early_share(worker_id, self.max_processes))
        self.workers[worker_id] = worker
        self.machine.workers.add(worker_id)
        old = self.workers.get(replaces)
        # Where it is the configuration or the code that has changed, what fails is to be seen.
        runs_the_same = old is not None and old.stale != RecycleReason.CONFIG_CHANGE.value
        return Spawn(worker.id, self.generation, replaces, runs_the_same)

    def activate(self, worker: Worker, now: float) -> list[Action]:
        """It has loaded and is attached: it takes requests, and whom it replaces no more."""
        old = self.predecessor(worker)
        worker.state = after(worker.state, WorkerEvent.STARTED)
        worker.deadline = None
        worker.idle_since = now
        worker.ping.next_at = now + self.scaled(self.settings.process_model.ping_interval_s)
        self._has_demand = False
        if old is not None:
            self._leave(old, now)
        publish = [Publish()] if self._has_lost_all else []
        self._has_lost_all = False
        return [
            *publish,
            Activate(worker.id, () if old is None else (old.id,)),
            Note("worker_ready", worker.id),
            *self.fill(now),
        ]

    def wake(self, worker: Worker, now: float) -> list[Action]:
        """One that is suspended takes requests again; nothing to do for another."""
        if worker.state is not WorkerState.SUSPENDED:
            return []
        worker.state = after(worker.state, WorkerEvent.RESUME)
        worker.idle_since = now
        self._has_demand = False
        return [Thaw(worker.id), Activate(worker.id), Note("worker_resumed", worker.id)]

    # ── who goes ────────────────────────────────────────────────────────────────────────────────

    def drain(self, worker: Worker, now: float) -> list[Action]:
        """It finishes what it has and goes; one that has not started goes at once."""
        before = worker.state
        self._leave(worker, now)
        if before is WorkerState.STARTING:
            return [Kill(worker.id)]
        thaw = [Thaw(worker.id)] if before is WorkerState.SUSPENDED else []
        return [*thaw, Drain(worker.id)]

    def _leave(self, worker: Worker, now: float) -> None:
        worker.state = after(worker.state, WorkerEvent.STOP)
        worker.deadline = now + self.scaled(self.settings.process_model.shutdown_time_limit_s)

    def empty(self, now: float) -> list[Action]:
        """No worker is wanted: all that have a place finish and go."""
        self.close()
        actions: list[Action] = []
        for worker in list(self.workers.values()):
            if worker.state in PLACED:
                actions += self.drain(worker, now)
        return actions

    def _shrink(self, now: float) -> list[Action]:
        """Workers for whom there is no place any more go, with their successors."""
        placed = [w for w in self.workers.values() if w.state in PLACED and not self._shares(w)]
        placed.sort(key=lambda worker: _KEPT[worker.state])
        actions: list[Action] = []
        for worker in placed[self.max_processes :]:
            heirs = [w for w in self.workers.values() if w.replaces == worker.id]
            for leaving in (worker, *(w for w in heirs if w.state in PLACED)):
                actions += self.drain(leaving, now)
        return actions
