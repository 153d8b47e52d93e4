"""The event log under real kills: each of IIS's ids, at its level, with its fields."""

import os
import signal
from typing import Any

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.event_log import dossier_of, events, wait_event
from support.files import replace_text
from support.pools import PATIENT
from support.running import Running, place, simple_config
from support.wire import Wire, get

NO_RAPID_FAIL = {"rapidFailProtection": "false"}
DEATH_FIELDS = {"app_pool", "pid", "worker_id", "reason", "how", "peak_memory_kb", "requests"}


def _pool(start_mode: str = "AlwaysRunning", **elements: dict[str, str]) -> Pool:
    # However much faster time passes: who comes when there is no worker waits for the next one, and
    # who is held has no other limit than the one that is tried.
    base = {"failure": NO_RAPID_FAIL, "requests": PATIENT}
    return Pool("Pool", {"startMode": start_mode}, {**base, **elements})


def _config(processor: str, start_mode: str = "AlwaysRunning", **elements: dict[str, str]) -> str:
    return simple_config(processor, pool=_pool(start_mode, **elements))


def _text_line(running: Running, event_id: int) -> str:
    log = running.home / "logs" / "events.log"  # written after the other file

    def found() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[2] == str(event_id)]

    return wait_for(f"the line of event {event_id}", found)[0]


def _check(event: dict[str, Any], level: str, reason: str) -> None:
    assert (event["level"], event["app_pool"], event["reason"]) == (level, "Pool", reason)


@pytest.mark.parametrize(
    ("path", "how", "exit_code", "number"),
    [
        ("/exit", "exit 0", 0, None),
        ("/kill", "SIGKILL", None, "SIGKILL"),
        ("/segv", "SIGSEGV", None, "SIGSEGV"),
    ],
)
def test_5009_names_the_end_and_the_request_it_met(start_server, path, how, exit_code, number):
    """Its pid, exit status or signal and peak memory; the URL, and where in the pipeline it was."""
    running = start_server(_config("deaths:application"), place("deaths.py"))
    worker = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        assert wire.request(f"{path}?a=1", "POST", b"").status == 502
    event = wait_event(running, 5009)
    _check(event, "warning", "ended unexpectedly")
    assert event.keys() >= DEATH_FIELDS
    assert (event["pid"], event["how"]) == (worker, how)
    assert (event["exit_code"], event["signal"]) == (exit_code, number)
    assert 5_000 < event["peak_memory_kb"] < 2_000_000
    (request,) = event["requests"]
    assert (request["verb"], request["url"]) == ("POST", f"{path}?a=1")
    assert (request["notification"], request["state"]) == ("EXECUTE_REQUEST_HANDLER", "started")
    assert request["module"] == "WsgiModule"
    assert (request["client"], request["fate"]) == ("127.0.0.1", "502")
    line = _text_line(running, 5009)
    assert f"pid {worker}" in line
    assert f"POST {path}?a=1 [EXECUTE_REQUEST_HANDLER WsgiModule]" in line
    assert event["dossier"] in line


def test_5009_of_an_idle_worker_has_no_requests(start_server):
    """A worker killed from outside while it does nothing met nobody."""
    running = start_server(_config("hello:application"), place("hello.py"))
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGKILL)
    event = wait_event(running, 5009)
    assert (event["pid"], event["signal"], event["requests"]) == (worker, "SIGKILL", [])


def test_5009_of_a_worker_that_dies_while_it_drains(start_server):
    """An old worker that crashes over its last request is reported like any other."""
    running = start_server(_config("gates:application"), place("gates.py"))
    worker = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/held?gate=a", "POST", b"")
        wait_for("the gate", (running.folder() / "data" / "a.reached").exists)
        assert running.server.command("recycle", "apppool", "Pool").returncode == 0
        wait_for("a successor", lambda: set(running.workers()) - {worker})
        os.kill(worker, signal.SIGKILL)
        assert wire.read("POST").status == 502
    event = wait_event(running, 5009)
    assert (event["pid"], event["requests"][0]["url"]) == (worker, "/held?gate=a")


def test_no_event_for_an_ordinary_end(start_server):
    """Workers that are told to stop and do so leave no event, and no dossier."""
    running = start_server(_config("hello:application"), place("hello.py"))
    running.workers(count=1)
    assert running.server.stop() == 0
    assert events(running) == []
    assert not (running.home / "logs" / "failures").exists()


