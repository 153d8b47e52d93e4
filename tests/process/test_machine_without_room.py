"""Starts that fail because the machine has nothing left of something: no fault of the pool's."""

import os
import resource
import signal
from contextlib import contextmanager

from harness.home import Pool
from harness.server import wait_for
from support.running import place, simple_config
from support.wire import Wire, get

MOST_CRASHES = 2


@contextmanager
def _no_descriptor_left(pid):
    """The process cannot open anything more, whatever it closes; the first three are in use."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def test_a_pool_that_could_not_be_started_for_want_of_room_is_when_there_is(start_server):
    """More starts fail than rapid-fail protection allows; who waited meanwhile is answered."""
    crashes = {"rapidFailProtectionMaxCrashes": str(MOST_CRASHES)}
    pool = Pool("Pool", {"startMode": "OnDemand"}, {"failure": crashes})
    running = start_server(simple_config("hello:application", pool=pool), place("hello.py"))
    running.allow("worker_spawn_failed", "state_not_written", "log_dropped")

    def failed_starts():
        return running.server.log_text().count(" worker_spawn_failed ")

    with Wire(running.port()) as wire:
        with _no_descriptor_left(running.server.pid):
            wire.send_request("/")
            wait_for("starts that fail", lambda: failed_starts() > MOST_CRASHES)
        assert wire.read().status == 200
    assert get(running.port()).status == 200
    assert " pool_disabled " not in running.server.log_text()


def test_processes_that_could_not_be_started_for_want_of_room_are_when_there_is(start_server):
    """Listener and template die meanwhile: there are others as soon as there can be."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    running.allow("process_not_made", "listener_died", "state_not_written", "log_dropped")
    status = running.server.status()
    with _no_descriptor_left(running.server.pid):
        for who in ("listener", "template"):
            os.kill(status[f"{who}_pid"], signal.SIGKILL)
            refused = f" process_not_made process={who} "
            wait_for("a try", lambda refused=refused: refused in running.server.log_text())
    assert get(running.port()).status == 200
