"""Recycling, idling and starting: one row per attribute sets it and sees its effect.

Every row ends with the application answering from a worker that the attribute called for.
"""

import os
import signal
import time
from collections.abc import Callable

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.files import replace_text
from support.pools import SCALE, calm_pool, event_ids, read_events, recycling, rewrite
from support.running import Running, place, simple_config
from support.wire import get

Start = Callable[..., Running]


def start(start_server: Start, pool: Pool, **options: object) -> Running:
    """One site with the application `wear` in the pool."""
    config = simple_config("wear:application", pool=pool)
    return start_server(config, place("wear.py"), time_scale=SCALE, **options)


def pid_of(running: Running, target: str = "/") -> int:
    """Which worker answers."""
    answer = get(running.port(), target)
    assert answer.status == 200
    return int(answer.text)


def wait_for_another(running: Running, old: int) -> int:
    """The worker that answers once `old` does no more."""
    return wait_for(
        f"another worker than {old}",
        lambda: new if (new := pid_of(running)) != old else 0,
    )


def answers_from_another(running: Running, listener: int) -> bool:
    """Whether a listener other than this one accepts."""
    return running.server.status()["listener_pid"] not in (listener, 0, None)


def zone_where_it_is(hour: int, minute: int, second: int) -> str:
    """A value of TZ by which the local time is this now."""
    now = int(time.time()) % 86400
    east = (hour * 3600 + minute * 60 + second - now + 43200) % 86400 - 43200
    sign = "-" if east > 0 else "+"  # POSIX counts west of Greenwich
    hours, rest = divmod(abs(east), 3600)
    return f"XXX{sign}{hours:02}:{rest // 60:02}:{rest % 60:02}"


def ask_often(running: Running) -> None:
    for _ in range(6):
        pid_of(running)


PERIODIC = [
    pytest.param('memory="4000000"', "", "/map?mb=4000", 5077, id="memory"),
    pytest.param('privateMemory="100000"', "", "/fill?mb=120", 5117, id="privateMemory"),
    pytest.param('requests="5"', "", "often", 5075, id="requests"),
    pytest.param('time="00:01:00"', "", "", 5074, id="time"),
    pytest.param("", '<add value="03:00:00" />', "", 5076, id="schedule"),
]


@pytest.mark.parametrize(("restart", "schedule", "cause", "event_id"), PERIODIC)
def test_periodic_restart(start_server, restart, schedule, cause, event_id):
    """Each attribute of periodicRestart replaces the worker, overlapped, with its own event."""
    environment = {"TZ": zone_where_it_is(2, 59, 48)} if schedule else {}
    pool = calm_pool(recycling(restart=restart, schedule=schedule))
    running = start(start_server, pool, environment=environment)
    old = pid_of(running)
    if cause == "often":
        ask_often(running)
    elif cause:
        assert pid_of(running, cause) == old
    wait_for_another(running, old)
    wait_for(
        f"event {event_id}",
        lambda: old in [e["pid"] for e in read_events(running) if e["id"] == event_id],
    )


@pytest.mark.parametrize(
    ("logged", "expected"),
    [("Requests", True), ("Time,Schedule,Memory,PrivateMemory,IsapiUnhealthy", False)],
)
def test_log_event_on_recycle(start_server, logged, expected):
    """A reason that is not among the flags recycles without an event."""
    inside = recycling(f'logEventOnRecycle="{logged}"', 'requests="5"')
    running = start(start_server, calm_pool(inside))
    old = pid_of(running)
    ask_often(running)
    wait_for_another(running, old)
    assert (5075 in event_ids(running)) is expected


def test_requests_are_counted_across_listeners(start_server):
    """The worker's own count decides: a listener that was killed has forgotten what it saw."""
    running = start(start_server, calm_pool(recycling(restart='requests="12"')))
    running.allow("listener_died")
    old = pid_of(running)
    for _ in range(2):
        ask_often(running)
        listener = running.server.status()["listener_pid"]
        os.kill(listener, signal.SIGKILL)
        wait_for("a new listener", lambda gone=listener: answers_from_another(running, gone))
    wait_for("5075", lambda: 5075 in event_ids(running))
    wait_for_another(running, old)


