"""A dossier for each abnormal end: what was known of the worker, its stacks, its last words."""

import json
import os
import signal
from pathlib import Path

from harness.home import Pool
from harness.server import wait_for
from support.event_log import dossier_of, events, wait_event
from support.running import Running, place, simple_config
from support.wire import Wire, get

STEADY = Pool("Pool", {"startMode": "AlwaysRunning"}, {"failure": {"rapidFailProtection": "false"}})


def _dossiers(running: Running) -> list[Path]:
    return sorted((running.home / "logs" / "failures").glob("*.json"))


def test_a_crash_leaves_stacks_of_all_threads_and_the_last_log_lines(start_server):
    """SIGSEGV in C: the line of Python that called it, every thread, what had been printed."""
    running = start_server(
        simple_config("last_words:application", pool=STEADY), place("last_words.py")
    )
    worker = running.workers(count=1)[0]
    assert get(running.port(), "/say?first").status == 200
    with Wire(running.port()) as wire:
        assert wire.request("/segv?secret=no", "POST", b"").status == 502
    event = wait_event(running, 5009)
    dossier = dossier_of(event)
    assert Path(event["dossier"]).parent == running.home / "logs" / "failures"
    # All that the event says, and more.
    for name in event.keys() - {"dossier", "text"}:
        assert dossier[name] == event[name]
    assert dossier["pid"] == worker
    assert dossier["requests_finished"] == 1
    assert dossier["lived_s"] > 0
    stacks = "\n".join(dossier["stacks"])
    assert "Segmentation fault" in stacks
    assert "in crash_here" in stacks
    assert stacks.count("Thread 0x") >= 2
    assert "first" in dossier["log"]
    # The end of the worker is not written to the applications' log as well.
    assert "Segmentation fault" not in running.home.joinpath("logs/pools/Pool.log").read_text()


def test_a_child_that_crashes_is_not_the_worker(start_server):
    """What a child of the application dies of stands in the pool's log, not in a dossier."""
    running = start_server(
        simple_config("last_words:application", pool=STEADY), place("last_words.py")
    )
    worker = running.workers(count=1)[0]
    assert get(running.port(), "/child").status == 200
    assert running.workers() == [worker]
    os.kill(worker, signal.SIGKILL)
    dossier = dossier_of(wait_event(running, 5009))
    assert dossier["stacks"] == []
    assert any("Segmentation fault" in line for line in dossier["log"])


def test_a_hung_worker_is_asked_for_its_stacks_before_it_is_killed(start_server):
    """A worker whose interpreter stands still in C misses its ping; the dossier shows where."""
    limits = {"pingInterval": "00:00:10", "pingResponseTime": "00:00:40"}
    pool = Pool(
        "Pool", STEADY.attributes, {"failure": STEADY.elements["failure"], "processModel": limits}
    )
    running = start_server(
        simple_config("last_words:application", pool=pool), place("last_words.py"), time_scale=20.0
    )
    running.allow("worker_faulty")
    running.workers(count=1)
    with Wire(running.port()) as wire:
        wire.send_request("/hang", "POST", b"")
        event = wait_event(running, 5010)
        assert wire.read("POST").status == 502
    dossier = dossier_of(event)
    assert any("in hang_here" in line for line in dossier["stacks"])
    assert dossier["signal"] == "SIGKILL"
    assert [r["url"] for r in dossier["requests"]] == ["/hang"]


def test_a_worker_that_dies_with_the_listener_has_its_dossier(start_server):
    """With nobody to name the request, the scoreboard still says where it was."""
    running = start_server(simple_config("gates:application", pool=STEADY), place("gates.py"))
    running.allow("listener_died")
    worker = running.workers(count=1)[0]
    listener = int(running.server.status()["listener_pid"])
    with Wire(running.port()) as wire:
        wire.send_request("/held?gate=a", "POST", b"")
        wait_for("the gate", (running.folder() / "data" / "a.reached").exists)
        os.kill(listener, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        event = wait_event(running, 5009)
    (request,) = dossier_of(event)["requests"]
    assert request["notification"] == "EXECUTE_REQUEST_HANDLER"
    running.workers(count=1)


def test_only_the_last_dossiers_are_kept(start_server):
    """With the folder full, the oldest makes way."""
    running = start_server(simple_config("hello:application", pool=STEADY), place("hello.py"))
    folder = running.home / "logs" / "failures"
    folder.mkdir()
    for number in range(250):
        (folder / f"20200101T000000{number:03d}-5009-{number}.json").write_text("{}")
    os.kill(running.workers(count=1)[0], signal.SIGKILL)
    newest = Path(wait_event(running, 5009)["dossier"])
    wait_for("200 of them", lambda: len(_dossiers(running)) == 200)
    kept = _dossiers(running)
    assert kept[-1] == newest
    assert kept[0].name.startswith("20200101T000000051")


def test_a_dossier_is_whole_and_not_for_everybody(start_server):
    """A file is there only when it is complete, and others on the machine cannot read it."""
    running = start_server(simple_config("hello:application", pool=STEADY), place("hello.py"))
    for count in range(1, 4):
        os.kill(running.workers(count=1)[0], signal.SIGKILL)
        wait_for("the event", lambda count=count: len(events(running, 5009)) == count)
    files = _dossiers(running)
    assert len(files) == 3
    assert [json.loads(file.read_text())["id"] for file in files] == [5009] * 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o640}
