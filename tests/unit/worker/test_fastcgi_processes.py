"""Processes of a fastCgi/application in this process: their ends, by time and by signal."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Thread

import pytest
from harness.server import wait_for

from was.worker.fastcgi.held import start
from was.worker.fastcgi.process_pool import Verdict
from was.worker.fastcgi.processes import Processes
from was.worker.fastcgi.settings import FastCgiApplication
from was.worker.fastcgi.waiting import NoProcessError

# Answers nothing; on SIGTERM it writes a file and goes. Writes another once it would.
WAITS = """
import os, signal, socket, sys, time
def go(*_):
    open(sys.argv[1], "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, go)
open(sys.argv[2], "w").close()
listener = socket.socket(fileno=0)
while True:
    stream, _ = listener.accept()
    stream.close()
"""


@pytest.fixture(autouse=True)
def _folder_of_sockets(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def _make(tmp_path: Path, **settings) -> Processes:
    (tmp_path / "waits.py").write_text(WAITS)
    arguments = f"{tmp_path}/waits.py {tmp_path}/asked {tmp_path}/up"
    return Processes(FastCgiApplication(full_path=sys.executable, arguments=arguments, **settings))


def _sockets(folder: Path) -> list[Path]:
    return list(folder.glob("*.sock"))


def test_an_idle_process_is_ended_with_its_socket(tmp_path):
    """idleTimeout, here none at all: the clock ends it soon after it was given back."""
    processes = _make(tmp_path, idle_timeout=0)
    held = processes.acquire(10, lambda: False)
    assert len(_sockets(tmp_path)) == 1
    processes.release(held, is_good=True)
    wait_for("the end of the process", lambda: not processes._held)
    wait_for("the end of its socket", lambda: _sockets(tmp_path) == [])
    wait_for("the end of the clock", lambda: processes._clock is None)


def test_a_clock_that_gets_no_thread_is_wound_by_the_next(tmp_path, monkeypatch):
    """The request that gives a process back is not the one to fail; nor is the clock lost."""
    start_thread, left = Thread.start, [True]

    def start_second(thread):
        if left and left.pop():
            raise RuntimeError("can't start new thread")
        start_thread(thread)

    monkeypatch.setattr(Thread, "start", start_second)
    processes = _make(tmp_path, idle_timeout=0)
    for _ in range(2):
        processes.release(processes.acquire(10, lambda: False), is_good=True)
    wait_for("the end of the process", lambda: not processes._held)


def test_a_process_is_asked_first_where_it_is_to_be(tmp_path):
    """signalBeforeTerminateSeconds: SIGTERM, and the time to obey."""
    processes = _make(tmp_path, signal_before_terminate_seconds=60)
    held = processes.acquire(10, lambda: False)
    wait_for("its readiness to be asked", (tmp_path / "up").exists)
    processes.release(held, is_good=True)
    processes.close()
    assert (tmp_path / "asked").exists()


def test_a_socket_may_lie_deep(tmp_path, monkeypatch):
    """A path that does not fit into an address is bound and connected to all the same."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(deep))
    processes = _make(tmp_path)
    held = processes.acquire(10, lambda: False)
    assert len(_sockets(deep)) == 1
    processes.release(held, is_good=True)
    processes.close()
    assert _sockets(deep) == []


def test_a_process_that_ends_at_once_is_one_failure(tmp_path, monkeypatch):
    """It is not started again and again for one request; what execve said is told."""

    def start_and_wait(held, *others):
        start(held, *others)
        assert held.program.wait(60)

    monkeypatch.setattr("was.worker.fastcgi.processes.start", start_and_wait)
    processes = Processes(FastCgiApplication(full_path="/no/such/program"))
    for count in (1, 2):
        with pytest.raises(NoProcessError, match="No such file"):
            processes.acquire(10, lambda: False)
        assert len(processes._pool._failures) == count
    assert _sockets(tmp_path) == []


def test_who_waits_is_let_go_when_the_client_has_gone(tmp_path):
    """The only process is busy: the wait ends with the client, or with the time."""
    processes = _make(tmp_path, max_instances=1)
    held = processes.acquire(10, lambda: False)
    for limit_s, is_gone in ((10, True), (0, False)):
        with pytest.raises(NoProcessError) as raised:
            processes.acquire(limit_s, lambda is_gone=is_gone: is_gone)
        assert raised.value.verdict is Verdict.WAIT
    processes.release(held, is_good=True)
    processes.close()


def test_who_connects_slowly_keeps_nobody_waiting(monkeypatch):
    """An address that does not answer: all try it once, at the same time."""
    all_at_once = Barrier(3, timeout=60)
    tries = []

    def connect(address):
        tries.append(address)
        all_at_once.wait()
        raise TimeoutError

    monkeypatch.setattr("was.worker.fastcgi.processes.connect", connect)
    processes = Processes(FastCgiApplication(full_path="127.0.0.1:1"))

    def ask(_number: int) -> None:
        with pytest.raises(NoProcessError, match="cannot be connected to"):
            processes.acquire(60, lambda: False)

    for has_asked in (False, True):
        processes._has_asked = has_asked
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(ask, range(3)))
    assert tries == [("127.0.0.1", 1)] * 6
    assert not processes._pool.instances


def test_processes_that_nobody_names_any_more_are_ended(tmp_path):
    """As after a change of configuration: the last reference is what counts."""
    processes = _make(tmp_path)
    processes.release(processes.acquire(10, lambda: False), is_good=True)
    del processes
    wait_for("its end", lambda: _sockets(tmp_path) == [])
