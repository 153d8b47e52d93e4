"""Without a manager the rest serves on for webLimits/@managerlessLimit, then finishes and ends."""

import signal

from harness.home import Pool
from harness.server import wait_for
from support.load import under_load
from support.ports import is_refused
from support.running import Running, place, simple_config
from support.wire import Wire, get

RECORDS = {"listener", "template", "worker", "pool", "sites", "sockets"}

# Where time passes 300 times faster, workers still have their time to start and to answer pings,
# and clients theirs to say what they want.
STEADY = Pool(
    "Pool",
    {"startMode": "AlwaysRunning"},
    {
        "failure": {"rapidFailProtection": "false"},
        "processModel": {"startupTimeLimit": "05:00:00", "pingingEnabled": "false"},
        "requests": {"timeLimit": "05:00:00", "queueTimeLimit": "05:00:00"},
    },
)


def _config(limit: str, app: str) -> str:
    limits = f'managerlessLimit="{limit}"' if limit else ""
    extra = (
        f'<system.applicationHost><webLimits connectionTimeout="05:00:00" {limits} />'
        "</system.applicationHost>"
    )
    return simple_config(f"{app}:application", pool=STEADY, extra=extra)


def _start_and_kill(start_server, limit: str, app: str = "slow", **options) -> Running:
    """A server whose manager has been killed."""
    running = start_server(_config(limit, app), place(f"{app}.py"), **options)
    assert get(running.port()).status == 200
    running.expected_exit = None
    running.server.send(signal.SIGKILL)
    running.server.wait_exit()
    return running


def _all_gone(running: Running) -> bool:
    return not running.server.processes()


def _has_template(running: Running) -> bool:
    """It, or its spare worker: they end with their manager."""
    titles = " ".join(running.server.processes().values())
    return "was: template" in titles or "was: spare worker" in titles


def test_they_end_at_the_limit_and_nothing_fails_before(start_server):
    """Everybody serves on, then goes; only who comes after that is refused."""
    running = _start_and_kill(start_server, "00:00:12", "gates")
    data = running.folder() / "data"
    with Wire(running.port()) as slow:
        slow.send_request("/held?gate=a")
        wait_for("its begin", (data / "a.reached").exists)
        tally = under_load(running.port(), 0.5)()
        assert (set(tally.statuses), dict(tally.failures)) == ({200}, {}), tally.summary()
        wait_for("the end of the listener's accepting", lambda: is_refused(running.port()))
        (data / "a.open").touch()
        assert slow.read().status == 200
    wait_for("the end of all processes", lambda: _all_gone(running))


def test_a_manager_that_comes_while_they_finish_starts_at_once(start_server):
    """Its own listener takes who comes; the one that finishes answers what it has, beside it.

    So does the manager after that one.
    """
    running = start_server(_config("00:00:01", "gates"), place("gates.py"))
    data = running.folder() / "data"
    with Wire(running.port()) as slow:
        slow.send_request("/held?gate=one", "POST", b"")
        wait_for("the request", (data / "one.reached").exists)
        running.server.send(signal.SIGKILL)
        running.server.wait_exit()
        wait_for("the end of the listener's accepting", lambda: is_refused(running.port()))
        running.server.start()
        assert get(running.server.port("Site"), "/free").status == 200
        running.server.send(signal.SIGKILL)
        running.server.wait_exit()
        running.server.start()
        assert get(running.server.port("Site"), "/free").status == 200
        (data / "one.open").touch()
        assert slow.read("POST").status == 200


def test_was_stop_without_a_manager_is_a_stop_all_the_same(start_server):
    """Requests finish, and no record is left for the next manager."""
    running = _start_and_kill(start_server, "00:00:00")
    with Wire(running.port()) as slow:
        slow.send_request("/pause?s=2")
        starts = running.folder() / "data" / "starts.log"
        wait_for("its start", lambda: "/pause" in starts.read_text())
        assert running.server.command("stop").returncode == 0
        assert slow.read().status == 200
    wait_for("the end of all processes", lambda: _all_gone(running))
    state = running.home / "run" / "state"
    assert [p.name for p in state.iterdir() if p.stem.partition("-")[0] in RECORDS] == []


def test_0_is_for_ever(start_server):
    """A server that may be alone for ever outlives another whose limit is the default."""
    alone = _start_and_kill(start_server, "00:00:00", time_scale=300.0)
    other = _start_and_kill(start_server, "", time_scale=300.0)
    wait_for("the template's end", lambda: not _has_template(alone))
    processes = set(alone.server.processes())
    wait_for("the end of the other one", lambda: _all_gone(other))
    assert set(alone.server.processes()) == processes
    assert get(alone.port()).status == 200
