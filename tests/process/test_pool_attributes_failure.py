"""Failure, health and the limits of start and end: one row per attribute, on real processes.

Each row sets the attribute and sees its effect; where a value turns something off, the row beside
it shows the same course of things with it on.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from harness.home import Pool
from harness.meter import process_state
from harness.server import wait_for
from support.event_log import dossier_of, events, wait_event
from support.pools import CALM, PATIENT
from support.running import Running, place, simple_config
from support.wire import CutShortError, Wire, get

Start = Callable[..., Running]

# Durations pass this many times faster.
SCALE = 10.0
UNPROTECTED = {"rapidFailProtection": "false"}


def start(
    start_server: Start,
    failure: dict[str, str] | None = None,
    process_model: dict[str, str] | None = None,
    *,
    attributes: dict[str, str] | None = None,
    scale: float = SCALE,
    elements: dict[str, dict[str, str]] | None = None,
    extra: str = "",
) -> Running:
    """A server with one pool, AlwaysRunning unless the row says otherwise."""
    pool = Pool(
        "Pool",
        attributes or {"startMode": "AlwaysRunning"},
        {
            "processModel": {"idleTimeout": "00:00:00", **(process_model or {})},
            "failure": failure or UNPROTECTED,
            "requests": PATIENT,
            **(elements or {}),
        },
    )
    config = simple_config("ailing:application", pool=pool, extra=extra)
    return start_server(config, place("ailing.py"), time_scale=scale)


def kill_worker(running: Running) -> int:
    """SIGKILL the one worker that runs and wait until the manager has noticed."""
    worker = wait_for("a worker", running.workers)[0]
    os.kill(worker, signal.SIGKILL)
    wait_for("its end", lambda: worker not in running.server.workers("Pool", ""))
    return worker


def pool_row(running: Running) -> dict[str, object]:
    """The pool in `was list apppools`."""
    return running.server.rows("apppools")[0]


@contextmanager
def changes_of_status(running: Running) -> Iterator[list[int]]:
    """What somebody gets who asks all the while: each status that is another than the last."""
    statuses: list[int] = []
    is_over = threading.Event()
    port = running.port()

    def ask() -> None:
        while not is_over.wait(0.02):
            status = get(port).status
            if [status] != statuses[-1:]:
                statuses.append(status)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield statuses
    finally:
        is_over.set()
        asker.join()


def stays_silent(wire: Wire, for_s: float) -> bool:
    """Whether nothing comes for so long."""
    return not select.select([wire.socket], [], [], for_s)[0]


# Enough for who is well to answer in, on a machine that stands still for a second now and then.
QUICK_PINGS = {"pingInterval": "00:00:01", "pingResponseTime": "00:00:25"}
# Half as long again as a ping takes to be missed.
MISSED_S = 4.0


# ── orphans ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_orphaned", [True, False])
def test_orphan_worker_process(start_server, is_orphaned):
    """A worker that misses its ping is stopped for good and listed as orphaned, or killed; another
    one takes over its request either way, and only that one counts as a worker."""
    failure = {**UNPROTECTED, "orphanWorkerProcess": str(is_orphaned).lower()}
    running = start(start_server, failure, QUICK_PINGS)
    sick = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/gil")
        answer = wire.read("GET")
    assert answer.status == 200
    assert int(answer.text) != sick
    missed = wait_event(running, 5010)
    assert missed["pid"] == sick
    assert 'ailing.py", line' in "\n".join(dossier_of(missed)["stacks"])
    assert running.workers(count=1) == [int(answer.text)]
    assert pool_row(running)["workers"] == 1
    if is_orphaned:
        wait_for("an orphan that is stopped", lambda: process_state(sick) == "T")
        assert running.server.workers("Pool", "orphaned") == [sick]
        os.kill(sick, signal.SIGKILL)
    wait_for("its end", lambda: sick not in running.server.workers("Pool", ""))
    assert running.workers() == [int(answer.text)]


def test_an_orphan_ends_with_the_server(start_server):
    """What is left of orphans when the server stops is killed: the fixture finds no process."""
    failure = {**UNPROTECTED, "orphanWorkerProcess": "true"}
    running = start(start_server, failure, QUICK_PINGS)
    sick = running.workers(count=1)[0]
    os.kill(sick, signal.SIGSTOP)
    wait_for("an orphan", lambda: running.server.workers("Pool", "orphaned") == [sick])


@pytest.mark.parametrize("is_throttled", [False, True])
def test_an_orphan_stays_stopped_when_the_manager_is_killed(start_server, is_throttled):
    """Its requests are others' by now. It ends with the next manager's server."""
    failure = {**UNPROTECTED, "orphanWorkerProcess": "true"}
    cpu = {"cpu": {"limit": "50000", "action": "Throttle"}} if is_throttled else {}
    limits = '<webLimits controlGroups="false" />'
    extra = f"<system.applicationHost>{limits}</system.applicationHost>"
    running = start(start_server, failure, QUICK_PINGS, elements=cpu, extra=extra)
    sick = running.workers(count=1)[0]
    os.kill(sick, signal.SIGSTOP)
    wait_for("an orphan", lambda: running.server.workers("Pool", "orphaned") == [sick])
    running.workers(count=1)
    running.server.send(signal.SIGKILL)
    running.server.wait_exit()
    # Where a manager throttles, its end continues whom it held: the next one stops this one again.
    assert is_throttled or process_state(sick) == "T"
    running.server.start()
    wait_for("an orphan that is stopped", lambda: process_state(sick) == "T")


def test_orphan_action(start_server):
    """orphanActionExe runs with orphanActionParams, %1% being the orphan's pid."""
    failure = {
        **UNPROTECTED,
        "orphanWorkerProcess": "true",
        "orphanActionExe": "/bin/sh",
        "orphanActionParams": "-c 'echo \"$1\" > {home}/acted' sh %1%",
    }
    running = start(start_server, failure, QUICK_PINGS)
    sick = running.workers(count=1)[0]
    os.kill(sick, signal.SIGSTOP)
    acted = running.home / "acted"
    wait_for("the action", lambda: acted.exists() and acted.read_text().strip() == str(sick))


