"""A killed manager takes nothing along, and the next one goes on where it was."""

import os
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from harness.home import Pool
from harness.killing import GARDEN, make_kill_home
from harness.server import wait_for
from support.event_log import events
from support.files import replace_text
from support.load import under_load
from support.running import APPS, STEADY, place, simple_config
from support.wire import Wire, get

STEADY_POOL = Pool("Pool", STEADY["attributes"], STEADY["elements"])


def kill_manager(running) -> None:
    """SIGKILL, and its end is seen."""
    running.server.send(signal.SIGKILL)
    assert running.server.wait_exit() == -signal.SIGKILL


def start_again(running) -> None:
    """A new manager on the same home, which says that it is ready."""
    running.server.start()


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_three_managers_are_killed_under_load(start_server, engine):
    """Zero failed requests; the same listener and workers; their output is still heard."""
    running = start_server(
        None, lambda home: make_kill_home(home, APPS / "starts.py"), engine=engine
    )
    workers = sorted(running.workers(GARDEN.name, 2))
    listener = running.server.status()["listener_pid"]
    join = under_load(running.port("Kill"), 5)
    for _ in range(3):
        kill_manager(running)
        start_again(running)
        assert running.server.status()["listener_pid"] == listener
        assert sorted(running.workers(GARDEN.name, 2)) == workers
    tally = join()
    assert (set(tally.statuses), dict(tally.failures)) == ({200}, {}), tally.summary()


def test_an_application_still_prints(start_server):
    """Output goes to a file, not to a manager: print() works without and after one."""
    running = start_server(
        simple_config("prints:application", pool=STEADY_POOL), place("prints.py")
    )
    log = running.home / "logs" / "pools" / "Pool.log"
    port = running.port()
    kill_manager(running)
    assert get(port, "/without").status == 200
    start_again(running)
    assert get(port, "/after").status == 200
    wait_for("both lines", lambda: {"/without", "/after"} <= set(log.read_text().split()))


def test_a_stop_right_after_the_start_ends_all(start_server):
    """A worker that says Hello only while the server stops is told to stop, and nothing is left."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    (worker,) = running.workers(count=1)
    os.kill(worker, signal.SIGSTOP)
    kill_manager(running)
    start_again(running)
    running.server.send(signal.SIGTERM)
    wait_for("the workers' turn", lambda: "listener_stopped" in running.server.log_text())
    os.kill(worker, signal.SIGCONT)
    assert running.server.wait_exit() == 0


def test_what_was_stopped_by_hand_stays_stopped(start_server):
    """States of pools outlive the manager."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    port = running.port()
    assert running.server.command("stop", "apppool", "Pool").returncode == 0
    wait_for("stopped", lambda: running.server.rows("apppools")[0]["state"] == "stopped")
    kill_manager(running)
    assert get(port).status == 503
    start_again(running)
    assert running.server.rows("apppools")[0]["state"] == "stopped"
    assert get(port).status == 503
    assert running.server.command("start", "apppool", "Pool").returncode == 0
    assert wait_for("an answer", lambda: get(port).status == 200)


def test_failures_are_counted_on(start_server):
    """The rapid-fail window outlives the manager, and a death without one counts too."""
    pool = Pool(
        "Pool",
        {"startMode": "AlwaysRunning"},
        {"failure": {"rapidFailProtectionMaxCrashes": "3"}},
    )
    running = start_server(simple_config("probe:application", pool=pool), place("probe.py"))
    running.allow("pool_disabled")
    port = running.port()

    def kill_worker():
        (pid,) = running.workers(count=1)
        os.kill(pid, signal.SIGKILL)
        return pid

    first = kill_worker()
    wait_for("another worker", lambda: running.server.workers("Pool") not in ([], [first]))
    second = kill_worker()
    wait_for("another worker", lambda: running.server.workers("Pool") not in ([], [second]))
    (third,) = running.workers(count=1)
    kill_manager(running)
    os.kill(third, signal.SIGKILL)
    start_again(running)
    wait_for("AppOffline", lambda: get(port).status == 503)
    assert running.server.rows("apppools")[0]["state"] == "stopped"


