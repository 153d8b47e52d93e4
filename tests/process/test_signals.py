"""Signals to the manager, and the deaths of listener and template."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, make_home
from harness.server import WasServer, wait_for
from support.files import replace_text
from support.ports import is_refused
from support.running import Running, place, simple_config, wait_for_spare
from support.wire import Wire, get

from was.ipc.endpoints import Home, home_key, socket_base

POOL = Pool("Pool", {"startMode": "AlwaysRunning"}, {"failure": {"rapidFailProtection": "false"}})
# How long the application waits at a gate, and shutdownTimeLimit by default.
GATE_S, SHUTDOWN_S = 90, 90

# A manager that is signalled when its folder of sockets is there and its loop is not, and once more
# when all is over.
SIGNALLED = """
import os, sys
from pathlib import Path
from was.ipc.endpoints import Home
from was.manager.server import Options
from was.manager.service import run_manager

early, late = int(sys.argv[2]), int(sys.argv[3])

class Signalled(Home):
    def make_sockets(self):
        folder = super().make_sockets()
        os.kill(os.getpid(), early)
        return folder

status = run_manager(Signalled(Path(sys.argv[1])), Options())
os.kill(os.getpid(), late)
sys.exit(status)
"""


@pytest.fixture
def gates(start_server) -> Running:
    running = start_server(simple_config("gates:application", pool=POOL), place("gates.py"))
    running.workers(count=1)
    return running


def _reach(running: Running, wire: Wire, gate: str) -> None:
    wire.send_request(f"/held?gate={gate}", "POST", b"")
    file = running.folder() / "data" / f"{gate}.reached"
    wait_for("the gate", file.exists)


def _open(running: Running, gate: str) -> None:
    (running.folder() / "data" / f"{gate}.open").touch()


def _run_signalled(home, early: int, late: int = 0) -> subprocess.CompletedProcess[str]:
    """The whole life of a manager without a site."""
    make_home(home, application_host_config([Pool("Pool")], []))
    return subprocess.run(
        [sys.executable, "-P", "-c", SIGNALLED, str(home), str(int(early)), str(int(late))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_the_loop_listens_is_heard_when_it_does(tmp_path, number):
    """The manager ends as at any other moment: it says so, and leaves nothing behind."""
    done = _run_signalled(tmp_path / "home", number)
    assert (done.returncode, done.stdout) == (0, "")
    assert "was: stopped before it was ready" in done.stderr.splitlines()
    home = Home(tmp_path / "home")
    assert home.find_sockets() is None
    assert not (socket_base() / home_key(home.path)).exists()
    assert {path.name for path in home.state.iterdir()} <= {"counters.json", "identities.json"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_further_stop_when_all_is_over_changes_nothing(tmp_path, number):
    """Who presses Ctrl-C again just at the end sees exit 0 and no traceback."""
    done = _run_signalled(tmp_path / "home", signal.SIGTERM, number)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].endswith(" manager_stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_running_requests_finish(gates, number):
    """After SIGTERM or SIGINT a running request is answered."""
    with Wire(gates.port()) as wire:
        _reach(gates, wire, "a")
        gates.server.send(number)
        wait_for("the stop", lambda: "manager_stopping" in gates.server.log_text())
        _open(gates, "a")
        assert wire.read("POST").status == 200
    assert gates.server.wait_exit() == 0


def test_a_stop_that_waits_says_for_what(gates):
    """Who has pressed Ctrl-C with a stream open learns why nothing happens, and what ends it."""
    with Wire(gates.port()) as wire:
        _reach(gates, wire, "a")
        gates.server.send(signal.SIGINT)
        wait_for("the word", lambda: "manager_waiting" in gates.server.log_text())
        assert "Ctrl-C again" in gates.server.log_text()
        _open(gates, "a")
        assert wire.read("POST").status == 200
    assert gates.server.wait_exit() == 0
    assert gates.server.log_text().count("manager_waiting") == 1


def test_was_stop_says_for_what_it_waits(gates):
    """And `was stop --now` beside it ends the wait."""
    with Wire(gates.port()) as wire:
        _reach(gates, wire, "a")
        asked = subprocess.Popen(
            [sys.executable, "-P", "-m", "was", "--home", str(gates.home), "stop"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert asked.stderr is not None
        assert "`was stop --now` ends them" in asked.stderr.readline()
        assert gates.server.command("stop", "--now").returncode == 0
        assert asked.communicate(timeout=GATE_S / 2)[0] == "stopped\n"


def test_a_worker_that_is_told_to_go_during_a_stop_gets_no_successor(gates):
    """It would be killed before it had done anything."""
    (worker,) = gates.workers(count=1)
    with Wire(gates.port()) as wire:
        _reach(gates, wire, "a")
        gates.server.send(signal.SIGTERM)
        wait_for("the stop", lambda: "manager_stopping" in gates.server.log_text())
        os.kill(worker, signal.SIGTERM)  # it asks the manager for one
        _open(gates, "a")
        assert wire.read("POST").status == 200
    assert gates.server.wait_exit() == 0
    text = gates.server.log_text()
    assert text.count("worker_spawned") == 1
    assert "recycle_started" not in text


def test_a_stopping_server_takes_no_orders(gates):
    """Else ports that are just being closed would be bound, and clients told of no such site."""
    orders = [(verb, kind) for verb in ("stop", "start") for kind in ("site Site", "apppool Pool")]
    with Wire(gates.port()) as wire:
        _reach(gates, wire, "a")
        gates.server.send(signal.SIGTERM)
        wait_for("the stop", lambda: "manager_stopping" in gates.server.log_text())
        for verb, name in [*orders, ("recycle", "apppool Pool")]:
            done = gates.server.command(verb, *name.split())
            assert (done.returncode, done.stderr) == (1, "was: the server is stopping\n")
        _open(gates, "a")
        assert wire.read("POST").status == 200
    assert gates.server.wait_exit() == 0


def test_a_second_signal_stops_at_once(gates):
    """The second SIGTERM does not wait for requests."""
    with Wire(gates.port()) as wire:
        _reach(gates, wire, "a")
        gates.server.send(signal.SIGTERM)
        wait_for("the stop", lambda: "manager_stopping" in gates.server.log_text())
        gates.server.send(signal.SIGTERM)
        gates.server.wait_exit(limit_s=GATE_S / 2)


def test_a_stop_ends_processes_that_somebody_has_stopped(gates):
    """SIGSTOP to listener and worker: they go on to their end, and nobody waits for a limit."""
    stopped = [gates.server.status()["listener_pid"], *gates.workers(count=1)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    gates.server.send(signal.SIGTERM)
    assert gates.server.wait_exit(limit_s=SHUTDOWN_S / 2) == 0
    assert " worker_killed " not in gates.server.log_text()


def test_a_stop_waits_for_no_worker_that_nobody_forks(gates):
    """SIGSTOP to the template and the spare worker, and then a successor is asked for."""

    def find() -> list[int]:
        found = gates.server.processes().items()
        return [p for p, title in found if title.startswith(("was: template", "was: spare worker"))]

    for pid in wait_for("both", lambda: pids if len(pids := find()) == 2 else []):
        os.kill(pid, signal.SIGSTOP)
    assert gates.server.command("recycle", "apppool", "Pool").returncode == 0
    gates.server.send(signal.SIGTERM)
    assert gates.server.wait_exit(limit_s=SHUTDOWN_S / 2) == 0


def test_a_stopping_server_refuses_connections(gates):
    """While the last requests finish nobody new is let in to wait for nothing."""
    port = gates.port()
    with Wire(port) as wire:
        _reach(gates, wire, "a")
        gates.server.send(signal.SIGTERM)
        try:
            wait_for("a refused connection", lambda: is_refused(port))
        finally:
            _open(gates, "a")
        assert wire.read("POST").status == 200


def test_sighup_puts_a_changed_configuration_in_force(gates):
    """SIGHUP reloads: a changed mapping works without a restart."""
    config = gates.home / "config" / "applicationHost.config"
    (gates.folder() / "other.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '5')])\n"
        "    return [b'other']\n"
    )
    replace_text(config, config.read_text().replace("gates:application", "other:application"))
    gates.server.send(signal.SIGHUP)
    wait_for("the other application", lambda: get(gates.port()).text == "other")


def test_sighup_with_a_broken_file_keeps_the_last_good_one(gates):
    """A broken applicationHost.config is reported, and changes nothing that runs."""
    gates.allow("reload_failed", "config_error")
    config = gates.home / "config" / "applicationHost.config"
    good = config.read_text()
    replace_text(config, good.replace("</configuration>", ""))
    gates.server.send(signal.SIGHUP)
    wait_for("the report", lambda: "reload_failed" in gates.server.log_text())
    assert get(gates.port()).status == 200
    replace_text(config, good)
    gates.server.send(signal.SIGHUP)
    wait_for("the reload", lambda: "reload_completed" in gates.server.log_text())


def test_orders_of_other_servers_are_named_and_change_nothing(gates):
    """SIGUSR2 and SIGTTIN, gunicorn's, would end and stop the manager; SIGTTOU would stop it."""
    for number in (signal.SIGTTOU, signal.SIGUSR2, signal.SIGTTIN):
        gates.server.send(number)
    for name in ("SIGUSR2", "SIGTTIN"):
        wait_for(name, lambda name=name: f"signal={name}" in gates.server.log_text())
    assert gates.server.status()["state"] == "running"
    assert get(gates.port()).status == 200


