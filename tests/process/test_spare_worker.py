"""The process that the template keeps ready to be the next worker."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.home import Pool
from harness.meter import children
from harness.server import LIMIT_S, wait_for
from support.running import Running, place, simple_config
from support.wire import get

from was.ipc.endpoints import Home

POOL = Pool(
    "Pool",
    {"startMode": "AlwaysRunning"},
    {"failure": {"rapidFailProtection": "false"}, "processModel": {"maxProcesses": "3"}},
)


@pytest.fixture
def running(start_server) -> Running:
    running = start_server(simple_config("gates:application", pool=POOL), place("gates.py"))
    running.workers(count=3)
    return running


def _spares(running: Running) -> list[int]:
    return [p for p, title in running.server.processes().items() if "was: spare worker" in title]


def _spare(running: Running, other_than: int = 0) -> int:
    """The pid of the only one there is."""

    def find() -> int:
        spares = _spares(running)
        return spares[0] if len(spares) == 1 and spares[0] != other_than else 0

    return wait_for("one spare worker", find)


def test_the_spare_worker_becomes_the_next_worker(running):
    """It is the manager's child already; the next one is there soon after."""
    spare = _spare(running)
    wait_for("it is the manager's", lambda: spare in children(running.server.pid))
    os.kill(running.workers()[0], signal.SIGKILL)
    wait_for("the new worker", lambda: spare in running.workers())
    _spare(running, other_than=spare)
    assert get(running.port()).status == 200


def test_workers_that_are_asked_for_at_once_all_come(running):
    """The second does not wait for a spare one that is fully ready."""
    old = set(running.workers())
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_for("three new workers", lambda: len(set(running.workers()) - old) == 3)
    _spare(running)


def test_a_killed_spare_worker_is_replaced(running):
    """It costs nobody anything: another one is made, and becomes a worker."""
    spare = _spare(running)
    os.kill(spare, signal.SIGKILL)
    other = _spare(running, other_than=spare)
    os.kill(running.workers()[0], signal.SIGKILL)
    wait_for("the new worker", lambda: other in running.workers())


def test_the_spare_worker_ends_with_its_template_and_with_the_manager(running):
    """Nobody is left behind who would take a message that is for another."""
    spare = _spare(running)
    template = running.server.status()["template_pid"]
    os.kill(template, signal.SIGKILL)
    wait_for("its end", lambda: not Path(f"/proc/{spare}").exists())
    spare = _spare(running)
    os.kill(running.server.pid, signal.SIGKILL)
    wait_for("its end", lambda: spare not in _spares(running))
    running.server.wait_exit()
    running.server.start()
    os.kill(running.workers(count=3)[0], signal.SIGKILL)
    running.workers(count=3)
    _spare(running)


def test_a_template_that_is_nobodys_ends(running):
    """As one does that a manager has started and been killed before it was noted."""
    control = Home(running.home).find_sockets().control
    command = [sys.executable, "-P", "-m", "was.manager.template", "--control", control]
    done = subprocess.run(
        [*command, "--home", str(running.home)], capture_output=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    refused = " says that it is our template, and is not"
    assert running.server.log_text().count(refused) == 1


def test_no_program_has_a_name_with_a_blank(running):
    """Python would find several threads where there is one, and warn of each os.fork()."""
    _spare(running)
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in running.server.processes()}
    assert names == {"was-manager", "was-listener", "was-template", "was-spare", "was-worker"}