def test_a_worker_that_died_without_a_manager_is_replaced(start_server):
    """Requests wait for the next manager's worker; none fails."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    (old,) = running.workers(count=1)
    port = running.port()
    kill_manager(running)
    os.kill(old, signal.SIGKILL)
    answers = []
    asker = threading.Thread(target=lambda: answers.append(get(port).status))
    asker.start()
    start_again(running)
    asker.join()
    assert answers == [200]
    assert running.workers(count=1) != [old]


def test_the_end_of_a_worker_that_was_to_finish_is_no_failure(start_server):
    """It finishes and goes while there is no manager: the next one has nothing to report."""
    running = start_server(simple_config("gates:application", pool=STEADY_POOL), place("gates.py"))
    (old,) = running.workers(count=1)
    data = running.folder() / "data"
    with Wire(running.port()) as wire:
        wire.send_request("/held?gate=one")
        wait_for("the request", (data / "one.reached").exists)
        assert running.server.command("recycle", "apppool", "Pool").returncode == 0
        wait_for("its end's begin", lambda: running.server.workers("Pool", "stopping") == [old])
        kill_manager(running)
        (data / "one.open").touch()
        assert wire.read().status == 200
    wait_for("its end", lambda: not os.path.exists(f"/proc/{old}"))
    start_again(running)
    assert running.workers(count=1) != [old]
    assert events(running, 5009) == []


def test_changed_settings_are_noticed(start_server):
    """Workers started with other settings are recycled by the manager that comes."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    (old,) = running.workers(count=1)
    kill_manager(running)
    config = running.home / "config" / "applicationHost.config"
    text = config.read_text()
    changed = re.sub(r'(<add name="Pool")', r'\1 queueLength="500"', text)
    assert changed != text
    replace_text(config, changed)
    start_again(running)
    wait_for("another worker", lambda: running.server.workers("Pool") not in ([], [old]))


def test_a_worker_that_is_busy_when_a_manager_comes_has_as_long_as_for_a_ping(start_server):
    """Its application lets no other thread run, as when it is pinged: it says Hello later."""
    running = start_server(simple_config("slow:application", pool=STEADY_POOL), place("slow.py"))
    workers = running.workers(count=1)
    starts = running.folder() / "data" / "starts.log"
    with Wire(running.port()) as wire:
        wire.send_request("/held?s=8", "POST", b"")
        wait_for("its start", lambda: "/held" in starts.read_text())
        kill_manager(running)
        start_again(running)
        assert wire.read("POST").status == 200
    assert running.workers() == workers


def test_a_pool_whose_files_cannot_be_made_is_taken_over(start_server):
    """Its workers have what they need; that another could not start ends nobody."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    workers, listener = running.workers(count=1), running.server.status()["listener_pid"]
    (temporary,) = (running.home / "run" / "pools").glob("*/tmp")
    kill_manager(running)
    temporary.rmdir()
    temporary.touch()
    start_again(running)
    assert running.server.status()["listener_pid"] == listener
    assert running.workers(count=1) == workers
    assert get(running.port()).status == 200


def test_without_a_listener_all_begins_anew(start_server):
    """Manager and listener killed at once: the new manager ends the workers and starts afresh."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    (old,) = running.workers(count=1)
    listener = running.server.status()["listener_pid"]
    kill_manager(running)
    os.kill(listener, signal.SIGKILL)
    start_again(running)
    running._ports.clear()
    wait_for("another worker", lambda: running.workers() not in ([], [old]))
    assert get(running.port()).status == 200
    wait_for("the end of the old worker", lambda: not Path(f"/proc/{old}").exists())


def test_records_are_for_their_owner_only(start_server):
    """A record holds what a worker proves itself with."""
    running = start_server(simple_config("probe:application", pool=STEADY_POOL), place("probe.py"))
    for file in (running.home / "run" / "state").iterdir():
        with suppress(FileNotFoundError):  # some are replaced meanwhile
            assert file.stat().st_mode & 0o077 == 0, file
