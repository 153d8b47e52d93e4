"""What the manager does about processor time, with a clock and a meter of the test's own."""

import itertools
from types import SimpleNamespace

import pytest

from was.config.model import AppPool, Cpu, CpuAction, WebLimits
from was.ipc.endpoints import pool_key
from was.manager import processors
from was.manager.control_groups import ControlGroups
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
def rig(monkeypatch, tmp_path):
    """make(cpu) -> (Processors, pool, performer); without control groups if not asked for."""
    monkeypatch.setattr(processors, "CpuMeter", Meter)
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 2)
    Meter.used_s = 0.0

    def make(cpu, *, control_groups=False):
        clock = SimpleNamespace(monotonic=lambda: 0.0, scaled=lambda s: s)
        config = SimpleNamespace(web_limits=WebLimits(control_groups=control_groups))
        pool = ApplicationPool(AppPool(name="P", cpu=cpu), itertools.count(1), lambda s: s)
        pool.start(0.0)
        performer = Performer()
        home = SimpleNamespace(path=tmp_path)
        files = SimpleNamespace(read=lambda name: {}, write=lambda name, record: None)
        server = SimpleNamespace(clock=clock, config=config, home=home, files=files)
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


def test_who_is_left_in_a_group_is_not_held_when_the_server_has_ended(rig, monkeypatch, tmp_path):
    """Hundreds of killed processes need processor time to be gone, before the group can go."""
    found, _, _ = rig(Cpu(limit=10_000, action=CpuAction.THROTTLE), control_groups=True)
    groups = ControlGroups(1, (tmp_path,), "was-1")
    groups.group(pool_key("P"))
    folder = tmp_path / f"was-1-{pool_key('P')}"
    (folder / "cpu.stat").write_text("nr_throttled 0\n")  # what is in a folder keeps it there
    (folder / "cpuacct.usage").write_text("0\n")
    monkeypatch.setattr(processors, "find", lambda *a, **k: groups)
    monkeypatch.setattr(processors, "REMOVE_TRIES", 1)
    found.tick(0.0)
    quota = folder / "cpu.cfs_quota_us"
    assert int(quota.read_text()) > 0
    found.close()
    assert quota.read_text() == "-1"
