"""What rapid-fail protection counts: DESIGN's list, and nothing else."""

import itertools

import pytest

from was.config.model import AppPool, ProcessModel, RecycleReason
from was.manager.health import BACKOFF_MOST_S
from was.manager.pool import ApplicationPool
from was.manager.wear import WorkerSample

LATER = 10.0  # when nobody waits any more for what the listener has to say of a death


def pool_with_worker(*, is_running: bool = True) -> ApplicationPool:
    """Worker 1 runs, or starts."""
    settings = AppPool(name="P", process_model=ProcessModel(idle_timeout_s=60.0))
    pool = ApplicationPool(settings, itertools.count(1), lambda s: s)
    pool.start(0.0)
    pool.demand(0.0, further=False)
    if is_running:
        pool.worker_loaded(1, 0.0)
        pool.worker_attached(1, 0.0)
    return pool


@pytest.mark.parametrize("event_id", [5012, 5059, 5127])
def test_a_start_that_fails_counts(event_id):
    """Too late, with an error, or with a message that is none; its end is not counted again."""
    pool = pool_with_worker(is_running=False)
    pool.worker_failed(1, 1.0, event_id)
    pool.worker_exited(1, 1.1, served=False, how="SIGKILL")
    assert pool.failure_count(LATER) == 1


@pytest.mark.parametrize("event_id", [5010, 5011, 5127])
def test_a_worker_that_is_given_up_counts(event_id):
    """A missed ping, a broken connection, an ill-formed message."""
    pool = pool_with_worker()
    pool.worker_failed(1, 1.0, event_id)
    pool.worker_exited(1, 1.1, served=True, how="SIGKILL")
    assert pool.failure_count(LATER) == 1


@pytest.mark.parametrize("how", ["exit 0", "exit 1", "SIGSEGV", "SIGKILL"])
@pytest.mark.parametrize("is_running", [True, False])
def test_an_end_that_nobody_asked_for_counts(how, is_running):
    """Whatever the exit code, and whether it had served."""
    pool = pool_with_worker(is_running=is_running)
    pool.worker_exited(1, 1.0, served=is_running, how=how)
    assert pool.failure_count(LATER) == 1


def test_a_start_that_the_machine_has_no_room_for_does_not_count():
    """A full disk, no descriptor: it waits as after any other, and is tried again for ever."""
    pool = pool_with_worker(is_running=False)
    now = 0.0
    for worker_id in range(1, 20):
        pool.worker_exited(worker_id, now, served=False, how="was never forked", is_counted=False)
        assert worker_id + 1 not in pool.workers
        now += BACKOFF_MOST_S
        pool.tick(now)
        assert worker_id + 1 in pool.workers
    assert (pool.failure_count(LATER), pool.is_accepting, pool.is_held_up) == (0, True, True)


def test_an_end_that_was_asked_for_does_not_count():
    """Idle, recycled, stopped by an administrator, shut out over processor time."""
    idle = pool_with_worker()
    idle.recycling.sample(1, WorkerSample(60.0, 1, 0, 0, 0), 61.0)
    idle.recycling.sample(1, WorkerSample(130.0, 1, 0, 0, 0), 130.0)
    recycled = pool_with_worker()
    recycled.recycling.recycle(RecycleReason.ON_DEMAND, 1.0)
    recycled.worker_loaded(2, 1.0)
    recycled.worker_attached(2, 1.0)
    stopped = pool_with_worker()
    stopped.stop(1.0)
    shut_out = pool_with_worker()
    shut_out.shut_out(60.0)
    for pool in (idle, recycled, stopped, shut_out):
        pool.worker_exited(1, 140.0, served=True, how="exit 0")
        assert 1 not in pool.workers
        assert pool.failure_count(150.0) == 0


def test_a_worker_that_is_killed_for_stopping_slowly_does_not_count():
    """It was to go anyway: shutdownTimeLimit says how long it may take."""
    pool = pool_with_worker()
    pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0)
    pool.worker_loaded(2, 1.0)
    pool.worker_attached(2, 1.0)
    pool.worker_failed(1, 100.0, 5013)
    pool.worker_exited(1, 100.1, served=True, how="SIGKILL")
    assert pool.failure_count(110.0) == 0
