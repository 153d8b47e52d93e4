"""The names that other tools rely on: files, modes, titles, keys. A change here breaks them."""

import json
import os
import re
import signal
import stat
from pathlib import Path

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.running import STEADY, Running, place, run_server, simple_config
from support.wire import Wire, get

from was.ipc.endpoints import home_key, pool_key

POOL = Pool(
    "Pool",
    STEADY["attributes"],
    {**STEADY["elements"], "requests": {"timeLimit": "00:10:00"}},
)
IS_ROOT = os.geteuid() == 0
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

STATUS = [
    *("state", "home", "manager_pid", "listener_pid", "template_pid", "supervisor_pid"),
    *("uptime_s", "version", "config", "sites", "app_pools", "workers"),
]
LISTS = {
    "wp": [
        *("pid", "app_pool", "state", "generation", "started", "requests", "active"),
        *("cpu_s", "private_bytes"),
    ],
    "request": [
        *("id", "connection_id", "app_pool", "site", "pid", "verb", "url", "client", "attempt"),
        *("state", "notification", "module", "elapsed_ms"),
    ],
    "apppool": [
        *("name", "state", "start_mode", "workers", "queued", "identity", "isolation"),
        "failures",
    ],
    "site": ["name", "id", "state", "bindings", "apps"],
}


@pytest.fixture(scope="module")
def running():
    with run_server(simple_config("gates:application", pool=POOL), place("gates.py")) as server:
        server.workers(count=1)
        yield server


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0 ").decode()


def _objects(running: Running, *arguments: str):
    done = running.server.command(*arguments, "--json")
    assert done.returncode == 0
    return json.loads(done.stdout)


def test_status_has_its_keys(running):
    """One object; what runs, and which configuration is in force since when."""
    status = _objects(running, "status")
    assert [key for key in STATUS if key not in status] == []
    assert (status["state"], status["home"]) == ("running", str(running.home))
    assert (status["sites"], status["app_pools"], status["workers"]) == (1, 1, 1)
    assert status["supervisor_pid"] is None
    assert list(status["config"]) == ["state", "since", "errors"]
    assert UTC.fullmatch(status["config"]["since"])


def test_status_has_the_same_keys_when_nothing_runs(running, tmp_path):
    """What reads it asks for no key in vain; what nobody can know is null."""
    (tmp_path / "other" / "config").mkdir(parents=True)
    done = running.server.command("--home", str(tmp_path / "other"), "status", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["state"]) == (3, "stopped")
    assert found["problems"] == ["the server is stopped"]
    assert list(found) == list(_objects(running, "status"))


@pytest.mark.parametrize("suffix", ["", "s"])
def test_lists_have_their_keys(running, suffix):
    """Arrays of flat objects in snake_case, of each kind, which is named in singular or plural."""
    with Wire(running.port()) as wire:
        gate = f"listed{suffix}"
        wire.send_request(f"/held?gate={gate}")
        data = running.folder() / "data"
        wait_for("the gate", (data / f"{gate}.reached").exists)
        rows = {kind: _objects(running, "list", kind + suffix) for kind in LISTS}
        (data / f"{gate}.open").touch()
        assert wire.read().status == 200
    for kind, keys in LISTS.items():
        for row in rows[kind]:
            assert [key for key in keys if key not in row] == [], kind
    (worker,), (request,) = rows["wp"], rows["request"]
    (pool,), (site,) = rows["apppool"], rows["site"]
    assert (worker["state"], worker["active"], worker["generation"]) == ("running", 1, 1)
    assert UTC.fullmatch(worker["started"])
    assert worker["private_bytes"] > 0
    assert (request["pid"], request["verb"], request["site"]) == (worker["pid"], "GET", "Site")
    assert (request["url"], request["attempt"]) == (f"/held?gate={gate}", 1)
    assert (request["state"], request["module"]) == ("started", "WsgiModule")
    assert request["notification"] == "EXECUTE_REQUEST_HANDLER"
    assert (pool["state"], pool["start_mode"], pool["workers"]) == ("started", "AlwaysRunning", 1)
    assert (site["id"], site["state"], site["apps"]) == (1, "started", ["/"])
    assert site["bindings"] == [f"http/127.0.0.1:{running.port()}:"]


