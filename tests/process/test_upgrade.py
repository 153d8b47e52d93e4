"""`was upgrade`: everything is new afterwards, and no client has noticed."""

import contextlib
import os
import signal

import pytest
from harness.home import Pool, application_host_config, make_home
from harness.killing import GARDEN, make_kill_home
from harness.server import ServerError, WasServer, wait_for
from support.blows import judge, processes
from support.load import steady_load, under_load
from support.ports import has_listening
from support.running import APPS, STEADY, asgi_config, place, simple_config
from support.wire import Wire, get

from was import faults
from was.cli.client import NoManagerError, ask
from was.ipc.endpoints import Home
from was.manager.state_files import StateFiles
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
    wait_for("its end", lambda: not os.path.exists(f"/proc/{before['listener_pid']}"))


@contextlib.contextmanager
def _within_an_upgrade(start_server):
    """A server whose new listener has just been started; the old one has a request that runs.

    Gives it, the request's client, and the pids of the old listener and of the worker. The request
    waits for gate `one`.
    """
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("gates:application", pool=pool), place("gates.py"))
    (worker,) = running.workers(count=1)
    old = running.server.status()["listener_pid"]
    with Wire(running.port()) as wire:
        wire.send(b"GET /held?gate=one HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("the request", lambda: running.server.rows("requests"))
        ask(Home(running.home), "upgrade")
        wait_for("a new listener", lambda: running.server.status()["listener_pid"] != old)
        yield running, wire, old, worker


def test_a_request_that_runs_is_answered_by_the_old_listener(start_server):
    """What the old listener has accepted it answers, after its successor has begun."""
    with _within_an_upgrade(start_server) as (running, wire, _, _):
        assert running.server.status()["is_upgrading"]
        assert get(running.port(), "/free").status == 200
        (running.folder() / "data" / "one.open").touch()
        assert wire.read().status == 200
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])


@pytest.mark.parametrize("is_signal", [True, False], ids=["signal", "order"])
def test_a_stop_that_follows_at_once_is_a_stop(start_server, is_signal):
    """Before the new code or after: this server ends, and is not there again."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    ask(Home(running.home), "upgrade")
    if is_signal:
        running.server.send(signal.SIGTERM)
    else:
        with contextlib.suppress(NoManagerError):  # it is just becoming the new code
            ask(Home(running.home), "shutdown")
        assert running.server.command("stop").returncode == 0
    assert running.server.wait_exit() == 0
    after = running.server.log_text().partition(" manager_stopping")[2]
    assert after
    assert " manager_started" not in after


def test_a_manager_that_is_killed_within_an_upgrade(start_server):
    """The next one goes on with it: the old listener answers what it has, then workers change.

    It is killed when it has started the new listener, which has yet to come.
    """
    with _within_an_upgrade(start_server) as (running, wire, old, worker):
        running.server.send(signal.SIGKILL)
        running.server.wait_exit()
        running.server.start()
        assert get(running.port(), "/free").status == 200
        (running.folder() / "data" / "one.open").touch()
        assert wire.read().status == 200
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])
    wait_for("another worker", lambda: running.workers() not in ([], [worker]))
    wait_for("the end of the old listener", lambda: old not in running.server.processes())


def test_a_manager_that_is_killed_before_the_new_listener_has_its_record(start_server):
    """Then the old one is called the listener and the one before it: it is one, and replaced."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    assert get(running.port()).status == 200
    (worker,) = running.workers(count=1)
    listener = running.server.status()["listener_pid"]
    running.server.send(signal.SIGKILL)
    running.server.wait_exit()
    state = running.home / "run" / "state"
    (state / "retiring.json").write_bytes((state / "listener.json").read_bytes())
    StateFiles(Home(running.home)).write_process("upgrade", os.getpid(), {})
    running.server.start()
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])
    assert running.server.status()["listener_pid"] != listener
    assert get(running.port()).status == 200
    wait_for("another worker", lambda: running.workers() not in ([], [worker]))


def test_what_waits_in_the_old_listener_gets_a_worker_that_came_later(start_server):
    """Its last worker dies: it is told of the next one, and the request does not wait for its end.

    The worker is killed when the new listener accepts; the request may be repeated.
    """
    with _within_an_upgrade(start_server) as (running, wire, _, worker):
        os.kill(worker, signal.SIGKILL)
        (running.folder() / "data" / "one.open").touch()
        answer = wire.read()
    assert (answer.status, answer.body.split()[1]) == (200, b"2")
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])


def test_a_recycling_within_an_upgrade_takes_nothing_along(start_server):
    """A worker that both listeners use goes: each gets back what has not begun, the rest ends.

    It has one thread: what the new listener has sent runs, what the old one has sent waits.
    """
    pool = Pool("Pool", STEADY["attributes"], {**STEADY["elements"], "python": {"threads": "2"}})
    running = start_server(simple_config("gates:application", pool=pool), place("gates.py"))
    port, (worker,) = running.port(), running.workers(count=1)
    old = running.server.status()["listener_pid"]
    data = running.folder() / "data"
    with Wire(port) as first, Wire(port) as waiting:
        first.send(b"GET /held?gate=first HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("the first request", (data / "first.reached").exists)
        waiting.send(b"GET /held?gate=waiting HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("the second one", lambda: len(running.server.rows("requests")) == 2)
        ask(Home(running.home), "upgrade")
        wait_for("a new listener", lambda: running.server.status()["listener_pid"] != old)
        wait_for("it alone", lambda: not has_listening(old, port))
        with Wire(port) as last:
            last.send_request("/held?gate=last", "POST", b"")
            wait_for("the third one", lambda: running.server.rows("requests"))
            (data / "first.open").touch()
            assert first.read().status == 200
            wait_for("its begin", (data / "last.reached").exists)
            assert running.server.command("recycle", "apppool", "Pool").returncode == 0
            file = data / "waiting.reached"
            told = wait_for("what was given back", lambda: file.exists() and file.read_text())
            assert int(told) != worker
            (data / "last.open").touch()
            assert last.read("POST").status == 200
        (data / "waiting.open").touch()
        assert waiting.read().status == 200
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])