def test_sigusr1_reopens_the_request_logs(gates):
    """After SIGUSR1 lines go to a new file of the same name, the renamed one stays as it is."""
    logs = gates.home / "logs" / "W3SVC1"
    get(gates.port(), "/first")
    file = wait_for("a log", lambda: next(iter(logs.glob("u_ex*.log")), None))
    wait_for("the line", lambda: "/first" in file.read_text())
    moved = file.rename(file.with_suffix(".old"))
    gates.server.send(signal.SIGUSR1)
    wait_for("the reopening", lambda: _asks_until_seen(gates, file))
    assert "/second" in file.read_text()
    assert "/first" in moved.read_text()


def test_sigusr1_reopens_the_pools_logs(start_server):
    """What a worker prints after SIGUSR1 is in a new file of the same name."""
    running = start_server(simple_config("prints:application", pool=POOL), place("prints.py"))
    get(running.port(), "/first")
    file = running.home / "logs" / "pools" / "Pool.log"
    owner = file.stat().st_uid
    moved = file.rename(file.with_suffix(".old"))
    running.server.send(signal.SIGUSR1)
    wait_for("the new file", lambda: _asks_until_seen(running, file))
    assert file.stat().st_uid == owner
    assert "/first" in moved.read_text()
    assert running.server.log_text().count("worker_spawned") == 1