def test_5010_when_a_worker_does_not_answer_pings(start_server):
    """A stopped process misses its ping: 5010, then it is killed and replaced."""
    limits = {"pingInterval": "00:00:10", "pingResponseTime": "00:00:40"}
    running = start_server(
        _config("hello:application", processModel=limits), place("hello.py"), time_scale=20.0
    )
    running.allow("worker_faulty")
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGSTOP)
    event = wait_event(running, 5010)
    _check(event, "warning", "ping missed")
    assert (event["pid"], event["signal"]) == (worker, "SIGKILL")
    assert event["peak_memory_kb"] > 5_000
    assert events(running, 5009) == []


@pytest.mark.parametrize(
    ("path", "event_id", "reason"),
    [("/silent", 5011, "connection broken"), ("/babble", 5127, "ill-formed data")],
)
def test_a_worker_that_loses_the_manager_or_its_trust(start_server, path, event_id, reason):
    """5011: its connection broke though it lives; 5127: it said what is no message."""
    running = start_server(_config("trouble:application"), place("trouble.py"), time_scale=20.0)
    running.allow("worker_faulty")
    worker = running.workers(count=1)[0]
    assert get(running.port(), path).status == 200
    event = wait_event(running, event_id)
    _check(event, "warning", reason)
    assert (event["pid"], event["signal"]) == (worker, "SIGKILL")


def test_5012_when_a_worker_does_not_start_in_time(start_server):
    """startupTimeLimit passes while the application is being imported; the stacks say where."""
    running = start_server(
        _config(
            "trouble:application",
            "OnDemand",
            processModel={"startupTimeLimit": "00:00:40"},
        ),
        place("trouble.py"),
        time_scale=20.0,
    )
    running.allow("worker_start_failed")
    slow = running.folder() / "data" / "import.slow"
    slow.touch()
    with Wire(running.port()) as wire:
        wire.send_request("/")
        event = wait_event(running, 5012)
        slow.unlink()
        assert wire.read().status == 200
    _check(event, "warning", "start-up time limit")
    assert any("trouble.py" in line for line in dossier_of(event)["stacks"])


def test_5013_when_a_worker_does_not_stop_in_time(start_server):
    """shutdownTimeLimit passes while a request is held: the event names it, and where it was."""
    running = start_server(
        _config("gates:application", processModel={"shutdownTimeLimit": "00:00:20"}),
        place("gates.py"),
        time_scale=20.0,
    )
    running.allow("worker_faulty")
    worker = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/held?gate=a", "POST", b"")
        wait_for("the gate", (running.folder() / "data" / "a.reached").exists)
        assert running.server.command("recycle", "apppool", "Pool").returncode == 0
        assert wire.read("POST").status == 502
    event = wait_event(running, 5013)
    _check(event, "warning", "shutdown time limit")
    assert (event["pid"], event["requests"][0]["url"]) == (worker, "/held?gate=a")
    assert any("pass_gate" in line for line in dossier_of(event)["stacks"])


def test_5059_and_5002_when_workers_cannot_start(start_server):
    """Each failed start is an event that says why; the last one disables the pool."""
    pool = Pool("Pool", {}, {"failure": {"rapidFailProtectionMaxCrashes": "2"}})
    image = "{home}/sites/app/breaks_start.py"
    module = f'<system.webServer><globalModules><add name="Bad" image="{image}" />'
    module += "</globalModules></system.webServer>"
    running = start_server(
        simple_config("hello:application", pool=pool, extra=module),
        place("hello.py", "breaks_start.py"),
    )
    running.allow("worker_start_failed", "pool_disabled")
    assert get(running.port()).status == 503
    disabled = wait_event(running, 5002)
    _check(disabled, "error", "rapid-fail protection")
    assert disabled["pids"] == []
    failed = events(running, 5059)
    assert len(failed) == 2
    assert all("no.such" in event["detail"] for event in failed)
    assert all("no.such" in "".join(dossier_of(event)["log"]) for event in failed)
    # In the order in which it happened.
    assert [event["id"] for event in events(running)] == [5059, 5059, 5002]


