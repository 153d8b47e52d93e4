"""ApplicationPool under anything that may happen in any order."""

import itertools
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from was.config.model import (
    AppPool,
    Failure,
    IdleTimeoutAction,
    PeriodicRestart,
    ProcessModel,
    RecycleReason,
    Recycling,
    StartMode,
)
from was.manager.actions import (
    Activate,
    Drain,
    Freeze,
    Kill,
    Orphan,
    RecycleSettled,
    SendPing,
    Spawn,
    Stop,
    Suspend,
    Thaw,
)
from was.manager.machine import Machine
from was.manager.pool import ApplicationPool
from was.manager.pool_record import AdoptedWorker, restore, to_record
from was.manager.states import WorkerState
from was.manager.wear import WorkerSample

# How often each thing happens: what ends a pool's life is rare, what fills it is frequent.
EVENTS = {
    "demand": 4,
    "further": 10,
    "loaded": 4,
    "attached": 4,
    "run": 25,
    "exit": 6,
    "exit unserved": 2,
    "settle": 2,
    "fail": 2,
    "start failed": 2,
    "recycle": 4,
    "recycle one": 4,
    "worker asks": 3,
    "scheduled": 2,
    "worn out": 4,
    "stop": 1,
    "start": 2,
    "idle": 25,
    "suspended": 25,
    "not quiet": 3,
    "wake": 1,
    "busy": 4,
    "pong": 8,
    "tick": 8,
    "change": 4,
    "manager killed": 2,
    "shut out": 0.5,
    "shut down": 0.2,
}
PASSING = [0.0, 0.0, 0.0, 0.01, 0.2, 3.0, 31.0, 95.0]
LONG = 300


def random_steps(seed: int):
    """(event, which one, how long after the last) without end."""
    chance = random.Random(seed)
    names, weights = list(EVENTS), list(EVENTS.values())
    while True:
        (name,) = chance.choices(names, weights)
        yield name, chance.randrange(6), chance.choice(PASSING)


SETTINGS = st.builds(
    AppPool,
    name=st.just("P"),
    start_mode=st.sampled_from(StartMode),
    process_model=st.builds(
        ProcessModel,
        max_processes=st.integers(0, 3),
        idle_timeout_s=st.just(0.1),
        idle_timeout_action=st.sampled_from(IdleTimeoutAction),
    ),
    recycling=st.builds(
        Recycling,
        disallow_overlapping_rotation=st.booleans(),
        disallow_rotation_on_config_change=st.booleans(),
        periodic_restart=st.just(PeriodicRestart(requests=100, schedule=(3600.0,))),
    ),
    failure=st.builds(
        Failure,
        orphan_worker_process=st.booleans(),
        rapid_fail_protection=st.booleans(),
        rapid_fail_protection_retry_s=st.sampled_from([0.0, 30.0]),
    ),
)


