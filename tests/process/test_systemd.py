"""Under a service manager: notices, watchdog, socket activation, the store of descriptors."""

import configparser
import os
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from harness.home import Application, Pool, Site, application_host_config, make_home
from harness.meter import process_state
from harness.server import WasServer, wait_for
from support.ports import is_refused
from support.running import STEADY, place, simple_config
from support.service_manager import ServiceManager
from support.wire import get

from was.cli import install

CONFIG = simple_config(
    "probe:application", pool=Pool("Pool", STEADY["attributes"], STEADY["elements"])
)


@pytest.fixture
def systemd(request):
    with ServiceManager(watchdog_s=getattr(request, "param", 60)) as service_manager:
        yield service_manager


@pytest.fixture
def serve(systemd, start_server):
    """Start the server as systemd does."""

    def start(config=CONFIG):
        return start_server(config, place("probe.py"), launch=systemd.start)

    return start


def test_it_says_when_it_is_ready_reloads_and_stops(systemd, serve):
    """Type=notify: READY=1 when every site answers; RELOADING=1 … READY=1; STOPPING=1."""
    running = serve()
    assert get(running.port()).status == 200
    assert running.server.command("reload").returncode == 0
    assert running.server.stop() == 0
    words = ("READY=1", "RELOADING=1", "STOPPING=1")
    said = [notice for notice in systemd.notices() if notice in words]
    assert said == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


@pytest.mark.parametrize("systemd", [0.2], indirect=True)
def test_the_watchdog_hears_a_manager_that_works(systemd, serve):
    """WATCHDOG=1 again and again; one that is stopped says nothing, and goes on when it can."""
    running = serve()
    port = running.port()

    def beats():
        return systemd.notices().count("WATCHDOG=1")

    before = beats()
    wait_for("three more beats", lambda: beats() >= before + 3)
    running.server.send(signal.SIGSTOP)
    wait_for("it is stopped", lambda: process_state(running.server.pid) == "T")
    silent = beats()
    assert get(port).status == 200
    assert beats() == silent
    running.server.send(signal.SIGCONT)
    wait_for("further beats", lambda: beats() > silent)


@pytest.mark.parametrize("unit", ["web.socket", "was-web.socket"])
def test_sockets_of_the_service_manager_are_served(systemd, serve, unit):
    """Socket activation; a site that was stopped gets its port back, upgraded or not."""
    port = systemd.listen(unit)
    running = serve(CONFIG.replace("127.0.0.1:0:", f"127.0.0.1:{port}:"))
    assert get(port).status == 200
    for _ in range(2):
        for verb in ("stop", "start"):
            done = running.server.command(verb, "site", "Site")
            assert done.returncode == 0, done.stderr
        assert get(port).status == 200
        assert running.server.command("upgrade").returncode == 0
    assert not systemd.store, "its own sockets need not be kept for us"


def test_the_store_keeps_the_ports_of_a_dead_manager_and_listener(systemd, serve):
    """Both killed: nobody is refused, who connects meanwhile is answered by the next ones."""
    running = serve()
    port = running.port()
    wait_for("the socket in the store", lambda: systemd.notices() and systemd.store)
    listener = running.server.status()["listener_pid"]
    running.server.send(signal.SIGKILL)
    os.kill(listener, signal.SIGKILL)
    assert running.server.wait_exit() == -signal.SIGKILL
    wait_for("the listener's end", lambda: not os.path.exists(f"/proc/{listener}"))
    answers = []
    with socket.create_connection(("127.0.0.1", port)):
        asker = threading.Thread(target=lambda: answers.append(get(port).status))
        asker.start()
        systemd.start(running.server)
        asker.join()
    assert answers == [200]
    assert running.server.port("Site") == port


def test_a_killed_manager_alone_is_replaced_with_nothing_lost(systemd, serve):
    """The next manager adopts; the copy in the store is not a second socket."""
    running = serve()
    port, before = running.port(), running.server.status()
    running.server.send(signal.SIGKILL)
    assert running.server.wait_exit() == -signal.SIGKILL
    assert get(port).status == 200
    systemd.start(running.server)
    assert running.server.status()["listener_pid"] == before["listener_pid"]
    assert get(port).status == 200
    assert len(systemd.store) == 1