@pytest.mark.parametrize("apart", [False, True])
def test_disallow_overlapping_rotation(start_server, apart):
    """Without overlap the new worker is forked when the old one has gone, with it before."""
    value = str(apart).lower()
    running = start(start_server, calm_pool(recycling(f'disallowOverlappingRotation="{value}"')))
    old = pid_of(running)
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    new = wait_for_another(running, old)
    log = wait_for(
        "the old worker's end",
        lambda: (
            t
            if f"pid={old}" in (t := running.server.log_text()).partition("worker_exited")[2]
            else ""
        ),
    )
    order = [
        line.split()[3]
        for line in log.splitlines()
        if ("worker_exited" in line and f"pid={old}" in line)
        or ("worker_spawned" in line and f"pid={new}" in line)
    ]
    expected = ["worker_spawned", "worker_exited"]
    assert order == (expected[::-1] if apart else expected)
    assert 5079 in event_ids(running)


@pytest.mark.parametrize("kept", [False, True])
def test_disallow_rotation_on_config_change(start_server, kept):
    """A changed setting of the pool recycles it, unless that is disallowed."""
    value = str(kept).lower()
    inside = recycling(f'disallowRotationOnConfigChange="{value}"', 'requests="1000000"')
    running = start(start_server, calm_pool(inside))
    old = pid_of(running)
    rewrite(running, lambda text: text.replace('requests="1000000"', 'requests="2000000"'))
    assert running.server.command("reload").returncode == 0
    if kept:
        assert pid_of(running) == old
        assert running.workers() == [old]
    else:
        wait_for_another(running, old)
    assert (5080 in event_ids(running)) is not kept


def test_an_application_that_reports_itself_unhealthy_is_replaced(start_server):
    """The request that reports is answered; event 5078 tells the reason that it gave."""
    running = start(start_server, calm_pool(recycling()))
    old = pid_of(running)
    assert pid_of(running, "/unhealthy") == old
    wait_for_another(running, old)
    (event,) = [e for e in read_events(running) if e["id"] == 5078]
    assert (event["pid"], event["detail"]) == (old, "the pool of connections is broken")


@pytest.mark.parametrize(
    ("reload", "attributes", "replaced"),
    [
        ("true", "", True),
        ("true", 'disallowOverlappingRotation="true"', True),
        ("true", 'disallowRotationOnConfigChange="true"', False),
        ("false", "", False),
    ],
)
def test_changed_files_of_the_application(start_server, reload, attributes, replaced):
    """With python/reloadOnChange a changed module replaces the worker, and its new code answers."""
    inside = f'{recycling(attributes)}<python reloadOnChange="{reload}" />'
    running = start(start_server, calm_pool(inside))
    old = pid_of(running)
    module = running.folder() / "wear.py"
    replace_text(module, module.read_text().replace("os.getpid()}", "-os.getpid()}"))
    if replaced:
        wait_for("the new code", lambda: pid_of(running) < 0)
        assert pid_of(running) != -old
        assert any(str(module) in str(e.get("detail")) for e in read_events(running))
    else:
        time.sleep(2.5)  # what must not happen happens within two looks, if it does
        assert pid_of(running) == old
    assert (5080 in event_ids(running)) is replaced


def test_the_workers_of_a_web_garden_are_replaced_one_at_a_time(start_server):
    """Though all are due at once, a second one is replaced only when the first one has been."""
    inside = recycling(schedule='<add value="03:00:00" />')
    pool = calm_pool(inside, maxProcesses="3")
    running = start(start_server, pool, environment={"TZ": zone_where_it_is(2, 59, 46)})
    old = set(running.workers(count=3))
    wait_for(
        "three other workers",
        lambda: len(new := set(running.server.workers("Pool"))) == 3 and not new & old,
    )
    steps = [
        "begin" if " recycle_started " in line else "ready"
        for line in running.server.log_text().splitlines()
        if " recycle_started " in line or " worker_ready " in line
    ]
    # The first three became ready at the start.
    assert steps == ["ready"] * 3 + ["begin", "ready"] * 3
