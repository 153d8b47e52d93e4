"""`was upgrade`: everything is new afterwards, and no client has noticed."""

import os
import signal

import pytest
from harness.home import Pool, application_host_config, make_home
from harness.killing import GARDEN, make_kill_home
from harness.server import WasServer, wait_for
from support.load import under_load
from support.running import APPS, STEADY, place, simple_config
from support.wire import Wire, get

from was.cli.client import NoManagerError, ask
from was.ipc.endpoints import Home
from was.recorded import lock_holder


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_an_upgrade_under_load_fails_no_request(start_server, engine):
    """New template, listener and workers; the manager keeps its pid; nothing but 200."""
    running = start_server(
        None, lambda home: make_kill_home(home, APPS / "starts.py"), engine=engine
    )
    before = running.server.status()
    workers = set(running.workers(GARDEN.name, 2))
    join = under_load(running.port("Kill"), 6)
    for _ in range(2):
        done = running.server.command("upgrade")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("upgraded to ")
    tally = join()
    assert (set(tally.statuses), dict(tally.failures)) == ({200}, {}), tally.summary()
    after = running.server.status()
    assert after["manager_pid"] == before["manager_pid"]
    for name in ("listener_pid", "template_pid"):
        assert after[name] != before[name]
    wait_for("other workers", lambda: not workers & set(running.workers(GARDEN.name)))
    assert not os.path.exists(f"/proc/{before['listener_pid']}")


def test_a_request_that_runs_is_answered_by_the_old_listener(start_server):
    """What the old listener has accepted it answers, after its successor has begun."""
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("gates:application", pool=pool), place("gates.py"))
    port = running.port()
    old = running.server.status()["listener_pid"]
    with Wire(port) as wire:
        wire.send(b"GET /held?gate=one HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("the request", lambda: running.server.rows("requests"))
        ask(Home(running.home), "upgrade")
        wait_for("a new listener", lambda: running.server.status()["listener_pid"] != old)
        assert running.server.status()["is_upgrading"]
        assert get(port, "/free").status == 200
        (running.folder() / "data" / "one.open").touch()
        assert wire.read().status == 200
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])


def test_a_manager_that_is_killed_within_an_upgrade(start_server):
    """The next one goes on with it: the old listener answers what it has, then workers change.

    It is killed when it has started the new listener, which has yet to come.
    """
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("gates:application", pool=pool), place("gates.py"))
    port, (worker,) = running.port(), running.workers(count=1)
    old = running.server.status()["listener_pid"]
    with Wire(port) as wire:
        wire.send(b"GET /held?gate=one HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("the request", lambda: running.server.rows("requests"))
        ask(Home(running.home), "upgrade")
        wait_for("a new listener", lambda: running.server.status()["listener_pid"] != old)
        running.server.send(signal.SIGKILL)
        running.server.wait_exit()
        running.server.start()
        assert get(port, "/free").status == 200
        (running.folder() / "data" / "one.open").touch()
        assert wire.read().status == 200
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])
    wait_for("another worker", lambda: running.workers() not in ([], [worker]), limit_s=15)
    assert old not in running.server.processes()


def test_a_stop_while_the_manager_becomes_new_code(start_server):
    """It is found though nobody answers, and hears of the stop: requests finish, all ends."""
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("slow:application", pool=pool), place("slow.py"))
    home = Home(running.home)
    with Wire(running.port()) as wire:
        wire.send_request("/pause?s=3")
        wait_for("the request", lambda: running.server.rows("requests"))
        ask(home, "upgrade")
        wait_for("the exec", lambda: not _answers(home))
        assert lock_holder(home.lock_file) == running.server.pid
        assert running.server.command("stop").stdout == "stopped\n"
        assert wire.read().status == 200
    assert running.server.processes() == {}


def _answers(home):
    try:
        ask(home, "status")
    except NoManagerError:
        return False
    return True


def test_a_detached_server_stays_one(tmp_path):
    """After the upgrade it still runs in the background, and `was stop` ends it."""
    home = make_home(tmp_path / "home", application_host_config([Pool("Pool")], []))
    server = WasServer(home)
    try:
        assert server.command("start", "--detach").returncode == 0
        before = server.status()
        assert server.command("upgrade").returncode == 0
        after = server.status()
        assert after["manager_pid"] == before["manager_pid"]
        assert after["template_pid"] != before["template_pid"]
    finally:
        assert server.command("stop").returncode == 0
