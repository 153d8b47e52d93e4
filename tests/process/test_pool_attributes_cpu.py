"""The `cpu` element: one row per attribute, on real processes.

Each limit is tried twice: as the machine lets us do it (control groups where they can be made),
and supervised by the manager. What a throttled worker uses is measured over a time of its own, so
a busy machine can only make it less.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.event_log import events, wait_event
from support.running import Running, place, simple_config
from support.wire import get

from was.manager.cpu_time import cpu_time_of

Start = Callable[..., Running]

SCALE = 20.0
PROCESSORS = os.cpu_count() or 1
FIRST = min(os.sched_getaffinity(0))
ON_FIRST = {
    "smpAffinitized": "true",
    "smpProcessorAffinityMask": str((1 << FIRST) & 0xFFFFFFFF),
    "smpProcessorAffinityMask2": str((1 << FIRST) >> 32),
}

by_whom = pytest.mark.parametrize("groups", ["true", "false"], ids=["machine", "manager"])


def pool_of(cpu: dict[str, str], name: str = "Pool", **process_model: str) -> Pool:
    """A pool with this `cpu` element, AlwaysRunning, its pings quick."""
    return Pool(
        name,
        {"startMode": "AlwaysRunning"},
        {
            "processModel": {
                "idleTimeout": "00:00:00",
                "pingInterval": "00:00:05",
                "pingResponseTime": "00:01:00",
                **process_model,
            },
            "failure": {"rapidFailProtectionMaxCrashes": "1"},
            "cpu": cpu,
        },
    )


def web_limits(groups: str) -> str:
    """Whether control groups may be made."""
    limits = f'<webLimits controlGroups="{groups}" />'
    return f"<system.applicationHost>{limits}</system.applicationHost>"


def start(start_server: Start, cpu: dict[str, str], groups: str = "true") -> Running:
    """A server with one pool with this `cpu` element."""
    config = simple_config("ailing:application", pool=pool_of(cpu), extra=web_limits(groups))
    running = start_server(config, place("ailing.py"), time_scale=SCALE)
    row = running.server.rows("apppools")[0]
    if groups == "false" and int(cpu.get("limit", "0")):
        assert row["cpu_limited_by"] == "manager"
    return running


def burn(running: Running, site: str = "Site") -> int:
    """Have the worker use as much of a processor as it can get; its pid."""
    return int(get(running.port(site), "/burn").text)


def share_used(pid: int, for_s: float) -> float:
    """Processors that a process uses, on average over so long."""
    began, used = time.monotonic(), cpu_time_of(pid)
    wait_for("some time", lambda: time.monotonic() >= began + for_s)
    return (cpu_time_of(pid) - used) / (time.monotonic() - began)


# ── limit, action, resetInterval ────────────────────────────────────────────────────────────────


@by_whom
def test_no_action(start_server, groups):
    """Over its limit a pool goes on, and event 5025 tells."""
    cpu = {"limit": "2000", "action": "NoAction", "resetInterval": "00:01:00"}
    running = start(start_server, cpu, groups)
    worker = burn(running)
    assert wait_event(running, 5025)["action"] == "NoAction"
    assert int(get(running.port()).text) == worker


@by_whom
def test_kill_w3wp(start_server, groups):
    """Over its limit a pool answers 503 AppShutdown, until the interval is over; no failure."""
    cpu = {"limit": "2000", "action": "KillW3wp", "resetInterval": "00:02:00"}
    running = start(start_server, cpu, groups)
    running.allow("pool_shut_out")
    worker = burn(running)
    wait_event(running, 5025)

    def is_shut_out() -> bool:
        nonlocal worker
        answer = get(running.port())
        if answer.status == 200 and int(answer.text) != worker:
            # The interval was over before anybody came: once more, in this one.
            again = get(running.port(), "/burn")
            worker = int(again.text) if again.status == 200 else worker
        return answer.status == 503

    wait_for("503", is_shut_out)
    wait_for("its end", lambda: worker not in running.server.workers("Pool", ""))
    logs = running.home / "logs" / "HTTPERR"
    wait_for(
        "the line in HTTPERR",
        lambda: any("503 1 AppShutdown Pool" in file.read_text() for file in logs.glob("*.log")),
    )
    wait_for("200", lambda: get(running.port()).status == 200)
    assert int(get(running.port()).text) != worker
    row = running.server.rows("apppools")[0]
    assert (row["state"], row["failures"]) == ("started", 0)


@by_whom
def test_throttle(start_server, groups):
    """A pool gets no more than its share, is answered, is not said to miss pings; one event."""
    cpu = {"limit": str(20_000 // PROCESSORS), "action": "Throttle"}
    running = start(start_server, cpu, groups)
    worker = burn(running)
    wait_event(running, 5025)
    assert share_used(worker, 3.0) < 0.3
    assert int(get(running.port()).text) == worker
    assert events(running, 5010) == []
    assert running.workers() == [worker]


@by_whom
def test_throttle_under_load(start_server, groups):
    """Beside another that is as busy, on the same processor, a pool gives way."""
    meek = {"limit": str(10_000), "action": "ThrottleUnderLoad"}
    folder, handlers = Path("{home}") / "sites" / "app", (wsgi_handler("ailing:application"),)
    config = application_host_config(
        [pool_of({**ON_FIRST, **meek}, "Meek"), pool_of(ON_FIRST, "Bold")],
        [Site(name, (Application("/", folder, name, handlers),)) for name in ("Meek", "Bold")],
        web_limits(groups),
    )
    running = start_server(config, place("ailing.py"), time_scale=SCALE)
    worker = burn(running, "Meek")
    rival = burn(running, "Bold")
    before, rival_before = cpu_time_of(worker), cpu_time_of(rival)
    wait_for("the rival's use", lambda: cpu_time_of(rival) > rival_before + 2.0)
    assert cpu_time_of(worker) - before < 1.0


def test_limit_zero_is_no_limit(start_server):
    """Whatever the action."""
    running = start(start_server, {"limit": "0", "action": "KillW3wp"})
    worker = burn(running)
    wait_for("its use", lambda: cpu_time_of(worker) > 2.0)
    assert int(get(running.port()).text) == worker
    assert running.server.rows("apppools")[0]["cpu_limited_by"] == ""


def test_reset_interval(start_server):
    """What is used in one interval does not count in the next; 0 turns the limit off."""
    cpu = {"limit": "2000", "action": "NoAction", "resetInterval": "00:00:00"}
    running = start(start_server, cpu)
    worker = burn(running)
    wait_for("its use", lambda: cpu_time_of(worker) > 2.0)
    assert events(running, 5025) == []


def test_each_interval_is_told_of(start_server):
    """A pool that is over its limit in two intervals has two events."""
    cpu = {"limit": "2000", "action": "NoAction", "resetInterval": "00:01:00"}
    running = start(start_server, cpu)
    burn(running)
    wait_for("two events", lambda: len(events(running, 5025)) == 2)


# ── the manager's end while it holds a worker ───────────────────────────────────────────────────


def test_a_held_worker_goes_on_when_the_manager_is_killed(start_server):
    """Throttled by the manager, a worker is stopped most of the time; without it, never."""
    cpu = {"limit": str(5_000 // PROCESSORS), "action": "Throttle"}
    running = start(start_server, cpu, "false")
    worker = burn(running)
    wait_event(running, 5025)
    running.server.send(signal.SIGKILL)
    assert running.server.wait_exit() == -signal.SIGKILL
    for _ in range(3):
        assert int(get(running.port()).text) == worker
    used = cpu_time_of(worker)
    wait_for("its use", lambda: cpu_time_of(worker) > used + 0.5)
    running.server.start()
    wait_for("the next manager", lambda: running.server.workers("Pool"))


# ── affinity ────────────────────────────────────────────────────────────────────────────────────


def test_smp_affinitized(start_server):
    """smpAffinitized binds every thread of a worker to the processors of the mask."""
    running = start(start_server, ON_FIRST)
    worker = burn(running)
    for thread in os.listdir(f"/proc/{worker}/task"):
        with suppress(ProcessLookupError):  # it may just have ended
            assert os.sched_getaffinity(int(thread)) == {FIRST}


def test_without_smp_affinitized_the_masks_say_nothing(start_server):
    """They are only looked at when smpAffinitized is true."""
    running = start(start_server, {**ON_FIRST, "smpAffinitized": "false"})
    worker = running.workers(count=1)[0]
    assert os.sched_getaffinity(worker) == os.sched_getaffinity(0)


def test_a_mask_without_a_processor_is_an_event(start_server):
    """smpProcessorAffinityMask2 is the high half: with it alone no processor below 32 is named."""
    mask = {"smpProcessorAffinityMask": "0", "smpProcessorAffinityMask2": "2147483648"}
    running = start(start_server, {"smpAffinitized": "true", **mask})
    assert wait_event(running, 5058)["app_pool"] == "Pool"
    assert get(running.port()).status == 200
