"""Recycling rules, and what a changed configuration does to a pool."""

import itertools

import pytest

from was.config.model import (
    AppPool,
    Failure,
    PeriodicRestart,
    PoolPython,
    PoolRequests,
    ProcessModel,
    RecycleReason,
    Recycling,
    ServerConfig,
)
from was.manager.reload import compare_pools, needs_recycle
from was.manager.wear import Wear, WorkerSample, early_share


@pytest.mark.parametrize(
    ("sample", "limits", "reason"),
    [
        (WorkerSample(104400.0, 0, 0), PeriodicRestart(), RecycleReason.TIME),
        (WorkerSample(104399.0, 9, 0), PeriodicRestart(), None),
        (WorkerSample(9e9, 0, 0), PeriodicRestart(time_s=0.0), None),
        (WorkerSample(1.0, 100, 0), PeriodicRestart(requests=100), RecycleReason.REQUESTS),
        (WorkerSample(1.0, 99, 0), PeriodicRestart(requests=100), None),
    ],
)
def test_a_rule_is_due_at_its_limit_and_off_at_zero(sample, limits, reason):
    """Time and requests; 0 switches either off."""
    assert Wear().due(sample, limits, lambda s: s) is reason


def test_durations_are_scaled():
    """A testing home's hours pass in seconds."""
    sample = WorkerSample(60.0, 0, 0)
    assert Wear().due(sample, PeriodicRestart(time_s=3600.0), lambda s: s / 60)


@pytest.mark.parametrize(
    ("limits", "over", "reason"),
    [
        (PeriodicRestart(memory=500), WorkerSample(1.0, 0, 0, 500, 0), RecycleReason.MEMORY),
        (
            PeriodicRestart(private_memory=50),
            WorkerSample(1.0, 0, 0, 500, 50),
            RecycleReason.PRIVATE_MEMORY,
        ),
    ],
)
def test_memory_counts_when_two_samples_in_a_row_are_over(limits, over, reason):
    """One sample over the limit is a peak; a sample below it begins the count anew."""
    wear = Wear()
    below = WorkerSample(1.0, 0, 0, 10, 10)
    looks = [wear.due(sample, limits, lambda s: s) for sample in (over, below, over, over)]
    assert looks == [None, None, None, reason]


def test_what_was_not_measured_is_under_every_limit():
    """A worker whose memory cannot be read is left alone."""
    wear = Wear()
    limits = PeriodicRestart(memory=1, private_memory=1)
    assert [wear.due(WorkerSample(1.0, 0, 0), limits, lambda s: s) for _ in range(3)] == [None] * 3


def test_the_workers_of_a_web_garden_are_due_at_different_times():
    """Each comes early by a share of its own, at most a tenth; one that is alone is punctual."""
    assert early_share(7, 1) == 0.0
    shares = sorted(early_share(worker_id, 4) for worker_id in range(1, 5))
    assert 0.0 <= shares[0] <= shares[-1] < 0.1
    assert min(b - a for a, b in itertools.pairwise(shares)) > 0.01
    wear = Wear(early=0.1)
    assert wear.due(WorkerSample(1.0, 90, 0), PeriodicRestart(requests=100), lambda s: s)


@pytest.mark.parametrize(
    "changed",
    [
        {"process_model": ProcessModel(idle_timeout_s=60.0)},
        {"process_model": ProcessModel(ping_interval_s=5.0)},
        {"python": PoolPython(threads=4)},
        {"environment_variables": {"A": "1"}},
        {"recycling": Recycling(periodic_restart=PeriodicRestart(requests=5))},
        {"failure": Failure(orphan_worker_process=True)},
    ],
)
def test_what_a_worker_is_started_with_recycles(changed):
    """Such a change needs new processes."""
    assert needs_recycle(AppPool(name="P"), AppPool(name="P", **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"queue_length": 10},
        {"requests": PoolRequests(time_limit_s=5.0)},
        {"process_model": ProcessModel(max_processes=4)},
        {"failure": Failure(rapid_fail_protection_max_crashes=2)},
        {"file": "elsewhere", "line": 7},
    ],
)
def test_what_is_applied_live_does_not_recycle(changed):
    """Queue limits, protection and numbers of processes take hold at once."""
    assert not needs_recycle(AppPool(name="P"), AppPool(name="P", **changed))


def test_pools_are_compared_by_name():
    """Added, removed and changed pools are told apart."""
    old = {n: AppPool(name=n) for n in ("same", "gone", "changed")}
    new = {
        "same": AppPool(name="same"),
        "changed": AppPool(name="changed", python=PoolPython(threads=3)),
        "new": AppPool(name="new"),
    }
    changes = compare_pools(old, ServerConfig(home="/", app_pools=new, sites=()))
    assert (changes.added, changes.removed, changes.recycled) == (("new",), ("gone",), ("changed",))
