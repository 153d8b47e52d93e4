"""Pools that are out of service for a while: shut out over processor time, disabled, on trial."""

import itertools

from was.config.model import AppPool, Failure, ProcessModel, StartMode
from was.manager.actions import AutoShutdown, Drain, Kill, Publish, Report, Spawn
from was.manager.pool import ApplicationPool
from was.manager.pool_record import restore, to_record
from was.manager.states import PoolState

FAILURE = {"rapid_fail_protection_max_crashes": 2, "rapid_fail_protection_interval_s": 300.0}


def running_pool(mode=StartMode.ON_DEMAND, processes=1, **failure) -> ApplicationPool:
    settings = AppPool(
        name="P",
        start_mode=mode,
        process_model=ProcessModel(max_processes=processes),
        failure=Failure(**{**FAILURE, **failure}),
    )
    pool = ApplicationPool(settings, itertools.count(1), lambda s: s)
    pool.start(0.0)
    run(pool, 0.0)
    return pool


def run(pool, now) -> int:
    pool.demand(now, further=False)
    worker_id = max(pool.workers)
    pool.worker_loaded(worker_id, now)
    pool.worker_attached(worker_id, now)
    return worker_id


def crash(pool, now):
    worker_id = max(pool.workers)
    pool.worker_exited(worker_id, now, served=True, how="SIGKILL")
    return pool.death_settled(worker_id, now, frozenset(), has_waiting=False)


def spawned(actions) -> list[int]:
    return [a.worker_id for a in actions if isinstance(a, Spawn)]


# ── processor time ──────────────────────────────────────────────────────────────────────────────


def test_a_pool_that_is_shut_out_has_no_worker_and_no_failure():
    """Its workers are killed, their requests not blamed, and nothing starts until the time."""
    pool = running_pool()
    actions = pool.shut_out(60.0)
    assert actions.index(Drain(1)) < actions.index(Kill(1))
    assert Publish() in actions
    assert (pool.is_accepting, pool.refusal) == (False, "AppShutdown")
    actions = pool.worker_exited(1, 10.1, served=True, how="SIGKILL")
    assert not [a for a in actions if isinstance(a, Report)]
    assert pool.failure_count(10.2) == 0
    assert pool.demand(20.0, further=False) == []
    assert spawned(pool.tick(59.9)) == []
    assert pool.next_deadline() == 60.0


def test_a_pool_comes_back_when_its_interval_is_over():
    """OnDemand with the next request, AlwaysRunning at once."""
    pool = running_pool()
    pool.shut_out(60.0)
    pool.worker_exited(1, 10.1, served=True, how="SIGKILL")
    assert Publish() in pool.tick(60.0)
    assert pool.is_accepting
    assert spawned(pool.demand(61.0, further=False)) == [2]
    pool = running_pool(StartMode.ALWAYS_RUNNING)
    pool.shut_out(60.0)
    pool.worker_exited(1, 10.1, served=True, how="SIGKILL")
    assert spawned(pool.tick(60.0)) == [2]


def test_an_administrator_may_start_and_stop_a_pool_that_is_shut_out():
    """What a person says counts."""
    pool = running_pool()
    pool.shut_out(60.0)
    pool.start(20.0)
    assert pool.is_accepting
    assert pool.availability.resume_at is None
    pool.shut_out(60.0)
    pool.stop(31.0)
    pool.tick(61.0)
    assert (pool.is_accepting, pool.refusal) == (False, "Disabled")


# ── the trial of a disabled pool ────────────────────────────────────────────────────────────────


def disabled_pool(**options) -> ApplicationPool:
    pool = running_pool(rapid_fail_protection_retry_s=60.0, **options)
    crash(pool, 1.0)
    run(pool, 2.0)
    assert AutoShutdown() in crash(pool, 3.0)
    assert pool.state is PoolState.DISABLED
    for worker_id in list(pool.workers):
        pool.worker_exited(worker_id, 4.0, served=True, how="exit 0")
    return pool


def test_a_disabled_pool_stays_so_by_default():
    """As on IIS: until an administrator starts it."""
    pool = running_pool()
    crash(pool, 1.0)
    run(pool, 2.0)
    crash(pool, 3.0)
    assert pool.state is PoolState.DISABLED
    assert pool.availability.resume_at is None
    pool.tick(1e9)
    assert pool.state is PoolState.DISABLED


def test_a_trial_begins_after_the_retry_time():
    """The pool takes requests again, with one worker however many it may have."""
    pool = disabled_pool(mode=StartMode.ALWAYS_RUNNING, processes=3)
    pool.tick(62.9)
    assert pool.refusal == "AppOffline"
    assert len(spawned(pool.tick(63.0))) == 1
    assert pool.is_accepting
    run(pool, 64.0)
    assert spawned(pool.demand(65.0, further=True)) == []
    assert len(spawned([*pool.tick(363.0), *pool.tick(363.0)])) == 2


def test_one_failure_ends_a_trial():
    """The pool is disabled again, and its next trial is as far away as the first was."""
    pool = disabled_pool()
    pool.tick(63.0)
    run(pool, 64.0)
    assert AutoShutdown() in crash(pool, 65.0)
    assert pool.state is PoolState.DISABLED
    pool.tick(124.9)
    assert not pool.is_accepting
    pool.tick(125.0)
    assert pool.is_accepting


def test_a_trial_is_passed_after_an_interval_without_failure():
    """From then on the pool may fail as often as any other."""
    pool = disabled_pool()
    pool.tick(63.0)
    run(pool, 64.0)
    assert Publish() in pool.tick(363.0)
    crash(pool, 364.0)
    assert pool.is_accepting


def test_a_trial_outlives_the_manager():
    """The next manager goes on where the last one was."""
    pool = disabled_pool()
    record = to_record(pool)
    later = ApplicationPool(pool.settings, itertools.count(9), lambda s: s)
    restore(later, record, [], 10.0)
    assert later.next_deadline() == 63.0
    later.tick(63.0)
    assert later.availability.trial_until == 363.0
    last = ApplicationPool(pool.settings, itertools.count(9), lambda s: s)
    restore(last, to_record(later), [], 70.0)
    assert last.availability.trial_until == 363.0


def test_a_retry_time_that_is_set_later_counts_from_then():
    """A reload that allows trials reaches pools that are disabled already."""
    pool = running_pool()
    crash(pool, 1.0)
    run(pool, 2.0)
    crash(pool, 3.0)
    failure = Failure(**FAILURE, rapid_fail_protection_retry_s=60.0)
    pool.apply(AppPool(name="P", failure=failure), 100.0)
    pool.tick(159.9)
    assert not pool.is_accepting
    pool.tick(160.0)
    assert pool.is_accepting