def test_what_is_closed_here_is_kept_no_longer(systemd, serve):
    """A stopped site's port is closed everywhere."""
    running = serve()
    port = running.port()
    wait_for("the socket in the store", lambda: systemd.notices() and systemd.store)
    assert running.server.command("stop", "site", "Site").returncode == 0
    wait_for("an empty store", lambda: systemd.notices() and not systemd.store)
    wait_for("the listener's end of it", lambda: is_refused(port))


# ── the unit ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "ho me%"
    root = Application("/", tmp_path, "Pool")
    site = Site("Site", (root,), ("127.0.0.1:8123:", "*:8124:", "[::1]:8125:"))
    return make_home(folder, application_host_config([Pool("Pool")], [site]))


def _install(home, *arguments):
    done = WasServer(home).command("install", "systemd", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _parse(text):
    class Lists(dict):  # a key may come more than once
        def __setitem__(self, key, value):
            if isinstance(value, list) and key in self:
                self[key].extend(value)
            else:
                super().__setitem__(key, value)

    parser = configparser.RawConfigParser(strict=False, dict_type=Lists, delimiters="=")
    parser.optionxform = str
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def test_the_unit_lets_a_dead_manager_take_nothing_along(home):
    """Its end leaves the others alone; only an end that was asked for is one."""
    service = _parse(_install(home))["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "process"
    assert service["Restart"] == "on-failure"
    assert service["Delegate"] == "yes"
    assert int(service["WatchdogSec"]) > 0
    assert int(service["FileDescriptorStoreMax"]) > 0
    # The folders of the pools' sockets hand their group on: no worker could start.
    assert "RestrictSUIDSGID" not in service
    quoted = f'"{home}"'.replace("%", "%%")
    assert service["ExecStart"].endswith(f"-m was --home {quoted} start")
    assert service["ExecReload"].endswith(f"-m was --home {quoted} reload")


def test_the_socket_unit_has_the_ports_of_the_started_sites(home, tmp_path):
    """`--socket`: a unit beside the service's, named after it."""
    printed = _install(home, "--socket", "--output", str(tmp_path / "shop.service"))
    assert [line.split()[-1] for line in printed.splitlines()] == [
        str(tmp_path / "shop.service"),
        str(tmp_path / "shop.socket"),
    ]
    text = (tmp_path / "shop.socket").read_text()
    streams = [line.partition("=")[2] for line in text.splitlines() if "ListenStream" in line]
    assert streams == ["8124", "127.0.0.1:8123", "[::1]:8125"]
    assert "Service=shop.service" in text


def test_systemd_finds_no_fault_in_the_units(home, tmp_path):
    """`systemd-analyze verify`, on machines that have it."""
    _install(home, "--socket", "--output", str(tmp_path / "was-check.service"))
    for unit in ("was-check.service", "was-check.socket"):
        if program := shutil.which("systemd-analyze"):
            done = subprocess.run(
                [program, "verify", "--man=no", str(tmp_path / unit)],
                capture_output=True,
                text=True,
                check=False,
            )
            ours = [line for line in done.stderr.splitlines() if "was-check" in line]
            assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize(("version", "is_there"), [(0, False), (252, False), (254, True)])
def test_a_systemd_that_can_puts_the_manager_beside_its_pools(
    tmp_path, monkeypatch, version, is_there
):
    """DelegateSubgroup= is written where systemd knows it; elsewhere it would only complain."""
    monkeypatch.setattr(install, "systemd_version", lambda: version)
    assert ("DelegateSubgroup=was-manager" in install.service_unit(tmp_path)) is is_there


def test_other_names_than_a_service_s_are_refused(home, tmp_path):
    """systemd knows a unit's kind by its name."""
    done = WasServer(home).command("install", "systemd", "--output", str(tmp_path / "was.conf"))
    assert done.returncode == 2
    assert "was.conf" in done.stderr
