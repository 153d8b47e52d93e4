"""Orphans: when a pool makes one, and what program is run about it."""

import itertools

import pytest

from was.config.model import AppPool, Failure, RecycleReason
from was.manager.actions import AutoShutdown, Kill, Orphan, RecycleSettled, Spawn
from was.manager.orphans import command_of
from was.manager.pool import ApplicationPool


def running_pool(**failure) -> ApplicationPool:
    settings = AppPool(name="P", failure=Failure(**failure))
    pool = ApplicationPool(settings, itertools.count(1), lambda s: s)
    pool.start(0.0)
    pool.demand(0.0, further=False)
    pool.worker_loaded(1, 0.0)
    pool.worker_attached(1, 0.0)
    return pool


@pytest.mark.parametrize("event_id", [5010, 5011, 5012, 5013, 5127])
def test_a_failed_worker_is_orphaned_where_configured(event_id):
    """Instead of Kill the action is Orphan, and the pool knows the worker no more."""
    pool = running_pool(orphan_worker_process=True)
    actions = pool.worker_failed(1, 1.0, event_id)
    assert Orphan(1) in actions
    assert Kill(1) not in actions
    assert 1 not in pool.workers
    assert Kill(1) in running_pool().worker_failed(1, 1.0, event_id)


def test_a_worker_that_cannot_start_is_no_orphan():
    """It ends by itself: there is nothing to keep."""
    pool = running_pool(orphan_worker_process=True)
    assert Kill(1) in pool.worker_failed(1, 1.0, 5059)


def test_an_orphan_counts_as_a_failure_and_is_replaced_on_demand():
    """Rapid-fail protection counts it, once the listener has taken its requests back."""
    pool = running_pool(orphan_worker_process=True)
    pool.worker_failed(1, 1.0, 5010)
    assert pool.failure_count(1.0) == 0
    actions = pool.death_settled(1, 1.0, frozenset(), has_waiting=True)
    assert pool.failure_count(1.0) == 1
    actions += pool.tick(2.0)
    assert [a.worker_id for a in actions if isinstance(a, Spawn)] == [2]


def test_a_recycling_that_waits_for_an_orphan_has_ended():
    """Nobody waits for a worker that will never go."""
    pool = running_pool(orphan_worker_process=True)
    pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0, 7)
    pool.worker_loaded(2, 1.0)
    pool.worker_attached(2, 1.0)
    assert RecycleSettled(7, "") in pool.worker_failed(1, 100.0, 5013)


def test_nobody_is_orphaned_while_the_server_ends():
    """A server that stops leaves no process."""
    pool = running_pool(orphan_worker_process=True)
    pool.shut_down(1.0, drain=True)
    assert Kill(1) in pool.worker_failed(1, 100.0, 5013)


def test_a_disabled_pool_runs_its_program_once():
    """AutoShutdown comes with rapid-fail protection, not with an administrator's stop."""
    pool = running_pool(rapid_fail_protection_max_crashes=1)
    pool.worker_exited(1, 1.0, served=True, how="SIGKILL")
    actions = pool.death_settled(1, 1.0, frozenset(), has_waiting=False)
    assert actions.count(AutoShutdown()) == 1
    assert AutoShutdown() not in pool.tick(2.0)
    assert AutoShutdown() not in running_pool().stop(1.0)


@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ("", []),
        ("-p %1%", ["-p", "42"]),
        ("--out=/tmp/core.%1% 'two words'", ["--out=/tmp/core.42", "two words"]),
        ("$HOME; echo", ["$HOME;", "echo"]),
        ("'%1% x'", ["42 x"]),
    ],
)
def test_command_of(parameters, arguments):
    """%1% is the pid wherever it stands; no shell reads the rest."""
    assert command_of("/bin/x", parameters, 42) == ["/bin/x", *arguments]


def test_command_of_refuses_an_open_quote():
    """A quote without its end is an error to report, not a guess."""
    with pytest.raises(ValueError, match="quotation"):
        command_of("/bin/x", "'a", 42)