def test_an_orphan_action_that_cannot_run_is_an_event(start_server):
    """5015 tells that there is an orphan and that nobody was called."""
    failure = {
        **UNPROTECTED,
        "orphanWorkerProcess": "true",
        "orphanActionExe": "/nonexistent/debugger",
    }
    running = start(start_server, failure, QUICK_PINGS)
    running.allow("action_failed")
    sick = running.workers(count=1)[0]
    os.kill(sick, signal.SIGSTOP)
    wait_for("event 5015", lambda: [e["pid"] for e in events(running, 5015)] == [sick])


# ── rapid-fail protection ───────────────────────────────────────────────────────────────────────


def test_rapid_fail_protection_by_default(start_server):
    """With IIS's defaults the fifth counted death in five minutes disables the pool, event 5002:
    who would have met the sixth gets 503, in HTTPERR AppOffline."""
    running = start(start_server, {"rapidFailProtection": "true"}, scale=1.0)
    running.allow("pool_disabled")
    for count in range(1, 6):
        kill_worker(running)
        wait_for("the count", lambda n=count: pool_row(running)["failures"] == n)
        if count < 5:
            assert get(running.port()).status == 200
    wait_for("the pool's end", lambda: pool_row(running)["state"] == "stopped")
    answer = get(running.port())
    assert answer.status == 503
    assert answer.field("retry-after")
    logs = running.home / "logs" / "HTTPERR"
    wait_for(
        "the line in HTTPERR",
        lambda: any("503 1 AppOffline Pool" in file.read_text() for file in logs.glob("*.log")),
    )
    assert wait_event(running, 5002)["app_pool"] == "Pool"
    assert len(events(running, 5002)) == 1
    assert running.server.command("start", "apppool", "Pool").returncode == 0
    assert get(running.port()).status == 200


def test_without_rapid_fail_protection_workers_are_replaced_for_ever(start_server):
    """rapidFailProtection="false": more deaths than the limit, and the pool still serves."""
    running = start(start_server, UNPROTECTED)
    for _ in range(6):
        assert get(running.port()).status == 200
        kill_worker(running)
    assert get(running.port()).status == 200
    assert events(running, 5002) == []


def test_rapid_fail_protection_max_crashes(start_server):
    """The limit is the attribute's, here two."""
    running = start(start_server, {"rapidFailProtectionMaxCrashes": "2"})
    running.allow("pool_disabled")
    kill_worker(running)
    assert get(running.port()).status == 200
    kill_worker(running)
    wait_for("503", lambda: get(running.port()).status == 503)


def test_rapid_fail_protection_interval(start_server):
    """Deaths further apart than the interval do not add up."""
    failure = {"rapidFailProtectionMaxCrashes": "2", "rapidFailProtectionInterval": "00:01:00"}
    interval_s, scale = 60.0, 60.0
    running = start(start_server, failure, CALM, scale=scale)
    for _ in range(3):
        kill_worker(running)
        # The manager has noticed it: its window began before now.
        over_at = time.monotonic() + interval_s / scale
        wait_for("the end of the interval", lambda at=over_at: time.monotonic() > at)
        assert get(running.port()).status == 200
    assert events(running, 5002) == []


def test_auto_shutdown(start_server):
    """autoShutdownExe runs with autoShutdownParams when rapid-fail protection disables the pool."""
    failure = {
        "rapidFailProtectionMaxCrashes": "1",
        "autoShutdownExe": "/bin/sh",
        "autoShutdownParams": "-c 'echo \"$1\" >> {home}/told' sh 'the pool'",
    }
    running = start(start_server, failure)
    running.allow("pool_disabled")
    told = running.home / "told"
    assert not told.exists()
    kill_worker(running)
    wait_for("the program", lambda: told.exists() and told.read_text() == "the pool\n")


