"""The manager as a process, with a listener and workers that only speak the control protocol."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from harness.server import LIMIT_S, wait_for

DRIVE = Path(__file__).parent / "manager_fakes" / "drive.py"


class Driven:
    """A manager that runs in a home of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.output = home / "output"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(DRIVE), str(home), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> "Driven":
        wait_for("ready", lambda: "\nready\n" in self.text())
        (self.home / "run" / "orders").mkdir()
        return self

    def order(self, name: str) -> None:
        (self.home / "run" / "orders" / name).touch()

    def ask(self, **request: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT_S)
            client.connect(os.path.realpath(self.home / "run" / "control.sock"))
            client.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(client.makefile().readline())

    def rows(self, what: str) -> list[dict[str, Any]]:
        return self.ask(command="list", object=what)["result"]

    def worker(self, pool: str, other_than: int = 0) -> int:
        def find() -> int:
            rows = [r for r in self.rows("wp") if r["app_pool"] == pool]
            pids = [r["pid"] for r in rows if r["state"] == "running" and r["pid"] != other_than]
            return pids[0] if len(rows) == 1 and pids else 0

        return wait_for(f"a worker of {pool}", find)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)


@pytest.fixture
def drive(tmp_path) -> Iterator[Any]:
    started: list[Driven] = []

    def start(*arguments: str, home: Path = tmp_path / "home") -> Driven:
        started.append(Driven(home, *arguments))
        return started[-1]

    yield start
    for driven in started:
        if driven.process.poll() is None:
            driven.process.terminate()
            driven.process.wait(LIMIT_S)
        wait_for("the end of all", lambda d=driven: not _processes_of(d.home))
        assert "unexpected_error" not in driven.text(), driven.text()


