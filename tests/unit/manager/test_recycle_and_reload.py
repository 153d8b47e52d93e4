"""Recycling rules, and what a changed configuration does to a pool."""

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
from was.manager.recycle import WorkerSample, due_reason
from was.manager.reload import compare_pools, needs_recycle


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
    assert due_reason(sample, limits, lambda s: s) is reason


def test_durations_are_scaled():
    """A testing home's hours pass in seconds."""
    sample = WorkerSample(60.0, 0, 0)
    assert due_reason(sample, PeriodicRestart(time_s=3600.0), lambda s: s / 60)


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
