"""What a pool's workers may not do to the rest of the machine, tried by an application.

Where the server could not isolate (not root), it must have said so: then there is nothing to try.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.event_log import events, wait_event
from support.running import Running, place, run_server, simple_config
from support.wire import Wire, get

REFUSED = {"EACCES", "EPERM"}


def site(name: str, pool: str) -> Site:
    folder = Path("{home}") / "sites" / name
    return Site(name, (Application("/", folder, pool, (wsgi_handler("prober:application"),)),))


def pool(name: str, **isolation: str) -> Pool:
    elements = {
        "failure": {"rapidFailProtection": "false"},
        "isolation": {"writable": f"{{home}}/sites/{name}/data", **isolation},
    }
    return Pool(name, {}, elements)


def ask(running: Running, site: str, **query: str) -> Any:
    answer = get(running.port(site), "/?" + urlencode(query))
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def attempt(running: Running, site: str, what: str, target: object) -> str:
    return ask(running, site, do="attempt", what=what, target=str(target))


def state_of(running: Running, name: str) -> dict[str, Any]:
    rows = running.server.rows("apppools")
    return next(row for row in rows if row["name"] == name)


class Two:
    """Two pools, `attacker` and `victim`, and what the victim has."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.home = running.home
        self.is_on = state_of(running, "attacker")["isolation"]["own_identity"]
        assert self.is_on or os.geteuid() != 0
        assert self.is_on or "isolation_reduced" in running.server.log_text()
        self.victim = ask(running, "victim", do="about")
        self.attacker = ask(running, "attacker", do="about")

    def attempt(self, what: str, target: object, by: str = "attacker") -> str:
        return attempt(self.running, by, what, target)

    def queue(self, uid: int) -> Path:
        base = Path((self.home / "run" / "sockets").read_text().strip()) / "q"
        return next(p for p in base.iterdir() if p.stat().st_gid == uid)


@pytest.fixture(scope="module", params=["true", "false"], ids=["sandbox", "uid alone"])
def two(request) -> Iterator[Two]:
    secrets = {n: f'<add name="SECRET" value="secret-of-{n}" />' for n in ("attacker", "victim")}
    pools = [pool(name, sandbox=request.param) for name in secrets]
    config = application_host_config(pools, [site(name, name) for name in secrets])
    for name, variable in secrets.items():
        at = config.index("</add>", config.index(f'<add name="{name}">'))
        variables = f"<environmentVariables>{variable}</environmentVariables>"
        config = config[:at] + variables + config[at:]

    def prepare(home: Path) -> None:
        for name in secrets:
            place("prober.py", folder=name)(home)

    with run_server(config, prepare) as running:
        yield Two(running)


def test_each_pool_is_a_user_of_its_own(two):
    """Another uid and group, nothing of root's, no capability, no way to gain one."""
    if two.is_on:
        assert two.attacker["uids"][0] not in (0, two.victim["uids"][0])
        for about in (two.attacker, two.victim):
            assert len({*about["uids"], *about["gids"], *about["groups"]}) == 1
            assert about["status"]["NoNewPrivs"] == "1"
            assert all(int(v, 16) == 0 for k, v in about["status"].items() if k[:3] == "Cap")


def test_each_worker_is_a_session_of_its_own(two):
    """Own session and process group, umask 0027, no core dump, a limit of tasks."""
    about = two.attacker
    assert about["pid"] == about["session"] == about["group"]
    assert about["umask"] == 0o027
    assert about["core"] == 0
    if two.is_on:
        assert about["tasks"] == 4096


def test_a_pool_sees_its_own_variables_only(two):
    """In its environment, and nowhere in the memory it got from the template."""
    assert two.attacker["environment"]["SECRET"] == "secret-of-attacker"
    assert set(two.attacker["environment"]) <= {
        *("SECRET", "PATH", "LANG", "LANGUAGE", "HOME", "TZ", "USER", "LOGNAME", "TMPDIR"),
        *(name for name in os.environ if name.startswith(("LC_", "WAS_TEST", "COVERAGE"))),
    }
    assert ask(two.running, "attacker", do="secrets") == ["secret-of-attacker"]
    assert ask(two.running, "victim", do="secrets") == ["secret-of-victim"]