def _processes_of(home: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(home) in command and b"was: " in command:
                found.append(command.decode())
    return found


def _port(driven: Driven) -> int:
    return int(driven.rows("site")[0]["bindings"][0].split(":")[1])


def test_nobody_waits_for_a_pool_that_was_removed(drive, tmp_path):
    """A reload takes an AlwaysRunning pool away before the listener is there: ready without it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "listener-waits").touch()
    driven = drive("P=", "always=")
    wait_for("its worker", lambda: "worker_ready" in driven.text())
    (home / "without-always").touch()
    driven.process.send_signal(signal.SIGHUP)
    wait_for("the pool to be gone", lambda: [r["name"] for r in driven.rows("apppool")] == ["P"])
    (home / "listener-waits").unlink()
    driven.wait_ready()


def test_a_stop_leaves_nothing(drive):
    """After SIGTERM: status 0, no process, no socket, no pid file, no record of a process."""
    driven = drive("P=").wait_ready()
    driven.order("demand-P")
    driven.worker("P")
    folder = Path((driven.home / "run" / "sockets").read_text().strip())
    assert driven.stop() == 0
    assert not folder.exists()
    left = {p.name for p in (driven.home / "run").iterdir()}
    assert left - {"spool"} == {"manager.lock", "orders", "pools", "state"}
    state = {p.name for p in (driven.home / "run" / "state").iterdir()}
    assert state - {"identities.json"} == {"counters.json"}


def test_a_second_manager_is_refused(drive):
    """One manager a home; the second names the first's pid."""
    first = drive("P=").wait_ready()
    second = drive("P=")
    assert second.process.wait(LIMIT_S) == 1
    assert f"a manager is running already, pid {first.process.pid}" in first.text()


def test_a_taken_port_fails_the_start(drive):
    """One line with site, binding and reason; nothing stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        driven = drive("P=", f"port={taken.getsockname()[1]}")
        assert driven.process.wait(LIMIT_S) == 1
    assert "site 'site' cannot listen on 127.0.0.1:" in driven.text()


def test_a_killed_worker_that_had_served_is_replaced(drive):
    """Without any new demand."""
    driven = drive("P=served").wait_ready()
    driven.order("demand-P")
    pid = driven.worker("P")
    os.kill(pid, signal.SIGKILL)
    assert driven.worker("P", other_than=pid) != pid


def test_an_always_running_pool_is_ready_before_the_server_is(drive):
    """`ready` waits for the first worker."""
    driven = drive("always=").wait_ready()
    assert driven.text().index("worker_ready") < driven.text().index(" ready\n")
    assert [r["state"] for r in driven.rows("wp")] == ["running"]


def test_an_always_running_pool_that_cannot_start_does_not_hold_the_server(drive):
    """`ready` waits for the first worker's start or its failure."""
    driven = drive("always=refuse").wait_ready()
    assert "worker_start_failed" in driven.text()


@pytest.mark.parametrize("behaviour", ["crash", "refuse"])
def test_workers_that_cannot_start_disable_their_pool(drive, behaviour):
    """Five failed starts: the pool is stopped, event 5002 is written; others go on."""
    driven = drive(f"P={behaviour}", "Q=").wait_ready()
    driven.order("demand-P")
    driven.order("demand-Q")
    wait_for("a stopped pool", lambda: driven.rows("apppool")[0]["state"] == "stopped")
    file = driven.home / "logs" / "events.jsonl"
    # It comes behind those of the deaths, which wait for what there is to tell.
    wait_for("event 5002", lambda: '"id": 5002' in file.read_text())
    driven.worker("Q")


def test_a_killed_listener_is_replaced_on_the_same_port(drive):
    """The port never refuses; the worker stays and gets requests again."""
    driven = drive("P=").wait_ready()
    driven.order("demand-P")
    pid = driven.worker("P")
    port = _port(driven)
    listener = driven.ask(command="status")["result"]["listener_pid"]
    os.kill(listener, signal.SIGKILL)
    wait_for(
        "another listener",
        lambda: driven.ask(command="status")["result"]["listener_pid"] not in (0, listener),
    )
    socket.create_connection(("127.0.0.1", port)).close()
    assert _port(driven) == port
    assert driven.worker("P") == pid


def test_a_list_that_needs_a_listener_that_is_silent_is_refused(drive):
    """Only it knows the requests: who asks is told so, and the next question is answered."""
    driven = drive("P=").wait_ready()
    listener = driven.ask(command="status")["result"]["listener_pid"]
    os.kill(listener, signal.SIGSTOP)
    try:
        asked = driven.ask(command="list", object="requests")
        assert (asked["ok"], asked["error"]) == (False, "the listener does not answer")
        assert [row["name"] for row in driven.rows("apppool")] == ["P"]
    finally:
        os.kill(listener, signal.SIGCONT)


def test_a_killed_template_is_replaced_and_workers_go_on(drive):
    """Workers asked for afterwards come from the next template."""
    driven = drive("P=", "Q=").wait_ready()
    driven.order("demand-P")
    pid = driven.worker("P")
    os.kill(driven.ask(command="status")["result"]["template_pid"], signal.SIGKILL)
    driven.order("demand-Q")
    driven.worker("Q")
    assert driven.worker("P") == pid


def test_recycle_waits_for_the_old_worker(drive):
    """`recycle` with wait answers when the new worker serves and the old one has gone."""
    driven = drive("P=").wait_ready()
    driven.order("demand-P")
    pid = driven.worker("P")
    assert driven.ask(command="recycle", apppool="P", wait=True) == {"ok": True, "result": None}
    rows = driven.rows("wp")
    assert [r["generation"] for r in rows] == [2]
    assert rows[0]["pid"] != pid


def test_pools_and_sites_stop_and_start(drive):
    """Workers go with the pool, the port with the site; a wrong state is refused.

    Names are found whatever their case, as IIS's tools find them.
    """
    driven = drive("P=").wait_ready()
    driven.order("demand-P")
    driven.worker("P")
    assert driven.ask(command="stop", object="apppool", name="P")["ok"]
    wait_for("no worker", lambda: driven.rows("wp") == [])
    again = driven.ask(command="stop", object="apppool", name="P")
    assert (again["ok"], again["kind"]) == (False, "wrong_state")
    assert driven.ask(command="start", object="apppool", name="p")["ok"]
    assert driven.ask(command="stop", object="site", name="Site")["ok"]
    assert driven.rows("site")[0]["state"] == "stopped"
    assert driven.ask(command="start", object="site", name="site")["ok"]
    assert driven.ask(command="start", object="site", name="no")["kind"] == "unknown_object"


@pytest.mark.parametrize("line", [b"\n", b"[1]\n", b"{\n", b"x" * 100_000 + b"\n", b""])
def test_a_bad_administrator_harms_nobody(drive, line):
    """What is no request is refused or dropped, and the next one is answered."""
    driven = drive("P=").wait_ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(driven.home / "run" / "control.sock"))
        with suppress(BrokenPipeError, ConnectionResetError):  # it has been shown out already
            client.sendall(line)
            client.shutdown(socket.SHUT_WR)
    assert driven.ask(command="nonsense")["kind"] == "usage"
    assert driven.ask(command="status")["ok"]


def test_a_deep_home_has_its_socket_in_a_short_place(drive, tmp_path):
    """run/control.sock is then a link to it."""
    driven = drive("P=", home=tmp_path / ("x" * 100)).wait_ready()
    assert (driven.home / "run" / "control.sock").is_symlink()
    assert driven.ask(command="status")["ok"]
    driven.stop()
    assert not (driven.home / "run" / "control.sock").is_symlink()


def test_a_second_signal_ends_everything(drive):
    """Also with workers that never became ready."""
    driven = drive("P=silent").wait_ready()
    driven.order("demand-P")
    wait_for("a starting worker", lambda: driven.rows("wp"))
    driven.process.send_signal(signal.SIGTERM)
    wait_for("the stop", lambda: "manager_stopping" in driven.text())  # else both are one signal
    assert driven.stop() == 0
