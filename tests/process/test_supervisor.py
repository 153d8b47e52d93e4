"""A detached server has a supervisor: manager and supervisor start each other again."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

import pytest
from harness.home import Pool
from harness.killing import GARDEN, make_kill_home
from harness.meter import is_alive
from harness.server import WasServer, wait_for
from support.files import replace_text
from support.load import under_load
from support.running import APPS, STEADY, place, run_server, simple_config
from support.wire import get

from was import faults

STEADY_POOL = Pool("Pool", STEADY["attributes"], STEADY["elements"])
CONFIG = simple_config("prints:application", pool=STEADY_POOL)


@pytest.fixture
def detached(start_server):
    """A server started with --detach; `was stop` ends it."""

    def start(config=CONFIG, prepare=None):
        running = start_server(
            config, prepare or place("prints.py"), launch=WasServer.start_detached
        )
        wait_for("a supervisor", lambda: running.server.status()["supervisor_pid"])
        return running

    return start


def pids(running):
    """Manager and supervisor, once both are there."""

    def both():
        with contextlib.suppress(Exception):
            status = running.server.status()
            found = status["manager_pid"], status["supervisor_pid"]
            return found if status.get("is_ready") and all(found) else None
        return None

    return wait_for("manager and supervisor", both)


def another_manager(running, old):
    """Both pids, once the manager is another one."""

    def changed():
        found = pids(running)
        return found if found[0] != old else None

    return wait_for("another manager", changed)


def kill(pid):
    """SIGKILL, and its end is seen."""
    os.kill(pid, signal.SIGKILL)
    wait_for("its end", lambda: not is_alive(pid))


def image(pid):
    """Where the program lies that the process runs: elsewhere after each exec."""
    return Path(f"/proc/{pid}/auxv").read_bytes()


def test_three_managers_are_killed_under_load_and_come_back(detached):
    """Nobody starts them but the supervisor: no failed request, same listener and workers."""
    running = detached(None, lambda home: make_kill_home(home, APPS / "starts.py"))
    workers = sorted(running.workers(GARDEN.name, 2))
    listener = running.server.status()["listener_pid"]
    manager, supervisor = pids(running)
    join = under_load(running.port("Kill"), 5)
    for _ in range(3):
        kill(manager)
        manager, same = another_manager(running, manager)
        assert same == supervisor
        assert running.server.status()["listener_pid"] == listener
        assert sorted(running.workers(GARDEN.name, 2)) == workers
    tally = join()
    assert (set(tally.statuses), dict(tally.failures)) == ({200}, {}), tally.summary()


def test_a_killed_supervisor_is_replaced_and_does_its_work(detached):
    """The manager starts another one, which brings that manager back."""
    running = detached()
    port = running.port()
    manager, supervisor = pids(running)
    kill(supervisor)
    wait_for("another supervisor", lambda: pids(running)[1] != supervisor)
    same, second = pids(running)
    assert same == manager
    kill(manager)
    assert another_manager(running, manager)[1] == second
    log = running.home / "logs" / "pools" / "Pool.log"
    assert get(port, "/after").status == 200
    wait_for("what the application prints", lambda: "/after" in log.read_text().split())


def test_a_supervisor_that_dies_while_a_manager_takes_over_is_replaced_by_one(detached):
    """Two would fight for the next manager, and one of them would bring it back after a stop.

    The manager waits for a listener that somebody has stopped, and hears of nothing else meanwhile.
    """
    running = detached()
    manager, supervisor = pids(running)
    listener = running.server.status()["listener_pid"]
    os.kill(listener, signal.SIGSTOP)
    started = running.server.log_text().count(" manager_started ")
    kill(manager)
    wait_for("the next one", lambda: running.server.log_text().count(" manager_started ") > started)
    kill(supervisor)
    os.kill(listener, signal.SIGCONT)
    another_manager(running, manager)
    assert running.server.command("stop").returncode == 0
    assert running.server.log_text().count(" supervisor_started ") == 2
    wait_for("the end of all", lambda: not running.server.processes())


def test_an_upgrade_renews_the_supervisor_too(detached):
    """It becomes new code without being away, and follows the manager of new code."""
    running = detached()
    manager, supervisor = pids(running)
    for _ in range(2):  # its parent, then a manager that it has started itself
        before = image(supervisor)
        assert running.server.command("upgrade").returncode == 0
        wait_for("another image", lambda b=before: image(supervisor) != b)
        assert pids(running) == (manager, supervisor)
        kill(manager)
        manager, same = another_manager(running, manager)
        assert same == supervisor


def test_what_was_told_to_stop_stays_stopped(detached):
    """`was stop` ends the supervisor as well, and SIGTERM at the manager does."""
    running = detached()
    _, supervisor = pids(running)
    assert running.server.command("stop").returncode == 0
    assert not is_alive(supervisor)
    wait_for("the end of all", lambda: not running.server.processes())
    assert running.server.command("status").returncode == 3


def test_a_signalled_manager_is_not_brought_back(detached):
    """SIGTERM means stop, whoever sends it."""
    running = detached()
    manager, supervisor = pids(running)
    os.kill(manager, signal.SIGTERM)
    wait_for("the end of all", lambda: not running.server.processes())
    assert not is_alive(supervisor)


def test_a_stop_in_the_moment_without_a_manager_ends_all(detached):
    """The supervisor that would start one goes first."""
    running = detached()
    manager, supervisor = pids(running)
    os.kill(supervisor, signal.SIGSTOP)
    kill(manager)
    assert running.server.status()["state"] == "managerless"
    assert running.server.status()["supervisor_pid"] == supervisor
    assert running.server.command("stop").returncode == 0
    assert not is_alive(supervisor)
    wait_for("the end of all", lambda: not running.server.processes())


def test_restart_has_a_supervisor_again(detached):
    """`was restart`: another manager, another supervisor, the old ones gone."""
    running = detached()
    before = pids(running)
    assert running.server.command("restart").returncode == 0
    assert not set(before) & set(pids(running))
    assert not any(is_alive(pid) for pid in before)


def test_a_restart_wins_over_a_manager_that_is_just_coming(detached):
    """The supervisor has started one, which nobody sees yet, and has died."""
    running = detached(prepare=_with_points)
    manager, _supervisor = pids(running)
    points = faults.map_points(running.home)
    points[faults.POINTS.index("supervisor.started")] = 1
    kill(manager)
    wait_for("its end", lambda: points[faults.POINTS.index("supervisor.started")] == 0)
    points.release()
    running.allow("manager_failed")
    done = running.server.command("restart")
    assert (done.returncode, done.stdout.splitlines()[:1]) == (0, ["ready"]), done.stderr
    assert get(running.port()).status == 200


def _with_points(home):
    place("prints.py")(home)
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / "faults").touch()


def test_the_second_manager_of_a_home_is_refused(detached):
    """Detached or not: one line that names the first, which goes on."""
    running = detached()
    running.allow("manager_failed")
    manager, supervisor = pids(running)
    for arguments in (["start"], ["start", "--detach"]):
        done = running.server.command(*arguments)
        assert done.returncode == 1
        assert f"a manager is running already, pid {manager}" in done.stderr
    assert pids(running) == (manager, supervisor)
    assert get(running.port()).status == 200


def test_a_manager_that_somebody_else_starts_is_watched(detached):
    """`was start` by hand while the supervisor waits: it follows that one."""
    running = detached()
    manager, supervisor = pids(running)
    os.kill(supervisor, signal.SIGSTOP)
    kill(manager)
    done = running.server.command("start", "--detach")
    assert done.returncode == 0, done.stderr
    second, same = pids(running)
    assert same == supervisor
    os.kill(supervisor, signal.SIGCONT)
    kill(second)
    wait_for("a third manager", lambda: pids(running)[0] not in (manager, second))


def test_a_manager_that_cannot_start_is_tried_again(detached):
    """A file that is wrong when the manager dies: once it is right, there is a manager again."""
    running = detached()
    running.allow("manager_failed", "config_error", "reload_failed")
    manager, supervisor = pids(running)
    config = running.home / "config" / "applicationHost.config"
    text = config.read_text()
    replace_text(config, text.replace("</configuration>", ""))
    port = running.port()
    kill(manager)
    wait_for("a failure", lambda: "manager_failed" in running.server.log_text())
    assert get(port).status == 200
    replace_text(config, text)
    wait_for("another manager", lambda: pids(running) is not None)
    assert pids(running)[1] == supervisor


def test_a_manager_comes_back_whose_logs_have_been_removed(detached):
    """The supervisor has nowhere to say what it does, and does it."""
    running = detached()
    manager, supervisor = pids(running)
    shutil.rmtree(running.home / "logs")
    kill(manager)
    assert another_manager(running, manager)[1] == supervisor
    assert get(running.port()).status == 200


def test_in_the_foreground_there_is_none():
    """A terminal or a service manager looks after that one."""
    with run_server(CONFIG, place("prints.py")) as running:
        assert running.server.status()["supervisor_pid"] is None


def test_a_log_that_the_supervisor_begins_is_not_for_everybody_to_read(detached):
    """It writes of the manager's death before the next one is there."""
    running = detached()
    running.allow("manager_died")
    manager, _ = pids(running)
    file = running.home / "logs" / "was.log"
    file.rename(file.with_suffix(".old"))
    kill(manager)
    wait_for("the supervisor's words", file.exists)
    assert file.stat().st_mode & 0o777 == 0o640
    another_manager(running, manager)