def test_a_pool_has_a_temporary_folder_of_its_own(two):
    """TMPDIR is private, and children inherit it and the identity."""
    folder = two.attacker["temporary"]
    assert folder != two.victim["temporary"]
    assert two.attempt("write", f"{folder}/x") == "ok"
    if two.is_on:
        assert two.attempt("list", two.victim["temporary"]) in REFUSED
    assert ask(two.running, "attacker", do="child") == [str(two.attacker["uids"][0]), folder]


def test_a_pool_reads_what_it_needs(two):
    """Its content, its configuration, its log, the system's libraries."""
    config = Path(two.attacker["temporary"]).parent / "applicationHost.config"
    for path in (two.home / "sites/attacker/prober.py", config, json.__file__, "/etc/passwd"):
        assert two.attempt("read", path) == "ok", path
    assert two.attempt("write", two.home / "sites/attacker/data/x") == "ok"
    assert two.attempt("write", two.home / "logs/pools/attacker.log") == "ok"


def test_a_pool_reads_no_file_of_another(two):
    """Data the other wrote, its configuration, its log, its temporary folder."""
    private = two.home / "sites/victim/data/private"
    assert two.attempt("write", private, by="victim") == "ok"
    config = Path(two.victim["temporary"]).parent / "applicationHost.config"
    if two.is_on:
        assert two.attempt("read", private) in REFUSED
        assert two.attempt("read", config) in REFUSED
        assert two.attempt("list", config.parent) in REFUSED
        assert two.attempt("read", two.home / "logs/pools/victim.log") in REFUSED


def test_a_pool_reads_nothing_of_the_manager(two):
    """Not the whole configuration, not the records, not the logs of the server."""
    home = two.home
    state = next((home / "run" / "state").glob("worker-*.json"))
    paths = (home / "config/applicationHost.config", state, home / "logs/W3SVC1")
    if two.is_on:
        for path in paths:
            assert two.attempt("read", path) in REFUSED, path
        assert two.attempt("list", home / "run" / "state") in REFUSED
        assert two.attempt("write", home / "run" / "new") in REFUSED


def test_a_pool_reaches_no_queue_of_another(two):
    """Neither the folder nor its sockets; the administrators' socket neither."""
    if two.is_on:
        folder = two.queue(two.victim["uids"][0])
        sockets = list(folder.iterdir())
        assert len(sockets) == 2
        assert folder.stat().st_mode & 0o7777 == 0o2710
        assert two.attempt("list", folder) in REFUSED
        for path in [*sockets, two.home / "run" / "control.sock"]:
            assert two.attempt("connect", path) in REFUSED, path


def test_a_pool_neither_signals_nor_traces_anybody(two):
    """Not the other worker, not listener, template or manager."""
    status = two.running.server.status()
    others = {f"{name}_pid": status[f"{name}_pid"] for name in ("listener", "template", "manager")}
    if two.is_on:
        for name, pid in {"victim": two.victim["pid"], **others}.items():
            assert two.attempt("signal", pid) in REFUSED, name
            assert two.attempt("trace", pid) in REFUSED, name


def test_a_pool_reads_nothing_of_other_processes(two):
    """Environment, memory and descriptors (the scoreboard's among them) in /proc."""
    if two.is_on:
        for pid in (two.victim["pid"], two.running.server.status()["listener_pid"]):
            for name in ("environ", "mem", "maps"):
                assert two.attempt("read", f"/proc/{pid}/{name}") in REFUSED, name
            assert two.attempt("list", f"/proc/{pid}/fd") in REFUSED


def test_content_is_read_only_in_the_sandbox(two):
    """What the files' own modes would allow is refused but where `writable` says so."""
    folder = two.home / "sites" / "attacker" / "open"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    in_force = state_of(two.running, "attacker")["isolation"]["landlock"] > 0
    assert (two.attempt("write", folder / "x") == "ok") is not in_force