def test_rapid_fail_protection_retry(start_server):
    """A disabled pool is tried again after that time; on trial, one death disables it again."""
    failure = {
        "rapidFailProtectionMaxCrashes": "2",
        "rapidFailProtectionInterval": "00:30:00",
        "rapidFailProtectionRetry": "00:01:00",
    }
    running = start(start_server, failure, CALM, scale=20)
    running.allow("pool_disabled")
    with changes_of_status(running) as statuses:
        kill_worker(running)
        for count in (1, 2):
            kill_worker(running)
            wait_for(f"disabling {count}", lambda n=count: len(events(running, 5002)) == n)
            course = [200, *[503, 200] * count]
            wait_for("503, then a trial", lambda c=course: statuses == c)


def test_a_pool_that_would_come_back_can_be_stopped(start_server):
    """One that is disabled until its trial is stopped for good; what is stopped is said to be."""
    failure = {"rapidFailProtectionMaxCrashes": "1", "rapidFailProtectionRetry": "01:00:00"}
    running = start(start_server, failure, CALM)
    running.allow("pool_disabled")
    kill_worker(running)
    wait_event(running, 5002)
    assert running.server.command("stop", "apppool", "Pool").returncode == 0
    again = running.server.command("stop", "apppool", "Pool")
    assert (again.returncode, "stopped already" in again.stderr) == (1, True)
    assert running.server.command("start", "apppool", "Pool").returncode == 0
    running.workers(count=1)


@pytest.mark.parametrize("level", ["HttpLevel", "TcpLevel"])
def test_load_balancer_capabilities(start_server, level):
    """A pool that does not serve answers 503, or closes the connection without a word."""
    failure = {"rapidFailProtectionMaxCrashes": "1", "loadBalancerCapabilities": level}
    running = start(start_server, failure)
    running.allow("pool_disabled")
    kill_worker(running)
    wait_for("the pool's end", lambda: pool_row(running)["state"] == "stopped")
    if level == "HttpLevel":
        assert get(running.port()).status == 503
    else:
        with pytest.raises((CutShortError, ConnectionError)):
            get(running.port())


# ── pings ───────────────────────────────────────────────────────────────────────────────────────


def test_pinging_enabled(start_server):
    """Without pings nobody notices a worker that is stopped; it goes on where it was."""
    running = start(start_server, UNPROTECTED, {**QUICK_PINGS, "pingingEnabled": "false"})
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGSTOP)
    with Wire(running.port()) as wire:
        wire.send_request("/")
        assert stays_silent(wire, MISSED_S)
        os.kill(worker, signal.SIGCONT)
        assert int(wire.read("GET").text) == worker
    assert events(running, 5010) == []


@pytest.mark.parametrize(
    ("name", "value", "is_missed"),
    [
        ("pingInterval", "00:00:01", True),
        ("pingInterval", "01:00:00", False),
        ("pingResponseTime", "00:00:25", True),
        ("pingResponseTime", "01:00:00", False),
    ],
)
def test_ping_times(start_server, name, value, is_missed):
    """A stopped worker is found out after pingInterval and pingResponseTime, no sooner."""
    running = start(start_server, UNPROTECTED, {**QUICK_PINGS, name: value})
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGSTOP)
    if is_missed:
        wait_for("event 5010", lambda: [e["pid"] for e in events(running, 5010)] == [worker])
        assert worker not in running.workers(count=1)
        return
    with Wire(running.port()) as wire:
        wire.send_request("/")
        assert stays_silent(wire, MISSED_S)
    assert events(running, 5010) == []
    os.kill(worker, signal.SIGCONT)


# ── limits of start and end ─────────────────────────────────────────────────────────────────────


def test_startup_time_limit(start_server):
    """A worker that has not loaded within the limit is killed, event 5012, and counts as failed;
    the one that runs stays. Who waits for the recycling is told of the event."""
    running = start(start_server, UNPROTECTED, {"startupTimeLimit": "00:00:40"})
    running.allow("recycle_failed")
    old = running.workers(count=1)[0]
    slow = running.folder() / "data" / "slow"
    slow.touch()
    result = running.server.command("recycle", "apppool", "Pool", "--wait")
    late = wait_event(running, 5012)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"was: the new worker did not become ready (event 5012: {late['text']})\n"
    )
    assert process_state(late["pid"]) == ""
    assert len(events(running, 5012)) == 1
    assert int(get(running.port()).text) == old
    assert pool_row(running)["failures"] == 1


def test_shutdown_time_limit(start_server):
    """A worker that is to go and does not finish within the limit is killed, event 5013."""
    running = start(start_server, UNPROTECTED, {"shutdownTimeLimit": "00:00:10"})
    old = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/held?gate=g")
        wait_for("the request", (running.folder() / "data" / "g.reached").exists)
        assert running.server.command("recycle", "apppool", "Pool").returncode == 0
        # Taken back and answered by the new worker: it may be repeated.
        assert int(wire.read("GET").text) != old
    assert wait_event(running, 5013)["pid"] == old
    assert process_state(old) == ""
