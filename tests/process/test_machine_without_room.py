"""Starts that fail because the machine has nothing left of something: no fault of the pool's."""

import os
import resource
from contextlib import contextmanager

from harness.home import Pool
from harness.server import wait_for
from support.running import place, simple_config
from support.wire import Wire, get

MOST_CRASHES = 2


@contextmanager
def _no_descriptor_left(pid):
    """The process cannot open anything more."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = next(number for number in range(limits[1]) if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limits[1]))
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