def test_sigusr1_reopens_the_server_s_own_log(start_server):
    """Who lives goes on in the new file: manager, listener, the one that waits to be it, and the
    template. Neither file is for everybody to read: there are URLs in them."""
    running = start_server(
        simple_config("prints:application", pool=POOL),
        place("prints.py"),
        launch=WasServer.start_detached,
    )
    spare = wait_for_spare(running)
    file = running.home / "logs" / "was.log"
    status = running.server.status()
    moved = file.rename(file.with_suffix(".old"))
    os.kill(status["manager_pid"], signal.SIGUSR1)
    pids = [status[f"{name}_pid"] for name in ("manager", "listener", "template")]
    for pid in (*pids, spare):
        wait_for("its new log", lambda pid=pid: _writes_to(pid, file))
    old = moved.read_text()
    assert running.server.status()["template_pid"] == status["template_pid"]
    running.allow("listener_died")
    os.kill(status["listener_pid"], signal.SIGKILL)
    wait_for("its words", lambda: f"listener[{spare}] listener_started" in file.read_text())
    assert moved.read_text() == old
    assert [log.stat().st_mode & 0o777 for log in (file, moved)] == [0o640, 0o640]


def test_sigusr1_has_processes_of_programs_write_to_the_new_log(start_server):
    """Those of FastCGI live long: the next request finds one whose errors go to the new file."""
    path, arguments = "/usr/bin/python3", "{home}/sites/app/fcgi_responder.py"
    module = f'modules="FastCgiModule" scriptProcessor="{path}|{arguments}"'
    handler = f'<add name="all" path="*" verb="*" {module} />'
    application = Application("/", Path("{home}") / "sites" / "app", "Pool", (handler,))
    section = f'<fastCgi><application fullPath="{path}" arguments="{arguments}" /></fastCgi>'
    running = start_server(
        application_host_config(
            [POOL],
            [Site("Site", (application,))],
            f"<system.webServer>{section}</system.webServer>",
        ),
        place("fcgi_responder.py"),
    )
    file = running.home / "logs" / "pools" / "Pool.log"
    before = _program(running)
    assert os.path.samefile(f"/proc/{before}/fd/2", file)
    file.rename(file.with_suffix(".old"))
    running.server.send(signal.SIGUSR1)
    wait_for("another process", lambda: _program(running) != before)
    assert os.path.samefile(f"/proc/{_program(running)}/fd/2", file)


