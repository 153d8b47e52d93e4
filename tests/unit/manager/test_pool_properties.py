"""ApplicationPool under anything that may happen in any order."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from was.config.model import AppPool, Failure, ProcessModel, RecycleReason, Recycling, StartMode
from was.manager.actions import Activate, Drain, Kill, Orphan, RecycleSettled, Spawn, Stop
from was.manager.pool import ApplicationPool
from was.manager.recycle import WorkerSample
from was.manager.states import WorkerState

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "demand",
                "further",
                "further",
                "loaded",
                "attached",
                "run",
                "run",
                "run",
                "run",
                "exit",
                "exit unserved",
                "settle",
                "fail",
                "recycle",
                "recycle",
                "recycle one",
                "stop",
                "start",
                "idle",
                "tick",
                "shut down",
            ]
        ),
        st.integers(0, 5),
        st.sampled_from([0.0, 0.01, 0.2, 3.0, 31.0, 95.0]),
    ),
    min_size=20,
    max_size=60,
)


class World:
    """Believes the actions and checks them against what it was told before."""

    def __init__(self, pool: ApplicationPool) -> None:
        self.pool = pool
        self.alive: set[int] = set()
        self.dispatching: set[int] = set()
        self.waiting: set[int] = set()

    def do(self, actions) -> None:
        for action in actions:
            match action:
                case Spawn(worker_id):
                    assert worker_id not in self.alive
                    self.alive.add(worker_id)
                case Activate(worker_id, replaces):
                    assert worker_id in self.alive
                    self.dispatching -= set(replaces)
                    self.dispatching.add(worker_id)
                case Drain(worker_id) | Stop(worker_id) | Kill(worker_id):
                    assert worker_id in self.alive
                    self.dispatching.discard(worker_id)
                case Orphan(worker_id):
                    assert worker_id in self.alive
                    self.alive.discard(worker_id)
                    self.dispatching.discard(worker_id)
                case RecycleSettled(token):
                    self.waiting.remove(token)
                case _:
                    pass
            assert len(self.dispatching) <= self.pool.max_processes
            assert len(self.alive) <= 2 * self.pool.max_processes
        assert set(self.pool.workers) == self.alive
        running = {w.id for w in self.pool.workers.values() if w.state is WorkerState.RUNNING}
        assert running == self.dispatching

    def exit(self, worker_id: int, now: float, *, served: bool) -> None:
        self.alive.discard(worker_id)
        self.dispatching.discard(worker_id)
        self.do(self.pool.worker_exited(worker_id, now, served=served, how="SIGKILL"))


def step(world: World, name: str, index: int, now: float, tokens) -> None:
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
        case "fail":
            world.do(pool.worker_failed(one, now, 5127))
        case "recycle" | "recycle one":
            token = next(tokens)
            world.waiting.add(token)
            only = one if name == "recycle one" else None
            world.do(pool.recycle(RecycleReason.ON_DEMAND, now, token, only))
        case "stop":
            world.do(pool.stop(now))
        case "start":
            world.do(pool.start(now))
        case "idle":
            world.do(pool.sample(one, WorkerSample(9.0, index, 0), now))
        case "shut down":
            world.do(pool.shut_down(now, drain=True))
        case _:
            world.do(pool.tick(now))


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_no_order_of_things_breaks_the_bounds(steps, most, always, apart, orphans):
    """Whatever happens: only transitions of the table, at most maxProcesses workers in dispatch,
    at most twice as many alive, every recycling settled once, and quiet after a stop."""
    pool = ApplicationPool(
        AppPool(
            name="P",
            start_mode=StartMode.ALWAYS_RUNNING if always else StartMode.ON_DEMAND,
            process_model=ProcessModel(max_processes=most, idle_timeout_s=60.0),
            recycling=Recycling(disallow_overlapping_rotation=apart),
            failure=Failure(orphan_worker_process=orphans),
        ),
        itertools.count(1),
        lambda s: s,
    )
    world = World(pool)
    tokens = itertools.count(1)
    now = 0.0
    world.do(pool.start(now))
    for name, index, passed in steps:
        now += passed
        step(world, name, index, now, tokens)
    world.do(pool.stop(now))
    for worker_id in sorted(world.alive):
        world.exit(worker_id, now, served=True)
    assert not world.alive
    assert not world.waiting
    assert pool.next_deadline() is None


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_time_alone_comes_to_rest(steps):
    """Ticking at each deadline in turn moves the next one on: no loop spins."""
    pool = ApplicationPool(AppPool(name="P"), itertools.count(1), lambda s: s)
    world = World(pool)
    tokens = itertools.count(1)
    now = 0.0
    world.do(pool.start(now))
    for name, index, passed in steps:
        now += passed
        step(world, name, index, now, tokens)
        for _ in range(20):
            due = pool.next_deadline()
            if due is None or due > now:
                break
            world.do(pool.tick(now + 1e-6))
        else:
            raise AssertionError(f"still due at {due}, now {now}")
