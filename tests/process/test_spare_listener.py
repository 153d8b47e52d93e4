"""A listener that dies is replaced by one that has only been waiting for it."""

import os
import signal

import pytest
from harness.meter import command_line
from harness.server import wait_for
from support.load import steady_load
from support.running import Running, place, simple_config, wait_for_spare
from support.wire import get


@pytest.fixture
def running(start_server) -> Running:
    running = start_server(simple_config("hello:application"), place("hello.py"))
    running.allow("listener_died")
    return running


def test_the_spare_becomes_the_listener_and_there_is_another(running):
    """Its pid is the listener's then; clients are refused at no moment."""
    spare = wait_for_spare(running)
    with steady_load(running.port()) as tally:
        wait_for("load", lambda: tally.total > 20)
        os.kill(running.server.status()["listener_pid"], signal.SIGKILL)
        assert get(running.port()).status == 200
        begun = tally.total
        wait_for("load again", lambda: tally.total > begun + 20)
    assert running.server.status()["listener_pid"] == spare
    assert "spare" not in command_line(spare)
    assert wait_for_spare(running) != spare
    assert tally.failures.get("connect", 0) == 0


def test_a_spare_that_dies_is_replaced_and_costs_nothing(running):
    """The listener stays who it is."""
    listener = running.server.status()["listener_pid"]
    spare = wait_for_spare(running)
    os.kill(spare, signal.SIGKILL)
    wait_for("another", lambda: wait_for_spare(running) != spare)
    assert running.server.status()["listener_pid"] == listener
    assert get(running.port()).status == 200


def test_a_spare_ends_with_its_manager(running):
    """Nobody would ever tell it anything."""
    spare, port = wait_for_spare(running), running.port()
    running.expected_exit = None
    assert get(port).status == 200  # there is a worker, which nobody could start later
    os.kill(running.server.status()["manager_pid"], signal.SIGKILL)
    wait_for("its end", lambda: spare not in running.server.processes())
    assert get(port).status == 200
