"""Applications that put other things in the place of Python's threads or sockets."""

import signal
from pathlib import Path

from harness.home import Pool
from support.event_log import wait_event
from support.running import STEADY, Running, place, simple_config
from support.wire import get


def start(start_server, what: str, pool: Pool) -> Running:
    """A server whose application replaces `what`."""

    def prepare(home: Path) -> None:
        place("replaces.py")(home)
        (home / "sites" / "app" / "what").write_text(what)

    return start_server(simple_config("replaces:application", pool=pool), prepare)


def test_replaced_threads_are_an_error_that_says_so(start_server):
    """The worker would stand still; the pool is disabled instead, with the reason in its event."""
    running = start(start_server, "threads", Pool("Pool"))
    running.allow("worker_start_failed", "pool_disabled")
    assert get(running.port()).status == 503
    assert "replaces Python's threads" in wait_event(running, 5059)["detail"]


def test_a_worker_with_replaced_sockets_finds_the_next_manager(start_server):
    """The server's own sockets are those that Python had at first."""
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start(start_server, "sockets", pool)
    worker = get(running.port()).text
    running.server.send(signal.SIGKILL)
    assert running.server.wait_exit() == -signal.SIGKILL
    running.server.start()
    assert running.workers(count=1) == [int(worker)]
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    assert get(running.port()).text != worker
