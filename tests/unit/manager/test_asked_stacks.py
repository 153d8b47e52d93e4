"""What waits for the stacks of a hung worker, and for how long."""

import asyncio
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from harness.server import wait_for

from was.manager import process
from was.manager.asked_stacks import ask_for_stacks, when_written

CATCHES = (
    "import signal; signal.signal(signal.SIGRTMIN + 5, print); print(flush=True); signal.pause()"
)


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A manager's knowledge of a worker; `file` is where its stacks are to be."""
    monkeypatch.setattr("was.manager.asked_stacks.STEP_S", 0.01)
    loop = asyncio.new_event_loop()
    file = tmp_path / "stacks"
    file.write_text("of before\n")
    server = SimpleNamespace(loop=loop, home=SimpleNamespace(stacks=lambda _: file))
    handle = SimpleNamespace(id=1, stacks_begin=10, is_alive=True)
    yield SimpleNamespace(server=server, handle=handle, file=file, loop=loop)
    loop.close()


def _read_when_written(worker):
    read = worker.loop.create_future()
    when_written(
        worker.server, worker.handle, lambda: read.set_result(worker.file.read_text()[10:])
    )
    return worker.loop.run_until_complete(read)


def test_what_is_to_be_done_waits_until_nothing_more_is_written(worker, monkeypatch):
    """Neither what was there before nor the first line alone is what was asked for."""
    monkeypatch.setattr("was.manager.asked_stacks.LIMIT_S", 60.0)
    lines = [f"line {number}\n" for number in range(20)]

    def write(left):
        with worker.file.open("a") as file:
            file.write(left[0])
        if left[1:]:
            worker.loop.call_soon(write, left[1:])

    worker.loop.call_later(0.05, write, lines)
    assert _read_when_written(worker) == "".join(lines)


def test_who_writes_nothing_is_not_waited_for_for_ever(worker, monkeypatch):
    """Nor is who has died meanwhile."""
    monkeypatch.setattr("was.manager.asked_stacks.LIMIT_S", 0.05)
    assert _read_when_written(worker) == ""
    monkeypatch.setattr("was.manager.asked_stacks.LIMIT_S", 60.0)
    worker.loop.call_later(0.05, setattr, worker.handle, "is_alive", False)
    assert _read_when_written(worker) == ""


def test_who_is_stopped_or_would_die_of_it_is_not_asked(worker):
    """Only a process that runs, and has taken the signal for its own."""
    handle = worker.handle
    for code, is_asked in (("input()", False), (CATCHES, True)):
        with subprocess.Popen(
            [sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            if is_asked:
                child.stdout.readline()
            handle.pid, handle.pidfd = child.pid, os.pidfd_open(child.pid)
            os.kill(child.pid, signal.SIGSTOP)
            wait_for("the stop", lambda pid=child.pid: process.is_stopped(pid))
            assert not ask_for_stacks(worker.server, handle)
            os.kill(child.pid, signal.SIGCONT)
            wait_for("its going on", lambda pid=child.pid: not process.is_stopped(pid))
            assert ask_for_stacks(worker.server, handle) is is_asked
            os.close(handle.pidfd)
            child.kill()