def test_a_worker_that_goes_before_the_new_listener_has_come(start_server):
    """What the old one is asked meanwhile, and gets back, waits for the worker that comes next.

    The worker has ended its application and is not gone yet; its pool has no two at a time.
    """
    elements = {**STEADY["elements"], "recycling": {"disallowOverlappingRotation": "true"}}
    pool = Pool("Pool", STEADY["attributes"], elements)
    config = asgi_config("ends_slowly:application", pool=pool)
    running = start_server(config, place("ends_slowly.py"))
    running.workers(count=1)
    data = running.folder() / "data"
    (data / "hold").touch()
    with Wire(running.port()) as wire:
        assert wire.request().status == 200
        before = running.server.processes()
        ask(Home(running.home), "upgrade")
        # Before it is ready: from then on the old one takes no more connections.
        new = wait_for("a new listener", lambda: _new_listener(running, before))
        os.kill(new, signal.SIGSTOP)
        assert running.server.command("recycle", "apppool", "Pool").returncode == 0
        wait_for("the application's end", (data / "ending").exists)
        wire.send_request("/", "POST", b"x")
        with Wire(running.port()) as other:  # the old listener has come so far
            other.send(b"GET / HTTP/1.1\r\n\r\n")
            assert other.read().status == 400
        (data / "hold").unlink()
        os.kill(new, signal.SIGCONT)
        assert wire.read("POST").status == 200
    wait_for("the end of the upgrade", lambda: not running.server.status()["is_upgrading"])


def _new_listener(running, before):
    found = running.server.processes().items()
    return next((pid for pid, line in found if pid not in before and "was.listener" in line), 0)


def test_a_stop_while_the_manager_becomes_new_code(start_server):
    """It is found though nobody answers, and hears of the stop: requests finish, all ends."""
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("slow:application", pool=pool), place("slow.py"))
    home = Home(running.home)
    with Wire(running.port()) as wire:
        wire.send_request("/pause?s=3")
        wait_for("the request", lambda: running.server.rows("requests"))
        ask(home, "upgrade")
        # Or past it: who looks may have been away for as long as the exec takes.
        wait_for("the exec", lambda: not _answers(home) or _took_over(running))
        assert lock_holder(home.lock_file) == running.server.pid
        assert running.server.command("stop").stdout == "stopped\n"
        assert wire.read().status == 200
    wait_for("the end of all", lambda: not running.server.processes())


def _took_over(running):
    return [line for line in running.server.log_text().splitlines() if "took_over" in line]


def _answers(home):
    try:
        ask(home, "status")
    except NoManagerError:
        return False
    return True


def test_a_listener_that_dies_while_the_manager_becomes_new_code(start_server):
    """The ports outlive it: the manager's sockets go on over the exec."""
    pool = Pool("Pool", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("gates:application", pool=pool), place("gates.py"))
    running.allow("listener_died")
    port, before = running.port(), running.server.status()
    ask(Home(running.home), "upgrade")
    os.kill(before["listener_pid"], signal.SIGKILL)
    wait_for("the new code", lambda: _is_ready_anew(running, before["template_pid"]))
    assert running.server.port("Site") == port
    assert get(port, "/free").status == 200


def _is_ready_anew(running, template):
    with contextlib.suppress(ServerError):
        status = running.server.status()
        return status["is_ready"] and status["template_pid"] not in (None, template)
    return False


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


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_manager_that_is_killed_while_the_new_listener_finds_its_workers(start_server, is_busy):
    """Workers that the new listener has found, and may not use yet, are kept and used.

    Whether the old one still has a request in them or has ended meanwhile: nothing is lost, begins
    anew or waits for long.
    """
    running = start_server(_one_garden(), _with_points, launch=WasServer.start_detached)
    before, port = processes(running), running.port()
    points = faults.map_points(running.home)
    with steady_load(port) as tally, Wire(port) as wire:
        if is_busy:
            wire.send(b"GET /held?gate=one HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for("the request", lambda: running.server.rows("requests"))
        else:
            wire.socket.close()  # nobody is idle: the old listener ends at once
        points[faults.POINTS.index("manager.activating")] = 1
        ask(Home(running.home), "upgrade")
        wait_for("the next manager", lambda: _manager(running) not in (None, before["manager"]))
        if is_busy:
            (running.folder() / "data" / "one.open").touch()
            assert wire.read().body.split()[1] == b"1"  # its first attempt
        wait_for("the end of the upgrade", lambda: not _is_upgrading(running))
        after = processes(running)
    points.release()
    assert [line.rpartition(" ")[2] for line in _took_over(running)] == ["workers=2"] * 2
    assert judge(tally, 0, is_listener=False) == []
    assert tally.latency_ms(1) < 20_000
    assert after["listener"] != before["listener"]


def _one_garden():
    return simple_config("gates:application", pool=GARDEN)


def _with_points(home):
    place("gates.py")(home)
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / "faults").touch()


def _manager(running):
    with contextlib.suppress(ServerError):
        return running.server.status()["manager_pid"]
    return None


def _is_upgrading(running):
    with contextlib.suppress(ServerError):
        return running.server.status()["is_upgrading"]
    return True
