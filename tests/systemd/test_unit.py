"""The unit that `was install systemd` writes, under a real systemd, while clients ask."""

import os
import signal
import threading
import time

import pytest
from harness.server import wait_for
from support.ports import unused_port
from support.running import run_server
from support.sample import SITES, write_sample
from support.systemd import run_systemd
from support.wire import CutShortError, get

SERVICE = "was-tried.service"
SOCKET = "was-tried.socket"


@pytest.fixture(scope="module")
def systemd():
    with run_systemd() as systemd:
        yield systemd


def _install(systemd, server, *options, watchdog_s=30):
    unit = systemd.folder / SERVICE
    done = server.command("install", "systemd", "--output", str(unit), *options)
    assert done.returncode == 0, done.stderr
    text = unit.read_text().replace("WatchdogSec=30", f"WatchdogSec={watchdog_s}")
    output = f"[Service]\nStandardOutput=append:{server.output}\nStandardError=inherit"
    unit.write_text(text.replace("[Service]", output))
    systemd.ctl("daemon-reload")


@pytest.fixture
def running(systemd):
    """The sample home as a service that has been started."""

    def launch(server):
        _install(systemd, server, watchdog_s=3)
        done = systemd.ctl("start", SERVICE)
        assert done.returncode == 0, done.stderr + server.log_text()

    with run_server(None, write_sample, launch=launch) as running:
        running.allow("worker_died")
        running.expected_exit = None
        yield running
        systemd.ctl("stop", SERVICE)
        assert systemd.show(SERVICE, "ActiveState") == "inactive"


class Clients:
    """Four that ask again and again, each time on a new connection."""

    def __init__(self, port):
        self._port = port
        self._is_over = threading.Event()
        self.answers = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_for("the first answers", lambda: len(self.answers) >= 40)
        return self

    def __exit__(self, *_):
        count = len(self.answers)
        wait_for("further answers", lambda: len(self.answers) >= count + 40)
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        while not self._is_over.is_set():
            try:
                self.answers.append(get(self._port).status)
            except (OSError, CutShortError) as error:
                self.answers.append(repr(error))
            time.sleep(0.01)


def test_every_site_is_served(systemd, running):
    """With all that the unit takes away from the service."""
    assert {get(running.port(site)).status for site in SITES} == {200}
    assert systemd.show(SERVICE, "NFileDescriptorStore") == str(len(SITES))


@pytest.mark.parametrize("command", ["reload", "restart"])
def test_an_operators_command_is_not_noticed(systemd, running, command):
    """Nothing but 200: the store holds the ports while all processes are new."""
    with Clients(running.port("Static")) as clients:
        assert systemd.ctl(command, SERVICE).returncode == 0
    assert set(clients.answers) == {200}


def _replaced(systemd, old):
    def new():
        pid = systemd.pid(SERVICE)
        return pid not in (0, old) and systemd.show(SERVICE, "SubState") == "running"

    wait_for("another manager", new)


def test_a_killed_manager_is_not_noticed(systemd, running):
    """Listener and workers serve on, and the next manager takes them over."""
    manager = systemd.pid(SERVICE)
    with Clients(running.port("Static")) as clients:
        os.kill(manager, signal.SIGKILL)
        _replaced(systemd, manager)
    assert set(clients.answers) == {200}


def test_a_hung_manager_is_replaced(systemd, running):
    """It has left off saying WATCHDOG=1."""
    manager = systemd.pid(SERVICE)
    with Clients(running.port("Static")) as clients:
        os.kill(manager, signal.SIGSTOP)
        _replaced(systemd, manager)
    assert set(clients.answers) == {200}


def test_with_manager_and_listener_dead_the_port_stays(systemd, running):
    """Who connects meanwhile waits for the next ones."""
    port, manager = running.port("Static"), systemd.pid(SERVICE)
    listener = running.server.status()["listener_pid"]
    os.kill(manager, signal.SIGKILL)
    os.kill(listener, signal.SIGKILL)
    assert get(port).status == 200
    _replaced(systemd, manager)


def test_after_an_upgrade_it_is_still_the_service(systemd, running):
    """`was upgrade` keeps the pid, so systemd need not be told."""
    manager = systemd.pid(SERVICE)
    with Clients(running.port("Static")) as clients:
        done = running.server.command("upgrade")
        assert done.returncode == 0, done.stderr
    assert set(clients.answers) == {200}
    assert systemd.pid(SERVICE) == manager


def test_the_first_client_starts_a_server_with_socket_activation(systemd):
    """`--socket`: systemd has the ports before there is a server, and after it was stopped."""
    ports = [unused_port() for _ in SITES]

    def launch(server):
        _install(systemd, server, "--socket")
        assert systemd.ctl("start", SOCKET).returncode == 0
        assert get(ports[0]).status == 200

    with run_server(None, lambda home: write_sample(home, ports), launch=launch) as running:
        running.expected_exit = None
        first = systemd.pid(SERVICE)
        systemd.ctl("stop", SERVICE)
        assert get(ports[1]).status == 200
        assert systemd.pid(SERVICE) != first
        systemd.ctl("stop", SOCKET, SERVICE)
