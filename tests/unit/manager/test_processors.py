"""What the manager does about processor time, with a clock and a meter of the test's own."""

import itertools
from types import SimpleNamespace

import pytest

from was.config.model import AppPool, Cpu, CpuAction, WebLimits
from was.manager import processors
from was.manager.pool import ApplicationPool
from was.manager.processors import Processors


class Performer:
    """Notes what is reported and performed."""

    def __init__(self):
        self.events = []
        self.performed = []

    def report(self, pool, event_id, worker_id, fields):
        self.events.append((event_id, fields.get("action")))

    def perform(self, pool, actions):
        self.performed += actions


class Meter:
    used_s = 0.0

    def read(self, workers):
        return Meter.used_s


@pytest.fixture
def rig(monkeypatch):
    """make(cpu) -> (Processors, pool, performer); without control groups."""
    monkeypatch.setattr(processors, "CpuMeter", Meter)
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 2)
    Meter.used_s = 0.0

    def make(cpu):
        clock = SimpleNamespace(monotonic=lambda: 0.0, scaled=lambda s: s)
        config = SimpleNamespace(web_limits=WebLimits(control_groups=False))
        pool = ApplicationPool(AppPool(name="P", cpu=cpu), itertools.count(1), lambda s: s)
        pool.start(0.0)
        performer = Performer()
        server = SimpleNamespace(clock=clock, config=config)
        workers = SimpleNamespace(handles={})
        return Processors(server, performer, workers, {"P": pool}), pool, performer

    return make


def test_a_pool_without_a_limit_is_not_looked_at(rig):
    """No deadline, nobody who limits it."""
    found, _, _ = rig(Cpu())
    found.tick(0.0)
    assert found.next_deadline() is None
    assert found.limited_by("P") == ""


def test_no_action_is_an_event_an_interval(rig):
    """And nothing else."""
    found, pool, performer = rig(Cpu(limit=10_000, reset_interval_s=60.0))
    found.tick(0.0)
    assert found.limited_by("P") == "manager"
    Meter.used_s = 13.0
    found.tick(59.0)
    assert performer.events == [(5025, "NoAction")]
    assert found.next_deadline() == 60.0
    assert pool.is_accepting


def test_kill_w3wp_shuts_the_pool_out_until_the_interval_is_over(rig):
    """The pool knows when it may come back."""
    found, pool, performer = rig(
        Cpu(limit=10_000, reset_interval_s=60.0, action=CpuAction.KILL_W3WP)
    )
    found.tick(0.0)
    Meter.used_s = 13.0
    found.tick(30.0)
    assert (pool.refusal, pool.availability.resume_at) == ("AppShutdown", 60.0)
    assert performer.events == [(5025, "KillW3wp")]


def test_a_limit_that_goes_away_is_forgotten(rig):
    """A reload changes the pool's settings; the next look sees it."""
    found, pool, _ = rig(Cpu(limit=10_000, action=CpuAction.THROTTLE))
    found.tick(0.0)
    assert found.next_deadline() is not None
    pool.apply(AppPool(name="P"), 1.0)
    found.tick(1.0)
    assert found.next_deadline() is None
    assert found.limited_by("P") == ""


def test_nothing_is_looked_at_while_the_server_ends(rig):
    """No deadline is left that nobody would meet."""
    found, _, performer = rig(Cpu(limit=10_000, reset_interval_s=60.0))
    found.tick(0.0)
    Meter.used_s = 13.0
    found.let_go()
    found.tick(59.0)
    assert found.next_deadline() is None
    assert performer.events == []