class World:
    """Believes the actions and checks them against what it was told before."""

    def __init__(self, configured: AppPool) -> None:
        self.ids = itertools.count(1)
        self.tokens = itertools.count(1)
        self.pool = self._make(configured)
        self.alive: set[int] = set()
        self.dispatching: set[int] = set()
        self.waiting: set[int] = set()
        self.frozen: set[int] = set()
        self.asked: set[int] = set()  # to be suspended, and the listener has not answered
        self.pings: dict[int, int] = {}
        self.most_alive = self._bound()

    def _make(self, configured: AppPool) -> ApplicationPool:
        return ApplicationPool(configured, self.ids, lambda s: s, Machine(nodes=2, most_workers=4))

    def _bound(self) -> int:
        is_apart = self.pool.settings.recycling.disallow_overlapping_rotation
        return self.pool.max_processes * (1 if is_apart else 2)

    def do(self, actions) -> None:
        for action in actions:
            if isinstance(action, Activate | Drain | Stop | Kill | Orphan):
                self.asked.discard(action.worker_id)  # what is answered now is overtaken
            match action:
                case Spawn(worker_id):
                    assert worker_id not in self.alive
                    self.alive.add(worker_id)
                    assert len(self.alive) <= self._bound()
                case Activate(worker_id, replaces):
                    assert worker_id in self.alive - self.frozen
                    self.dispatching -= set(replaces)
                    self.dispatching.add(worker_id)
                    assert len(self.dispatching) <= self.pool.max_processes
                case Drain(worker_id) | Stop(worker_id):
                    assert worker_id in self.alive - self.frozen
                    self.dispatching.discard(worker_id)
                case Suspend(worker_id):
                    self.dispatching.remove(worker_id)
                    self.asked.add(worker_id)
                case Freeze(worker_id):
                    assert worker_id in self.alive - self.dispatching
                    self.frozen.add(worker_id)
                case Thaw(worker_id):
                    self.frozen.discard(worker_id)
                case Kill(worker_id):
                    assert worker_id in self.alive
                    self.dispatching.discard(worker_id)
                case Orphan(worker_id):
                    assert worker_id in self.alive
                    self.alive.discard(worker_id)
                    self.dispatching.discard(worker_id)
                case RecycleSettled(token):
                    self.waiting.remove(token)
                case SendPing(worker_id, nonce):
                    assert worker_id in self.dispatching
                    self.pings[worker_id] = nonce
                case _:
                    pass
        assert len(self.dispatching) <= self.pool.max_processes
        # A lowered limit is met as workers go, and none comes before.
        self.most_alive = max(self._bound(), min(self.most_alive, len(self.alive)))
        assert len(self.alive) <= self.most_alive
        assert set(self.pool.workers) == self.alive == self.pool.places.machine.workers
        assert all(w.state is not WorkerState.STOPPED for w in self.pool.workers.values())
        running = {w.id for w in self.pool.workers.values() if w.state is WorkerState.RUNNING}
        assert running == self.dispatching

    def exit(self, worker_id: int, now: float, *, served: bool) -> None:
        self.alive.discard(worker_id)
        self.dispatching.discard(worker_id)
        self.frozen.discard(worker_id)
        self.asked.discard(worker_id)
        self.do(self.pool.worker_exited(worker_id, now, served=served, how="SIGKILL"))

    def replace_manager(self, now: float) -> None:
        """A new manager takes over: what neither serves nor finishes is ended with the old one."""
        old = self.pool
        kept = [
            AdoptedWorker(
                w.id, w.generation, w.started_at, w.finished, w.state is WorkerState.STOPPING
            )
            for w in old.workers.values()
            if w.state in {WorkerState.RUNNING, WorkerState.STOPPING, WorkerState.SUSPENDED}
        ]
        # Its end has woken those that were suspended, and the listener gives them requests.
        self.dispatching |= {w.id for w in kept if not w.is_draining}
        self.frozen.clear()
        self.asked.clear()
        self.pool = self._make(old.settings)
        self.alive = {worker.id for worker in kept}
        self.waiting.clear()
        self.pings.clear()
        restore(self.pool, to_record(old), kept, now)
        self.do(self.pool.tick(now))