def _program(running: Running) -> int:
    """The pid of the FastCGI process that answers."""
    return int(get(running.port()).text.split()[0])


def _writes_to(pid, file) -> bool:
    """Whether standard output and standard error go there."""
    return file.exists() and all(
        os.path.realpath(f"/proc/{pid}/fd/{fd}") == str(file) for fd in (1, 2)
    )


def _asks_until_seen(running: Running, file) -> bool:
    get(running.port(), "/second")
    return file.exists() and "/second" in file.read_text()


def test_a_killed_listener_is_replaced_and_workers_stay(gates):
    """The port answers again through a new listener; the workers are the same processes."""
    gates.allow("listener_died")
    workers = gates.workers(count=1)
    old = gates.server.status()["listener_pid"]
    os.kill(old, signal.SIGKILL)
    # The port never refuses: this connection waits in the backlog for the new listener.
    assert get(gates.port()).status == 200
    assert gates.workers(count=1) == workers
    assert gates.server.status()["listener_pid"] not in {old, None}


def test_nobody_is_refused_while_the_listener_is_replaced(gates):
    """Connections made while there is no listener are accepted by the next one."""
    gates.allow("listener_died")
    port, refused = gates.port(), []
    over = threading.Event()

    def knock() -> None:
        while not over.is_set():
            try:
                Wire(port).socket.close()
            except ConnectionRefusedError as error:
                refused.append(error)
            # However long it takes: the queue of those who wait, and the ports, must not run out.
            over.wait(0.005)

    knocker = threading.Thread(target=knock)
    knocker.start()
    try:
        for _ in range(3):
            old = gates.server.status()["listener_pid"]
            os.kill(old, signal.SIGKILL)
            assert get(port).status == 200
            wait_for(
                "another listener",
                lambda old=old: gates.server.status()["listener_pid"] not in {old, None},
            )
    finally:
        over.set()
        knocker.join()
    assert refused == []


def test_a_killed_template_is_made_again(gates):
    """Without its template a pool still gets new workers: the template is replaced."""
    worker = gates.workers(count=1)[0]
    old = gates.server.status()["template_pid"]
    os.kill(old, signal.SIGKILL)
    wait_for("another template", lambda: gates.server.status()["template_pid"] not in {old, None})
    os.kill(worker, signal.SIGKILL)
    wait_for("another worker", lambda: gates.workers() not in ([], [worker]))
    assert get(gates.port()).status == 200
