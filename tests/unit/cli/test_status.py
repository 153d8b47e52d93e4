"""`was status` and `was stop` without a manager: only what is proven, nothing on suspicion."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from was.cli import processes
from was.cli.status import _print
from was.recorded import start_ticks

KEYS = {
    "state",
    "home",
    "manager_pid",
    "listener_pid",
    "template_pid",
    "supervisor_pid",
    "uptime_s",
    "version",
    "is_ready",
    "is_stopping",
    "is_upgrading",
    "upgrade_error",
    "config",
    "sites",
    "app_pools",
    "workers",
    "problems",
    "events_dropped",
    "dossiers_dropped",
}

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.fixture
def sleeper():
    """A process that ends when told to, started by us."""
    program = "import sys; print(flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    yield child
    child.kill()
    child.communicate()


def write_record(home, name, pid, /, **changes):
    home.state.mkdir(parents=True, exist_ok=True)
    record = {"pid": pid, "start_ticks": start_ticks(pid), "boot_id": BOOT_ID}
    (home.state / f"{name}.json").write_text(json.dumps(record | changes))


def test_a_home_that_never_ran_is_stopped(run, home):
    """Exit code 3, and every key of the contract."""
    result = run("status", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout).keys() == KEYS
    assert json.loads(result.stdout)["state"] == "stopped"


def test_a_running_home_tells_what_the_manager_says(run, manager):
    """The manager's object is passed on, exit code 0."""
    manager.answers["status"] = {"ok": True, "result": {"state": "running", "sites": 3}}
    result = run("status", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"state": "running", "sites": 3})
    assert run("status").stdout.splitlines() == ["state  running", "sites  3"]


def test_a_rejected_configuration_is_said_with_its_errors(capsys):
    """What is in force is the last good one; the newest one was rejected, and why."""
    config = {"state": "failed", "since": "2026-11-22T00:00:00Z", "errors": ["a.config:3: x", "y"]}
    _print({"state": "running", "config": config, "sites": 1})
    assert capsys.readouterr().out.splitlines()[1:] == [
        "config  in force since 2026-11-22T00:00:00Z; what the files say now was rejected:",
        "        a.config:3: x",
        "        y",
        "sites   1",
    ]


def test_processes_without_a_manager_are_managerless(run, home, sleeper):
    """A listener whose record matches lives on without its manager."""
    write_record(home, "listener", sleeper.pid)
    result = run("status", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["state"]) == (0, "managerless")
    assert found["listener_pid"] == sleeper.pid


def test_commands_say_that_there_is_no_manager(run, home, sleeper):
    """A home that serves on is not called one that does not run."""
    write_record(home, "listener", sleeper.pid)
    result = run("list", "sites")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"was: {home.path} has no manager, and serves on without: `was start` brings one\n"
    )


@pytest.mark.parametrize("changes", [{"start_ticks": 1}, {"boot_id": "other"}, {"pid": "1"}])
def test_a_record_that_does_not_match_means_nobody(run, home, sleeper, changes):
    """A reused pid, another boot or a damaged record: the process is not ours, and not touched."""
    write_record(home, "worker-1", sleeper.pid, **changes)
    assert run("status").exit_code == 3
    assert run("stop").exit_code == 0
    assert sleeper.poll() is None


def test_a_stale_pid_file_is_removed_with_a_note(run, home):
    """A manager.pid that no lock stands behind goes; its process, if any, is left alone."""
    home.run.mkdir(parents=True)
    home.pid_file.write_text(f"{os.getpid()}\n")
    result = run("status")
    assert result.exit_code == 3
    assert "removed a stale pid file" in result.stderr
    assert not home.pid_file.exists()


def test_stopping_a_stopped_home_succeeds(run):
    """`stop` says so and ends with 0."""
    result = run("stop")
    assert (result.exit_code, result.stdout) == (0, "was not running\n")


def test_stop_ends_what_a_dead_manager_left(run, home, sleeper):
    """Listener and workers get SIGTERM, and the command waits until they have gone."""
    write_record(home, "worker-7", sleeper.pid)
    result = run("stop")
    assert (result.exit_code, result.stdout) == (0, "stopped\n")
    assert sleeper.wait(60) == -15


@pytest.mark.parametrize("is_alive", [True, False])
def test_stop_leaves_nothing_of_processes_that_are_no_more(run, home, sleeper, is_alive):
    """No record, whosever it was, and no socket that nobody listens at."""
    names = ("listener", "orphan-3", "supervisor", "template", "worker-7")
    for name in names[not is_alive :]:
        write_record(home, name, sleeper.pid, boot_id=BOOT_ID if name == names[0] else "gone")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home.admin_socket))
    assert run("stop").exit_code == 0
    assert list(home.state.iterdir()) == []
    assert not home.admin_socket.exists()


def test_the_lock_names_the_manager(home):
    """Who holds run/manager.lock is the manager, whatever the pid file says."""
    home.run.mkdir(parents=True)
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home.lock_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        child.stdout.readline()
        assert processes.manager_pid(home) == child.pid
        child.stdin.close()
        child.wait(60)
    assert processes.manager_pid(home) is None


def test_a_name_with_brackets_does_not_shift_the_fields(tmp_path):
    """The start time of a process is read right, whatever the process calls itself."""
    script = tmp_path / "a) R 1 2 (b"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o755)
    with subprocess.Popen([script], stdin=subprocess.PIPE) as child:
        ticks = start_ticks(child.pid)
        own = start_ticks(os.getpid())
        child.stdin.close()
    assert isinstance(ticks, int)
    assert ticks >= own > 1
