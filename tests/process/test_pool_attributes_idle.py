"""Idle workers: shut down, or suspended until the next request. Each test sets an attribute."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.load import under_load
from support.pools import SCALE, calm_pool, event_ids, pid_of, read_events, recycling, rewrite
from support.running import Running, place, simple_config
from support.wire import Wire, get

from was.manager.process import is_stopped

Start = Callable[..., Running]

ONE_MINUTE = {"idleTimeout": "00:01:00"}
SUSPEND = {**ONE_MINUTE, "idleTimeoutAction": "Suspend"}
LASTING = (
    '<system.applicationHost><webLimits connectionTimeout="18:00:00" /></system.applicationHost>'
)


def start(start_server: Start, pool: Pool, extra: str = "", **options: object) -> Running:
    """One site with the application `starts` in the pool; a minute lasts a second."""
    config = simple_config("starts:application", pool=pool, extra=extra)
    return start_server(config, place("starts.py"), **{"time_scale": SCALE, **options})


def wait_suspended(running: Running, pid: int) -> None:
    """Until that worker is listed as suspended and no thread of it runs."""
    wait_for("a suspended worker", lambda: pid in running.server.workers("Pool", "suspended"))
    wait_for("a stopped process", lambda: is_stopped(pid))


def suspended(start_server: Start, inside: str = "", mode: str = "OnDemand", **model: str):
    """A server with one worker, which is suspended."""
    running = start(start_server, calm_pool(inside, start=mode, **{**SUSPEND, **model}))
    pid = pid_of(running)
    wait_suspended(running, pid)
    return running, pid


@pytest.mark.parametrize("logged", ["IdleTimeout", ""])
def test_idle_timeout_with_terminate(start_server, logged):
    """An idle worker ends, with event 5186 if logEventOnProcessModel says so; the next request has
    another."""
    pool = calm_pool(start="OnDemand", **ONE_MINUTE, logEventOnProcessModel=logged)
    running = start(start_server, pool)
    old = pid_of(running)
    wait_for("its end", lambda: not Path(f"/proc/{old}").exists())
    assert pid_of(running) != old

    def ended() -> list[object]:
        return [e["pid"] for e in read_events(running) if e["id"] == 5186]

    if logged:
        assert wait_for("event 5186", ended)[0] == old
    else:
        assert ended() == []


def test_a_worker_that_is_used_is_not_idle(start_server):
    """Neither a request that runs for longer than idleTimeout nor requests again and again."""
    # Longer than this machine lets pass between two requests.
    running = start(start_server, calm_pool(start="OnDemand", idleTimeout="00:04:00"))
    pid = pid_of(running, 4500)
    begin = time.monotonic()
    while time.monotonic() - begin < 4.5:
        assert pid_of(running, 300) == pid
    assert 5186 not in event_ids(running)


def test_without_idle_timeout_a_worker_stays(start_server):
    """idleTimeout 0 is off: other workers idle out, this one does not."""
    never = calm_pool(start="OnDemand", idleTimeout="00:00:00")
    running = start(start_server, never)
    pid = pid_of(running)
    time.sleep(2.0)  # what must not happen happens within two minutes of the server, if it does
    assert running.workers() == [pid]


@pytest.mark.parametrize("mode", ["OnDemand", "AlwaysRunning"])
def test_idle_timeout_with_suspend(start_server, mode):
    """An idle worker stops running, and answers the next request itself, as the only one; then it
    is idle again."""
    running, pid = suspended(start_server, mode=mode)
    for _ in range(2):
        assert pid_of(running) == pid
        assert running.server.workers("Pool", "") == [pid]
        wait_suspended(running, pid)
    assert 5186 not in event_ids(running)
    assert running.server.command("status", "--check").returncode == 0


def test_a_suspended_worker_misses_no_ping(start_server):
    """It is not asked, and not killed, however long it sleeps; awake it is asked again."""
    times = {"pingingEnabled": "true", "pingInterval": "00:00:10", "pingResponseTime": "00:02:30"}
    running, pid = suspended(start_server, **times)
    time.sleep(4.0)  # an interval and the time to answer, and half as long again
    assert running.server.workers("Pool", "suspended") == [pid]
    with Wire(running.port()) as wire:
        wire.send_request(
            "/?ms=60000", "POST", b""
        )  # as long as it runs nobody suspends the worker
        starts = running.folder() / "data" / "starts.log"
        wait_for("its start", lambda: f" {pid} POST" in starts.read_text())
        os.kill(pid, signal.SIGSTOP)  # by somebody else: this is no sleep that is known of
        wait_for("event 5010", lambda: 5010 in event_ids(running))
        assert wire.read("POST").status == 502
    running.allow("worker_faulty")


def test_a_suspended_worker_is_recycled(start_server):
    """By hand: it wakes, a successor takes over, it ends well."""
    running, old = suspended(start_server)
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    assert pid_of(running) != old
    assert f"worker_died pid={old}" not in running.server.log_text()
    assert 5009 not in event_ids(running)


def test_what_comes_due_while_it_sleeps_is_done_when_it_wakes(start_server):
    """periodicRestart/time passes in its sleep; awake, it is replaced."""
    running, old = suspended(start_server, recycling(restart='time="00:04:00"'))
    time.sleep(4.0)  # it is older than that then
    assert running.server.workers("Pool", "suspended") == [old]
    assert pid_of(running) == old
    wait_for("event 5074", lambda: 5074 in event_ids(running))


def test_a_pool_whose_worker_sleeps_is_stopped_and_started(start_server):
    """The worker wakes, finishes and exits 0; a request after the start has a new one."""
    running, old = suspended(start_server)
    assert running.server.command("stop", "apppool", "Pool").returncode == 0
    wait_for("its end", lambda: not Path(f"/proc/{old}").exists())
    assert running.server.command("start", "apppool", "Pool").returncode == 0
    assert pid_of(running) != old
    assert 5009 not in event_ids(running)


def test_a_suspended_worker_that_is_killed(start_server):
    """Nobody had asked for it: event 5009, and the next request has another worker."""
    running, old = suspended(start_server)
    os.kill(old, signal.SIGKILL)
    assert pid_of(running) != old
    wait_for("event 5009", lambda: 5009 in event_ids(running))
    running.allow("worker_died")


def test_a_killed_manager_leaves_nobody_asleep(start_server):
    """Its worker wakes by itself and serves without a manager; the next one takes it over, and
    suspends it when it is idle again."""
    running, pid = suspended(start_server)
    port = running.port()
    running.server.send(signal.SIGKILL)
    running.server.wait_exit()
    answer = get(port, "/")
    assert (answer.status, int(answer.text.split()[1])) == (200, pid)
    running.server.start(environment={"WAS_TEST_TIME_SCALE": str(SCALE)})
    wait_suspended(running, pid)
    assert pid_of(running) == pid


def test_a_killed_listener_wakes_the_workers(start_server):
    """They find the next listener, without which nobody could wake them."""
    running, pid = suspended(start_server)
    running.allow("listener_died")
    listener = running.server.status()["listener_pid"]
    os.kill(int(str(listener)), signal.SIGKILL)
    wait_for("another listener", lambda: running.server.status()["listener_pid"] != listener)
    assert pid_of(running) == pid
    wait_suspended(running, pid)


def test_a_changed_configuration_reaches_a_suspended_worker(start_server):
    """It wakes to read it."""
    running, _ = suspended(start_server)

    def woken() -> int:
        return running.server.log_text().count(" worker_resumed ")

    before = woken()
    assert running.server.command("reload").returncode == 0
    # It is listed as running for a second only.
    wait_for("the worker awake", lambda: woken() > before)


def test_a_web_garden_wakes_one_by_one(start_server):
    """One request wakes one of two sleepers, a backlog the other too, and starts no third."""
    pool = calm_pool('<python threads="2" />', maxProcesses="2", **SUSPEND)
    running = start(start_server, pool, time_scale=20.0)
    pids = set(running.workers(count=2))
    for pid in pids:
        wait_suspended(running, pid)
    asking = [threading.Thread(target=pid_of, args=(running, 300)) for _ in range(5)]
    begin = len(running.server.log_text())

    def woken() -> set[str]:
        lines = running.server.log_text()[begin:].splitlines()
        return {line.partition(" worker=")[2] for line in lines if " worker_resumed " in line}

    assert pid_of(running) in pids
    wait_for("one awake", woken)
    assert len(woken()) == 1
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    wait_for("both awake", lambda: len(woken()) == 2)
    assert {int(row["pid"]) for row in running.server.rows("wp")} == pids


@pytest.mark.parametrize("action", ["Suspend", "Terminate"])
def test_falling_asleep_loses_no_request(start_server, action):
    """Workers that go idle between any two requests: every request is answered, by a worker that
    was woken or started for it."""
    running = start(
        start_server,
        calm_pool(start="OnDemand", **{**SUSPEND, "idleTimeoutAction": action}),
        # Connections last: their end is announced to nobody.
        LASTING,
        time_scale=600.0,
    )
    tally = under_load(running.port(), 6, rate=4)()
    assert (set(tally.statuses), dict(tally.failures)) == ({200}, {}), tally.summary()
    mark = " worker_resumed " if action == "Suspend" else " worker_ready "
    assert running.server.log_text().count(mark) > 3


@pytest.mark.parametrize("threshold", [1, 10000])
def test_dynamic_idle_threshold(start_server, threshold):
    """Where more memory is in use than the threshold allows, here 1 %, a worker that may be idle
    for 20 minutes goes after 37.5 seconds, with an event of its own; far below it, it stays."""
    extra = (
        f'<system.applicationHost><webLimits dynamicIdleThreshold="{threshold}" />'
        "</system.applicationHost>"
    )
    pool = calm_pool(start="OnDemand", idleTimeout="00:20:00")
    running = start(start_server, pool, extra)
    pid = pid_of(running)
    if threshold == 1:
        wait_for("its end", lambda: not Path(f"/proc/{pid}").exists())
        wait_for("event 5195", lambda: 5195 in event_ids(running))
        assert [e["pid"] for e in read_events(running) if e["id"] == 5195] == [pid]
        assert {5192, 5193} <= set(event_ids(running))
        assert 5186 not in event_ids(running)
        rewrite(running, lambda text: text.replace('Threshold="1"', 'Threshold="0"'))
        wait_for("event 5194", lambda: 5194 in event_ids(running))
        pid = pid_of(running)
    time.sleep(1.5)  # a shortened timeout would have passed twice
    assert running.workers() == [pid]
