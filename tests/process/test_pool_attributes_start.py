"""When workers start and how many: one test per attribute sets it and sees its effect."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.pools import calm_pool, event_ids, pid_of, rewrite
from support.running import Running, place, simple_config
from support.wire import get

from was.manager.machine import count_nodes

Start = Callable[..., Running]


def start(start_server: Start, pool: Pool, extra: str = "", app: str = "starts") -> Running:
    """One site with that application in the pool."""
    config = simple_config(f"{app}:application", pool=pool, extra=extra)
    return start_server(config, place(f"{app}.py"))


@pytest.mark.parametrize("is_protected", [True, False])
def test_a_pool_whose_workers_cannot_be_made_holds_up_no_start(start_server, is_protected):
    """It is tried until rapid-fail protection stops it, once without: the server is ready then."""

    def prepare(home):
        place("starts.py")(home)
        (home / "run").mkdir(exist_ok=True)
        (home / "run" / "pools").touch()  # no folder for its configuration

    failure = {"rapidFailProtection": str(is_protected).lower()}
    pool = Pool("Pool", {"startMode": "AlwaysRunning"}, {"failure": failure})
    running = start_server(simple_config("starts:application", pool=pool), prepare)
    running.allow("worker_spawn_failed", "pool_disabled")
    (row,) = running.server.rows("apppools")
    assert row["state"] == ("stopped" if is_protected else "started")
    assert running.server.command("status", "--check").returncode == 1


def test_a_machine_that_has_all_its_workers_holds_up_no_start(start_server):
    """An AlwaysRunning pool beyond demandStartThreshold waits for a place, and status says so."""
    limit = '<webLimits demandStartThreshold="10" />'
    extra = f"<system.applicationHost>{limit}</system.applicationHost>"
    first = calm_pool(maxProcesses="10")
    config = simple_config("starts:application", pool=first, extra=extra)
    late = '<add name="Late" startMode="AlwaysRunning" />'
    running = start_server(
        config.replace("</applicationPools>", f"{late}</applicationPools>"), place("starts.py")
    )
    running.workers(count=10)
    assert running.server.status()["problems"] == [
        "application pool 'Late' has no worker that is ready"
    ]
    assert running.server.command("stop", "apppool", "Pool").returncode == 0
    running.workers("Late", count=1)


@pytest.mark.parametrize("mode", ["OnDemand", "AlwaysRunning"])
def test_start_mode(start_server, mode):
    """An OnDemand pool has no worker before its first request, an AlwaysRunning one has."""
    running = start(start_server, calm_pool(start=mode))
    before = running.workers()
    assert len(before) == (1 if mode == "AlwaysRunning" else 0)
    pid = pid_of(running)
    assert before in ([], [pid])


@pytest.mark.parametrize("mode", ["OnDemand", "AlwaysRunning"])
def test_auto_start(start_server, mode):
    """Without autoStart the pool is stopped and refuses, whatever its startMode, until started."""
    pool = calm_pool(start=mode)
    pool = replace(pool, attributes={**pool.attributes, "autoStart": "false"})
    running = start(start_server, pool)
    assert get(running.port(), "/").status == 503
    (row,) = running.server.rows("apppools")
    assert (row["state"], row["workers"]) == ("stopped", 0)
    assert running.server.command("start", "apppool", "Pool").returncode == 0
    assert pid_of(running) in running.workers()


def test_queue_length(start_server):
    """Of the requests that wait for a worker only queueLength are kept: 503 for one more."""
    pool = calm_pool(inside='<python threads="2" />', start="OnDemand")
    pool = replace(pool, attributes={**pool.attributes, "queueLength": "10"})
    running = start(start_server, pool, app="gates")
    port = running.port()
    assert get(port).status == 200
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(get(port, "/held?gate=g").status)

    asking = [threading.Thread(target=ask) for _ in range(14)]
    for thread in asking:
        thread.start()
    wait_for("all", lambda: len(statuses) + len(running.server.rows("requests")) == len(asking))
    (running.folder() / "data" / "g.open").touch()
    for thread in asking:
        thread.join()
    # One runs, one may have been given to the worker ahead, ten wait.
    assert statuses.count(200) in {11, 12}
    assert statuses.count(503) == 14 - statuses.count(200)


def flood(running: Running, count: int, ms: int) -> None:
    """So many requests at a time, each of which takes so long."""
    asking = [threading.Thread(target=pid_of, args=(running, ms)) for _ in range(count)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


def test_a_web_garden_grows_with_its_backlog(start_server):
    """The first request starts one worker; only when credit runs out come further ones, up to
    maxProcesses; they stay when the backlog has gone."""
    pool = calm_pool('<python threads="2" />', start="OnDemand", maxProcesses="3")
    running = start(start_server, pool)
    first = pid_of(running)
    assert running.workers(count=1) == [first]
    pid_of(running)
    assert running.workers() == [first]
    flood(running, 12, 300)
    pids = running.workers(count=3)
    assert first in pids
    flood(running, 12, 100)
    assert set(running.workers()) == set(pids)


def test_max_processes_0_is_one_worker_a_numa_node(start_server):
    """As many workers as the kernel lists nodes with processors."""
    running = start(start_server, calm_pool(maxProcesses="0"))
    running.workers(count=count_nodes())
    running.server.command("recycle", "apppool", "Pool", "--wait")
    running.workers(count=count_nodes())


def test_max_processes_is_applied_live(start_server):
    """A larger garden has more workers at once, a smaller one lets some go; none is recycled."""
    running = start(start_server, calm_pool(maxProcesses="3"))
    three = set(running.workers(count=3))
    rewrite(running, lambda text: text.replace('maxProcesses="3"', 'maxProcesses="1"'))
    assert running.server.command("reload").returncode == 0
    (one,) = running.workers(count=1)
    assert one in three
    rewrite(running, lambda text: text.replace('maxProcesses="1"', 'maxProcesses="2"'))
    assert running.server.command("reload").returncode == 0
    assert one in running.workers(count=2)
    assert 5080 not in event_ids(running)


def test_demand_start_threshold(start_server):
    """The machine has at most so many workers, and event 5196 says who was refused one; a worker
    that goes makes room, and recycling replaces workers all the same."""
    extra = (
        '<system.applicationHost><webLimits demandStartThreshold="10" /></system.applicationHost>'
    )
    running = start(start_server, calm_pool(maxProcesses="12"), extra)
    ten = set(running.workers(count=10))
    wait_for("event 5196", lambda: 5196 in event_ids(running))
    assert event_ids(running).count(5196) == 1
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    others = set(running.workers(count=10))
    assert not ten & others
    rewrite(running, lambda text: text.replace('Threshold="10"', 'Threshold="11"'))
    assert running.server.command("reload").returncode == 0
    assert others < set(running.workers(count=11))
