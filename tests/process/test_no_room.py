"""A listener that has no descriptor left: what that costs, and whom."""

import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from harness.meter import descriptors
from harness.server import wait_for
from support.files import replace_text
from support.ports import unused_port
from support.running import STEADY
from support.wire import Wire, get

LARGE = b"x" * (1 << 20)
POOL = Pool("Pool", STEADY["attributes"], STEADY["elements"])
BINDING = '<binding protocol="http" bindingInformation="127.0.0.1:{}:" />'


def prepare(home: Path) -> None:
    root = home / "sites" / "files"
    root.mkdir(parents=True)
    (root / "large.bin").write_bytes(LARGE)
    (root / "small.txt").write_text("small")


@pytest.fixture
def running(start_server):
    """A server with files; its worker and its listener have met already."""
    application = Application("/", Path("{home}") / "sites" / "files", "Pool")
    config = application_host_config([POOL], [Site("Site", (application,))])
    found = start_server(config, prepare)
    assert get(found.port(), "/large.bin").body == LARGE
    return found


@contextmanager
def no_room(pid):
    """The process can open nothing more."""
    held = descriptors(pid)
    before = _limit(pid, next(number for number in count() if number not in held))
    try:
        yield
    finally:
        _limit(pid, before)


def _limit(pid, number):
    """Set how many descriptors a process may have; what that was. As its user: others may not."""
    owner = Path(f"/proc/{pid}").stat()
    code = (
        "import resource, sys\n"
        "pid, number = map(int, sys.argv[1:])\n"
        "soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)\n"
        "resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, hard))\n"
        "print(soft)"
    )
    ids = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(pid), str(number)],
        stdout=subprocess.PIPE,
        check=True,
        **(ids if os.geteuid() == 0 else {}),
    )
    return int(done.stdout)


def test_a_listener_that_has_no_room_for_a_file_does_not_blame_the_worker(running):
    """One request is a 503, with its reason in HTTPERR; the worker goes on."""
    running.allow("listener_error")
    port, (worker,) = running.port(), running.workers(count=1)
    with Wire(port) as bad:
        bad.send(b"GET / HTTP/1.1\r\n\r\n")  # HTTPERR is open from now on
        assert bad.read().status == 400
    with Wire(port) as wire:
        assert wire.request("/small.txt").status == 200
        _wait_for_logs(running, "HTTPERR", "W3SVC1")
        with no_room(running.server.status()["listener_pid"]):
            assert wire.request("/large.bin").status == 503
        assert wire.request("/large.bin").body == LARGE
    assert running.workers() == [worker]
    logs = running.home / "logs" / "HTTPERR"
    wait_for(
        "the reason",
        lambda: any("503 1 Connections_Refused" in file.read_text() for file in logs.glob("*.log")),
    )


def test_a_listener_that_has_no_room_for_a_port_closes_none(running):
    """A reload brings one: those that are there stay, and the new one comes when there is room."""
    running.allow("listener_error")
    port, new = running.port(), unused_port()
    file = running.home / "config" / "applicationHost.config"
    text = file.read_text()
    first = BINDING.format(0)
    assert first in text
    listener = running.server.status()["listener_pid"]
    with Wire(port) as wire:
        assert wire.request("/small.txt").status == 200
        _wait_for_logs(running, "W3SVC1")
        with no_room(listener):
            replace_text(file, text.replace(first, first + BINDING.format(new)))
            assert running.server.command("reload").returncode == 0
            wait_for("the shortage", lambda: "listener_error" in running.server.log_text())
            assert wire.request("/small.txt").status == 200
        wait_for("the new port", lambda: _answers(new))
        assert wire.request("/small.txt").status == 200
    assert get(port, "/small.txt").status == 200
    assert running.server.status()["listener_pid"] == listener


def _wait_for_logs(running, *folders):
    """The listener has them open: from then on a line needs no descriptor."""
    for folder in folders:
        logs = running.home / "logs" / folder
        wait_for("a line", lambda logs=logs: any(f.stat().st_size for f in logs.glob("*.log")))


def _answers(port):
    try:
        with Wire(port, limit_s=0.5) as wire:
            return wire.request("/small.txt").status == 200
    except OSError:
        return False
