"""Signals that an ASGI application asks its event loop for, as it does where the loop is in the
main thread."""

import os
import signal

import pytest
from harness.server import wait_for
from support.pools import calm_pool
from support.running import Running, asgi_config, place
from support.wire import Wire, get


@pytest.fixture
def running(start_server) -> Running:
    """One worker, whose application asks for signals while it starts."""
    config = asgi_config("signalled:application", pool=calm_pool())
    return start_server(config, place("signalled.py"))


def recycle(running, worker):
    assert running.server.command("recycle", "apppool", "Pool").returncode == 0


def signal_it(running, worker):
    os.kill(worker, signal.SIGTERM)


@pytest.mark.parametrize("end", [recycle, signal_it])
def test_a_worker_that_goes_is_a_sigterm_to_its_application(running, end):
    """A stream that would go on for ever ends, whole, when its worker is replaced or told to go."""
    (old,) = running.workers(count=1)
    with Wire(running.port()) as wire:
        wire.send_request("/stream")
        wire.read_until(b"begun ")
        end(running, old)
        wire.read_until(b"ended\r\n0\r\n\r\n")
    wait_for("another worker", lambda: running.workers(count=1) != [old])


def test_other_signals_come_to_the_loop(running):
    """In the context in which they were asked for; one that is not wanted any more does nothing."""
    (worker,) = running.workers(count=1)
    assert get(running.port()).text == ""

    def heard(number, text):
        os.kill(worker, number)
        return get(running.port()).text.endswith(text)

    # Its handler is set a moment after the worker is ready, and until then SIGHUP does nothing.
    wait_for("SIGHUP", lambda: heard(signal.SIGHUP, "HUP at the start"))
    wait_for("SIGUSR1", lambda: heard(signal.SIGUSR1, "USR1 at the start"))
    os.kill(worker, signal.SIGINT)
    assert "INT" not in get(running.port()).text
    assert running.workers(count=1) == [worker]
