"""Each of our processes is killed, stopped and made to crash, at awkward moments, under load.

By default one cell for each process and blow, the moments in turn; `--matrix` runs them all. What
is measured is printed at the end of the run.
"""

import os
import signal
import time

import pytest
from harness.server import WasServer, wait_for
from support.blows import (
    SITUATIONS,
    is_healthy,
    judge,
    make_blow_home,
    processes,
    strike,
    wait_until_resumed,
)
from support.load import steady_load
from support.wire import get

from was import faults

# All are there before the blow: the next ones are opened after it.
CONNECTIONS = 16
PROCESSES = ("manager", "listener", "template", "worker", "supervisor")
BLOWS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "segv": signal.SIGSEGV}
# Who is another one afterwards, beside the victim: no template serves two managers.
TAKEN_ALONG = {"manager": {"template"}}
# Moments at which workers are replaced: a pool that gets a further site may read other folders.
RENEWING = ("recycle", "reload")

# Point -> what brings a process there.
POINTS = {
    "manager.activating": "recycle",
    "listener.answered": "load",
    "template.forking": "recycle",
    "worker.begun": "load",
    "supervisor.watching": "supervisor",
    "manager.spawned": "recycle",
    "manager.reloading": "reload",
    "listener.dispatched": "load",
    "listener.sockets": "reload",
    "template.forked": "recycle",
    "worker.loaded": "recycle",
    "worker.answering": "load",
    "supervisor.started": "manager",
}


def pytest_generate_tests(metafunc):
    everything = metafunc.config.getoption("--matrix")
    if "blow" in metafunc.fixturenames:
        moments = list(SITUATIONS)
        cells = [
            (process, blow, moment)
            for i, process in enumerate(PROCESSES)
            for j, blow in enumerate(BLOWS)
            for k, moment in enumerate(moments)
            if everything or k == (i + j) % len(moments)
        ]
        metafunc.parametrize(("process", "blow", "moment"), cells)
    if "point" in metafunc.fixturenames:
        points = list(POINTS) if everything else list(POINTS)[: len(PROCESSES)]
        metafunc.parametrize("point", points)


@pytest.fixture
def running(start_server):
    """A detached server with two pools."""
    found = start_server(None, make_blow_home, launch=WasServer.start_detached)
    processes(found)
    return found


@pytest.fixture
def points(running):
    """The bytes that have a process end."""
    found = faults.map_points(running.home)
    yield found
    found.release()


def test_a_blow_costs_nobody_a_request(running, process, blow, moment, record_property):
    """No GET fails but those on connections of a killed listener, one each; answers may wait.

    connect() never fails. Afterwards all is well, only the victim is another, and what was under
    way has been done.
    """
    running.allow("listener_died", "recycle_failed")
    port, number = running.port("Main"), BLOWS[blow]
    before = processes(running)
    with steady_load(port, connections=CONNECTIONS) as tally:
        wait_for("load", lambda: tally.total > 20 and tally.connections >= CONNECTIONS)
        situation = SITUATIONS[moment](running)
        connections = tally.connections
        at = strike(before[process], number)
        situation.go_on()
        assert get(port).status == 200
        waited_ms = (time.monotonic() - at) * 1000
        wait_until_resumed()
        situation.finish()
        after = processes(running)
        wait_for("health", lambda: is_healthy(running))
    is_dead = number != signal.SIGSTOP
    record_property(
        "matrix", f"{process:>10} {blow:<4} {moment:<11} {waited_ms:6.0f} ms  {tally.summary()}"
    )
    assert judge(tally, connections, is_listener=process == "listener" and is_dead) == []
    changed = {name for name in PROCESSES if after[name] != before[name]}
    expected = {process, *TAKEN_ALONG.get(process, ())} if is_dead else set()
    assert changed - {"worker"} == expected - {"worker"}
    if moment not in RENEWING:
        assert changed == expected


def test_a_process_that_ends_at_a_named_point_costs_nobody_a_request(
    running, points, point, record_property
):
    """No GET fails but those on connections of a listener that ends; the others go on."""
    running.allow("listener_died", "recycle_failed", "worker_start_failed")
    port, process, moment = running.port("Main"), point.partition(".")[0], POINTS[point]
    before = processes(running)
    with steady_load(port, connections=CONNECTIONS) as tally:
        wait_for("load", lambda: tally.total > 20 and tally.connections >= CONNECTIONS)
        connections = tally.connections
        points[faults.POINTS.index(point)] = 1
        at = time.monotonic()
        if moment in PROCESSES:
            strike(before[moment], signal.SIGKILL)
        elif moment == "recycle":
            running.server.command("recycle", "apppool", "Garden")  # who answers may end over it
        else:
            SITUATIONS[moment](running).finish()
        wait_for("the end at that point", lambda: points[faults.POINTS.index(point)] == 0)
        assert get(port).status == 200
        waited_ms = (time.monotonic() - at) * 1000
        after = processes(running)
        wait_for("health", lambda: is_healthy(running))
    record_property("matrix", f"{point:<28} {waited_ms:6.0f} ms  {tally.summary()}")
    assert judge(tally, connections, is_listener=process == "listener") == []
    if process != "worker":
        assert after[process] != before[process]


def test_a_listener_that_hears_of_two_reloads_at_once_keeps_its_ports(running):
    """What comes in one turn after a stop is done one after the other; the last one counts."""
    port, listener = running.port("Main"), processes(running)["listener"]
    os.kill(listener, signal.SIGSTOP)
    make_blow_home(running.home, with_third=True)
    for _ in range(2):
        assert running.server.command("reload").returncode == 0
    os.kill(listener, signal.SIGCONT)
    third = running.server.port("Third")
    # Until the pool's workers are new they may not read what it has got to serve.
    wait_for("the further site", lambda: get(third).status == 200)
    assert get(port).status == 200


def test_every_point_is_tried():
    """A point that no test brings about proves nothing."""
    assert set(POINTS) == set(faults.POINTS)
    assert {point.partition(".")[0] for point in list(POINTS)[: len(PROCESSES)]} == set(PROCESSES)