def step(world: World, name: str, index: int, now: float, changed: AppPool) -> None:
    pool = world.pool
    ids = sorted(world.alive)
    one = ids[index % len(ids)] if ids else 99_999
    match name:
        case "demand" | "further":
            world.do(pool.demand(now, further=name == "further"))
        case "loaded":
            world.do(pool.worker_loaded(one, now))
        case "attached":
            world.do(pool.worker_attached(one, now))
        case "run":
            starting = [w.id for w in pool.workers.values() if w.state is WorkerState.STARTING]
            for worker_id in starting[:1]:
                world.do(pool.worker_loaded(worker_id, now))
                world.do(pool.worker_attached(worker_id, now))
        case "exit" | "exit unserved":
            if ids:
                world.exit(one, now, served=name == "exit")
        case "settle":
            world.do(pool.death_settled(index, now, frozenset(), has_waiting=index % 2 == 0))
        case "fail" | "start failed":
            world.do(pool.worker_failed(one, now, 5127 if name == "fail" else 5059))
        case "recycle" | "recycle one":
            token = next(world.tokens)
            world.waiting.add(token)
            only = one if name == "recycle one" else None
            world.do(pool.recycling.recycle(RecycleReason.ON_DEMAND, now, token, only))
        case "worker asks":
            world.do(pool.recycling.worker_asks(one, RecycleReason.ISAPI_UNHEALTHY, now, ""))
        case "scheduled":
            pool.recycling.look_at_clock(index * 3600.0)
        case "stop":
            world.do(pool.stop(now))
        case "start":
            world.do(pool.start(now))
        case "idle":
            finished = pool.workers[one].finished if one in pool.workers else 0
            world.do(pool.recycling.sample(one, WorkerSample(9.0, finished, 0), now))
        case "suspended":
            one = world.asked.pop() if world.asked else one
            world.do(pool.worker_suspended(one, now, is_quiet=True))
        case "not quiet" if world.asked:
            one = world.asked.pop()
            world.dispatching.add(one)  # where it has stayed
            world.do(pool.worker_suspended(one, now, is_quiet=False))
        case "wake":
            world.do(pool.wake(now))
        case "busy":
            world.do(pool.recycling.sample(one, WorkerSample(9.0, index, 1), now))
        case "worn out":
            world.do(pool.recycling.sample(one, WorkerSample(9.0, 100, 1), now))
        case "pong":
            pool.pong(one, world.pings.get(one, 0), now)
        case "change":
            world.do(pool.apply(changed, now))
            if not changed.recycling.disallow_rotation_on_config_change:
                world.do(pool.recycling.recycle(RecycleReason.CONFIG_CHANGE, now))
        case "manager killed":
            world.replace_manager(now)
        case "shut out":
            world.do(pool.shut_out(now + index))
        case "shut down":
            world.do(pool.shut_down(now, drain=True))
        case _:
            world.do(pool.tick(now))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, LONG), SETTINGS, SETTINGS)
def test_no_order_of_things_breaks_the_bounds(seed, length, configured, changed):
    """Whatever happens: only transitions of the table, at most maxProcesses workers in dispatch,
    at most twice as many alive (once without overlap), every recycling settled once, only workers
    in dispatch are pinged, nobody who is frozen is expected to act, and quiet after a stop."""
    world = World(configured)
    now = 0.0
    world.do(world.pool.start(now))
    for name, index, passed in itertools.islice(random_steps(seed), length):
        now += passed
        step(world, name, index, now, changed if index % 2 else configured)
    world.do(world.pool.stop(now))
    for worker_id in sorted(world.alive):
        world.exit(worker_id, now, served=True)
    assert not world.alive
    assert not world.waiting
    assert world.pool.next_deadline() is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), SETTINGS)
def test_time_alone_comes_to_rest(seed, configured):
    """Ticking at each deadline in turn moves the next one on: no loop spins."""
    world = World(configured)
    now = 0.0
    world.do(world.pool.start(now))
    for name, index, passed in itertools.islice(random_steps(seed), LONG):
        now += passed
        step(world, name, index, now, replace(configured, start_mode=StartMode.ON_DEMAND))
        for _ in range(20):
            due = world.pool.next_deadline()
            if due is None or due > now:
                break
            world.do(world.pool.tick(now + 1e-6))
        else:
            raise AssertionError(f"still due at {due}, now {now}")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 32), SETTINGS)
def test_a_pool_that_is_not_due_has_nothing_to_do(seed, configured):
    """The manager ticks the pools that say so: the others' ticks would lead to nothing."""
    world = World(configured)
    now = 0.0
    world.do(world.pool.start(now))
    for name, index, passed in itertools.islice(random_steps(seed), LONG):
        now += passed
        step(world, name, index, now, replace(configured, start_mode=StartMode.ON_DEMAND))
        deadline = world.pool.next_deadline()
        if deadline is None or deadline > now:
            assert world.pool.tick(now) == []