def test_the_listener_is_nobody_to_the_pools(two):
    """It has an identity of its own, no capability, and still writes the request logs."""
    status = Path(f"/proc/{two.running.server.status()['listener_pid']}/status").read_text()
    values = dict(line.split(":\t", 1) for line in status.splitlines())
    if two.is_on:
        uids = {int(uid) for uid in values["Uid"].split()}
        assert len(uids) == 1
        assert uids.isdisjoint({0, two.attacker["uids"][0], two.victim["uids"][0]})
        assert int(values["CapBnd"], 16) == 0
        assert values["NoNewPrivs"] == "1"
    wait_for("a request log", lambda: list((two.home / "logs" / "W3SVC1").glob("*.log")))


def test_what_is_in_force_is_listed(two):
    """`was list apppools` names the ids, the limits and what is off."""
    row = state_of(two.running, "attacker")
    assert row["identity"] == "ApplicationPoolIdentity"
    shown = row["isolation"]
    assert shown["uid"] == two.attacker["uids"][0]
    assert shown["no_new_privs"] is True
    assert shown["umask"] == "0027"
    if two.is_on:
        assert shown["own_identity"] is True
        assert shown["capabilities"] == "none"
    else:
        assert shown["off"][0].startswith("identity: ")


def test_an_identity_survives_a_restart(start_server):
    """The same pool has the same uid again, also when another one has come before it."""
    running = start_server(
        simple_config("prober:application", pool=pool("kept")), place("prober.py")
    )
    uid = state_of(running, "kept")["isolation"]["uid"]
    assert running.server.stop() == 0
    file = running.home / "config" / "applicationHost.config"
    text = file.read_text().replace("<applicationPools>", "<applicationPools><add name='new' />")
    file.write_text(text)
    running.server.start()
    assert state_of(running, "kept")["isolation"]["uid"] == uid
    if uid != os.geteuid():
        record = json.loads((running.home / "run" / "state" / "identities.json").read_text())
        assert record["kept"] == uid
        assert state_of(running, "new")["isolation"]["uid"] not in (0, uid)


def test_content_that_only_root_may_read_is_named(start_server):
    """One line in the log with the file and the uid; the client gets an error, no riddle."""
    running = start_server(
        simple_config("prober:application"), _after(place("prober.py"), _close_content)
    )
    is_on = state_of(running, "Pool")["isolation"]["own_identity"]
    assert get(running.port(), "/?do=about").status == (500 if is_on else 200)
    if is_on:
        running.allow("content_unreadable", "application_failed")
        assert str(running.folder()) in _line(running, "content_unreadable")
        assert f"uid={state_of(running, 'Pool')['isolation']['uid']}" in _line(
            running, "content_unreadable"
        )


def _after(*steps: Any) -> Any:
    def prepare(home: Path) -> None:
        for step in steps:
            step(home)

    return prepare


def _close_content(home: Path) -> None:
    (home / "sites" / "app").chmod(0o700)


def _line(running: Running, event: str) -> str:
    return next(line for line in running.server.log_text().splitlines() if f" {event} " in line)


def test_content_below_a_closed_folder_is_served(start_server):
    """A folder above the home that others may not enter is no obstacle, and stays closed."""
    closed = Path(f"/tmp/was-t-closed-{os.getpid()}")
    closed.mkdir(mode=0o700)
    try:
        (closed / "private").write_text("x")
        place("prober.py", folder="app")(closed)
        text = simple_config("prober:application").replace("{home}/sites", f"{closed}/sites")
        running = start_server(text, place("prober.py"))
        assert attempt(running, "Site", "read", closed / "sites/app/prober.py") == "ok"
        if state_of(running, "Pool")["isolation"]["own_identity"]:
            assert attempt(running, "Site", "read", closed / "private") != "ok"
            assert attempt(running, "Site", "list", "/root") in {"ok", *REFUSED}
    finally:
        shutil.rmtree(closed)


