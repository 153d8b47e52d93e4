"""Processes and threads that an application begins: as they would be in any Python program."""

import signal
from pathlib import Path

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.running import Running, place, simple_config
from support.wire import get


@pytest.fixture
def running(start_server) -> Running:
    """One worker, whose application may write to `data` in its folder."""
    pool = Pool("Pool", {}, {"isolation": {"writable": "{home}/sites/app/data"}})
    return start_server(simple_config("begins:application", pool=pool), place("begins.py"))


def ask(running: Running, what: str) -> str:
    answer = get(running.port(), f"/{what}")
    assert answer.status == 200, answer.text
    return answer.text


def log_of(running: Running) -> str:
    return (running.home / "logs" / "pools" / "Pool.log").read_text()


def test_its_processes_know_nothing_of_the_worker_s_signals(running):
    """They end by SIGTERM and SIGINT, though the worker does not."""
    assert ask(running, "terminated") == str(-signal.SIGTERM)
    assert ask(running, "interrupted") == str(-signal.SIGINT)
    assert "Traceback" not in log_of(running)


def test_a_child_s_child_keeps_its_descriptors(running):
    """What the worker's are closed for is done once."""
    assert ask(running, "grandchild") == "7"
    assert "Traceback" not in log_of(running)


@pytest.mark.parametrize(("what", "status"), [("left", 3), ("failed", 1), ("strayed", 1)])
def test_a_child_that_comes_back_ends(running, what, status):
    """With the status of a program; what it would answer is the worker's to say."""
    assert ask(running, what) == str(status)
    said = log_of(running)
    assert said.count("child_failed") == (what != "left")
    assert "Fatal Python error" not in said


def test_what_it_has_begun_is_done_before_the_worker_ends(running):
    """Threads begun in a request, tasks of executors, then the functions of atexit."""
    ask(running, "begin_task")
    ask(running, "begin_thread")
    data = running.folder() / "data"
    old = running.workers(count=1)
    assert running.server.command("recycle", "apppool", "Pool").returncode == 0
    wait_for("another worker", lambda: running.workers(count=1) != old)
    assert not (data / "done").exists()
    (data / "go").touch()
    wait_for("the old worker's end", lambda: not Path(f"/proc/{old[0]}").exists())
    done = (data / "done").read_text().split("\n")[:-1]
    assert sorted(done[:2]) == ["task", "thread"]
    assert done[2:] == ["exit function"]


def test_what_never_ends_is_cut_short(running):
    """And named; the exit functions are called all the same. Who stops the server is told meanwhile
    that it is a worker that it waits for, and no request."""
    ask(running, "begin_endless")
    assert running.server.command("stop").returncode == 0
    assert running.server.wait_exit() == 0
    running.expected_exit = None
    assert "exit_cut_short threads=endless" in log_of(running)
    assert 'manager_waiting what="workers that end"' in running.server.log_text()
    assert (running.folder() / "data" / "done").read_text() == "exit function\n"