def test_recycling_has_iis_reasons(start_server):
    """5075 by requests, 5074 by time, with the worker's pid; 5079 by hand, 5080 by new settings."""
    restart = '<recycling logEventOnRecycle="Time, Requests, OnDemand, ConfigChange">'
    restart += '<periodicRestart requests="5" time="00:00:00" /></recycling>'
    config = _config("hello:application").replace("</add>\n    </applicationPools>", "@")
    config = config.replace("@", f"{restart}</add>\n    </applicationPools>")
    running = start_server(config, place("hello.py"), time_scale=20.0)
    first = running.workers(count=1)[0]
    for _ in range(6):
        assert get(running.port()).status == 200
    event = wait_event(running, 5075)
    _check(event, "information", "Requests")
    assert event["pid"] == first
    wait_for("a successor", lambda: running.workers() not in ([], [first]))
    second = running.workers(count=1)[0]
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    event = wait_event(running, 5079)
    _check(event, "information", "OnDemand")
    assert event["pids"] == [second]
    file = running.home / "config" / "applicationHost.config"
    text = file.read_text().replace('requests="5"', 'requests="0"')
    replace_text(file, text.replace('time="00:00:00"', 'time="00:01:00"'))
    assert running.server.command("reload").returncode == 0
    event = wait_event(running, 5074)
    _check(event, "information", "Time")
    wait_event(running, 5080)


def test_5186_when_an_idle_worker_is_shut_down(start_server):
    """idleTimeout with Terminate: the worker ends, and an event says which."""
    running = start_server(
        _config("gates:application", "OnDemand", processModel={"idleTimeout": "00:01:00"}),
        place("gates.py"),
        time_scale=40.0,
    )
    answer = get(running.port())
    assert answer.status == 200
    worker = int(answer.text.split()[0])
    event = wait_event(running, 5186)
    _check(event, "information", "idle timeout")
    assert event["pid"] == worker
    wait_for("its end", lambda: not running.workers())


def test_a_log_that_cannot_be_written_stops_nothing(start_server):
    """Where the files cannot be opened events are dropped and counted; the server goes on."""
    running = start_server(_config("hello:application"), place("hello.py"))
    running.allow("log_dropped")
    for name in ("events.jsonl", "events.log", "failures"):
        # A folder, or a file, in the way: works for root too.
        path = running.home / "logs" / name
        path.touch() if name == "failures" else path.mkdir()
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGKILL)
    names = ("events_dropped", "dossiers_dropped")

    def dropped() -> list[int]:
        status = running.server.status()
        return [status[name] for name in names]

    wait_for("a dropped event and dossier", lambda: dropped() == [1, 1])
    assert get(running.port()).status == 200
    for name in ("events.jsonl", "events.log"):
        (running.home / "logs" / name).rmdir()
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGKILL)
    assert wait_event(running, 5009)["dossier"] == ""


def test_5172_and_5081_around_a_configuration_that_cannot_be_read(start_server):
    """A broken file leaves the last good one in force; what recycles after its repair says so."""
    running = start_server(_config("hello:application"), place("hello.py"))
    running.allow("config_error", "reload_failed")
    running.workers(count=1)
    file = running.home / "config" / "applicationHost.config"
    good = file.read_text()
    replace_text(file, good.replace("<sites>", "<sites bad>"))
    assert running.server.command("reload").returncode == 1
    event = wait_event(running, 5172)
    assert (event["level"], event["reason"]) == ("error", "configuration error")
    assert "applicationHost.config" in event["detail"]
    threads = '<python threads="4" /></add>\n    </applicationPools>'
    replace_text(file, good.replace("</add>\n    </applicationPools>", threads))
    assert running.server.command("reload").returncode == 0
    _check(wait_event(running, 5081), "information", "configuration recovered")


def test_5189_when_the_pools_own_configuration_cannot_be_written(start_server):
    """Its workers go on; the event names the file's trouble, and the rest of a reload is done."""
    running = start_server(_config("hello:application"), place("hello.py"))
    running.allow("worker_spawn_failed")
    (folder,) = (running.home / "run" / "pools").iterdir()
    # A folder where the temporary file would be: works for root too.
    (folder / ".applicationHost.config.new").mkdir()
    file = running.home / "config" / "applicationHost.config"
    replace_text(file, file.read_text().replace("<sites>", "<sites><!-- --><siteDefaults />"))
    assert running.server.command("reload").returncode == 0
    _check(wait_event(running, 5189), "error", "configuration not written")
    assert get(running.port()).status == 200