def test_a_user_that_does_not_exist_is_reported(start_server):
    """Event 5021 with the name, 5057 when that disables the pool; 503; other pools go on."""
    bad = Pool("Pool", {}, {"processModel": {"identityType": "SpecificUser", "userName": "nope"}})
    running = start_server(simple_config("prober:application", pool=bad), place("prober.py"))
    if "isolation_reduced" in running.server.log_text():
        return
    running.allow("pool_disabled", "worker_spawn_failed")
    assert get(running.port(), "/").status == 503
    assert "there is no user 'nope'. " in wait_event(running, 5021)["text"]
    assert wait_event(running, 5057)["app_pool"] == "Pool"
    wait_event(running, 5002)
    assert events(running, 5009) == []  # no worker ended: there was none


def test_a_pool_that_cannot_start_a_worker_is_a_problem(start_server):
    """Where nothing disables it status says so, and the log why; its requests wait and get 503."""
    model = {"identityType": "SpecificUser", "userName": "nope"}
    bad = Pool("Pool", {}, {"processModel": model, "failure": {"rapidFailProtection": "false"}})
    running = start_server(simple_config("prober:application", pool=bad), place("prober.py"))
    if "isolation_reduced" in running.server.log_text():
        return
    running.allow("worker_spawn_failed")
    assert running.server.status()["problems"] == []
    with Wire(running.port()) as wire:
        wire.send_request("/")
        says = "application pool 'Pool' cannot start a worker; the log says why"
        wait_for("the problem", lambda: running.server.status()["problems"] == [says])
    assert " worker_spawn_failed error=\"there is no user 'nope'\"" in running.server.log_text()


def test_a_specific_user_is_who_the_worker_is(start_server):
    """uid, group and HOME of the account; the pool's own group beside, for its queue."""
    user = Pool(
        "Pool", {}, {"processModel": {"identityType": "SpecificUser", "userName": "nobody"}}
    )
    running = start_server(simple_config("prober:application", pool=user), place("prober.py"))
    about = ask(running, "Site", do="about")
    if state_of(running, "Pool")["isolation"]["own_identity"]:
        assert about["environment"]["USER"] == "nobody"
        assert set(about["uids"]) == {65534}
        assert len(about["groups"]) == 2
    assert state_of(running, "Pool")["identity"] == "nobody"


def test_local_system_keeps_everything(start_server):
    """The manager's own identity, without a sandbox, and it is said."""
    system = Pool("Pool", {}, {"processModel": {"identityType": "LocalSystem"}})
    running = start_server(simple_config("prober:application", pool=system), place("prober.py"))
    about = ask(running, "Site", do="about")
    assert about["uids"][0] == os.geteuid()
    assert about["status"]["NoNewPrivs"] == "0"
    assert "LocalSystem" in state_of(running, "Pool")["isolation"]["off"][0]


def test_ports_are_closed_where_it_is_asked_for(start_server):
    """connectPorts names the only ports; the queue is no port."""
    running = start_server(
        simple_config("prober:application", pool=pool("Pool", connectPorts="1")),
        place("prober.py"),
    )
    shown = state_of(running, "Pool")["isolation"]
    outcome = attempt(running, "Site", "tcp", running.port())
    assert outcome == ("EACCES" if shown["landlock"] >= 4 else "ok")


def test_limits_umask_and_groups_are_taken(start_server):
    """What the isolation element says is what the worker has."""
    taken = {"umask": "0077", "maxOpenFiles": "512", "maxMemory": "400000"}
    settings = pool("Pool", **taken, supplementaryGroups="nogroup")
    running = start_server(simple_config("prober:application", pool=settings), place("prober.py"))
    about = ask(running, "Site", do="about")
    assert about["umask"] == 0o077
    assert about["files"] == 512
    assert about["memory"] == 400_000 * 1024
    if state_of(running, "Pool")["isolation"]["own_identity"]:
        assert 65534 in about["groups"]