def test_files_of_a_running_home(running):
    """What lies in run/: who may read it, and what the next manager finds its processes by."""
    run, status = running.home / "run", running.server.status()
    assert int((run / "manager.pid").read_text()) == status["manager_pid"]
    assert _mode(run / "manager.lock") == 0o600  # who can read it can lock it
    assert stat.S_ISSOCK((run / "control.sock").stat().st_mode)
    assert _mode(run / "control.sock") == 0o600
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (worker,) = _objects(running, "list", "wp")
    for name, pid in [
        ("listener", status["listener_pid"]),
        (f"worker-{worker['worker_id']}", worker["pid"]),
    ]:
        record = json.loads((run / "state" / f"{name}.json").read_text())
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        assert (record["pid"], record["start_ticks"]) == (pid, int(ticks))
        assert record["boot_id"] == boot_id
    pool = json.loads((run / "state" / f"pool-{pool_key('Pool')}.json").read_text())
    assert (pool["name"], pool["boot_id"]) == ("Pool", boot_id)
    reduced = run / "pools" / pool_key("Pool") / "applicationHost.config"
    assert _mode(reduced) == 0o440
    log = running.home / "logs" / "pools" / "Pool.log"
    own = _objects(running, "list", "apppool")[0]["isolation"]
    if IS_ROOT:
        assert (reduced.stat().st_uid, reduced.stat().st_gid) == (0, own["gid"])
        assert log.stat().st_uid == own["uid"] != 0
    else:
        assert log.stat().st_uid == os.geteuid()


def test_the_folder_of_sockets_is_short_and_closed(running):
    """run/sockets names it: X of the home's path; a pool's own, H of its name, is setgid 2710."""
    folder = Path((running.home / "run" / "sockets").read_text().strip())
    assert (folder.name, folder.parent.name) == (home_key(running.home), "was")
    assert re.fullmatch("[0-9a-f]{8}", folder.name)
    assert re.fullmatch("[0-9a-f]{12}", pool_key("Pool"))
    queue = folder / "q" / pool_key("Pool")
    if IS_ROOT:
        assert folder.parent == Path("/run/was")
        own = _objects(running, "list", "apppool")[0]["isolation"]
        assert (_mode(queue), queue.stat().st_gid) == (0o2710, own["gid"])


def test_titles_of_processes(running):
    """`ps` shows who is who, and of which home."""
    status, home = running.server.status(), running.home
    assert [_title(status[f"{who}_pid"]) for who in ("manager", "listener", "template")] == [
        f"was: {who} {home}" for who in ("manager", "listener", "template")
    ]
    assert [_title(pid) for pid in running.workers()] == [f"was: worker [Pool] {home}"]


def has_default(pid: int, number: int) -> bool:
    """Whether the process neither ignores the signal nor has a handler (0056: workers have one)."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [re.search(rf"{name}:\s+(\w+)", status) for name in ("SigIgn", "SigCgt")]
    return not any(int(mask[1], 16) & 1 << number - 1 for mask in masks)


def test_a_pool_may_have_any_name(start_server):
    """Also one that Linux cuts within a letter, in the name that it gives the process."""
    pool = Pool("Pøol", STEADY["attributes"], STEADY["elements"])
    running = start_server(simple_config("hello:application", pool=pool), place("hello.py"))
    worker = running.workers("Pøol", count=1)[0]
    assert get(running.port(), "/").status == 200
    assert _title(worker).startswith("was: worker [Pøol]")


def test_workers_ignore_sighup_and_sigint(running):
    """Ctrl-C in the terminal and a terminal that closes are the manager's affair."""
    (worker,) = running.workers()
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(worker, number)
    assert get(running.port()).text == f"{worker} 1\n"
    assert not has_default(worker, signal.SIGHUP)
    assert not has_default(worker, signal.SIGINT)


def test_processes_take_nothing_along(running):
    """Each leads a session of its own, hears no Ctrl-C, reads nothing, and appends to a file.

    So none ends, blocks or fails with the one that started it, its terminal or its pipe.
    """
    status = running.server.status()
    (worker,) = running.workers()
    manager = os.stat(f"/proc/{status['manager_pid']}/fd/2")
    for pid in (status["listener_pid"], status["template_pid"], worker):
        assert os.getsid(pid) == pid
        assert not has_default(pid, signal.SIGINT)
        assert os.path.realpath(f"/proc/{pid}/fd/0") == "/dev/null"
        for fd in (1, 2):
            flags = re.search(r"flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{fd}").read_text())
            assert int(flags[1], 8) & os.O_APPEND
            assert os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), manager) is (pid != worker)


def test_exit_codes_of_a_running_home(running):
    """1 with one line for what failed, 2 for wrong usage."""
    failed = running.server.command("recycle", "apppool", "Nobody")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "was: there is no application pool 'Nobody'\n"
    assert running.server.command("recycle", "apppool").returncode == 2
