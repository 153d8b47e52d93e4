"""`was chaos` does to workers what it says, where it is allowed, and no request is lost by it."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from harness.home import Pool
from harness.load import Load, run_load
from harness.meter import process_state
from harness.server import LIMIT_S, wait_for
from support.running import place, simple_config

GARDEN = Pool(
    "Pool",
    {"startMode": "AlwaysRunning"},
    {"processModel": {"maxProcesses": "2"}, "failure": {"rapidFailProtection": "false"}},
)


def _enable(running) -> None:
    (running.home / "config" / "chaos.enabled").touch()


def _garden(start_server, pool: Pool = GARDEN, **options):
    config = simple_config("probe:application", pool=pool)
    running = start_server(config, place("probe.py"), **options)
    _enable(running)
    return running


def _chaos(running, *arguments: str) -> dict:
    result = running.server.command("chaos", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_it_is_refused_unless_enabled(start_server):
    """Without config/chaos.enabled nobody is harmed, and the line says what to do."""
    config = simple_config("probe:application", pool=GARDEN)
    running = start_server(config, place("probe.py"))
    before = running.workers(count=2)
    result = running.server.command("chaos", "kill", "--for", "1s")
    assert result.returncode == 1
    assert "chaos.enabled" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert running.workers(count=2) == before


@pytest.mark.parametrize("action", ["kill", "segv"])
def test_workers_die_and_no_get_fails(start_server, action):
    """As many workers as were due are killed, each of another pid, and every GET is answered."""
    processes = {"maxProcesses": "4"}  # as many as are killed though none were replaced
    pool = Pool("Pool", GARDEN.attributes, {**GARDEN.elements, "processModel": processes})
    running = _garden(start_server, pool)
    running.workers(count=4)
    load = Load("127.0.0.1", running.port(), rate=100, connections=16, duration_s=4)
    tallies = []
    thread = threading.Thread(target=lambda: tallies.append(run_load(load)))
    thread.start()
    found = _chaos(running, action, "--pool", "Pool", "--rate", "1", "--for", "3s")
    thread.join()
    assert (found["action"], found["app_pool"]) == (action, "Pool")
    assert (found["done"], found["no_worker"]) == (3, 0)
    assert len(set(found["pids"])) == 3
    assert tallies[0].statuses == {200: 400}, tallies[0].summary()
    wait_for("their end", lambda: not any(process_state(pid) for pid in found["pids"]))


def test_a_stopped_worker_goes_on(start_server):
    """Both workers are stopped, each once at a time, and run again when the command has ended."""
    running = _garden(start_server)
    workers = running.workers(count=2)
    seen = set()
    ended = threading.Event()

    def watch():
        while not ended.wait(0.01):
            seen.update(pid for pid in workers if process_state(pid) == "T")

    watcher = threading.Thread(target=watch)
    watcher.start()
    found = _chaos(running, "stop", "--rate", "2", "--for", "1500ms")
    ended.set()
    watcher.join()
    assert (found["done"], found["no_worker"]) == (2, 1)
    assert sorted(found["pids"]) == sorted(workers)
    assert seen == set(workers)
    assert running.workers(count=2) == workers
    assert [process_state(pid) == "T" for pid in workers] == [False, False]


def test_an_interrupted_stop_leaves_nobody_stopped(start_server):
    """Ctrl-C ends the command, which says what it did, and whom it had stopped goes on."""
    running = _garden(start_server)
    workers = running.workers(count=2)
    command = ["--home", str(running.home), "chaos", "stop", "--for", "60s"]
    program = [sys.executable, "-P", "-m", "was", *command]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        wait_for("a stopped worker", lambda: "T" in [process_state(pid) for pid in workers])
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 1
    assert output.startswith("stop: ")
    assert "T" not in [process_state(pid) for pid in workers]


def test_a_hung_worker_is_found_out(start_server):
    """It stays stopped until the pings end it; another one takes its place."""
    pool = Pool(
        "Pool",
        {"startMode": "AlwaysRunning"},
        {
            "processModel": {"pingInterval": "00:00:01", "pingResponseTime": "00:00:03"},
            "failure": {"rapidFailProtection": "false"},
        },
    )
    running = _garden(start_server, pool)
    (old,) = running.workers(count=1)
    found = _chaos(running, "hang", "--rate", "1", "--for", "1s")
    assert found["pids"] == [old]
    wait_for("its end", lambda: not process_state(old))
    assert running.workers(count=1) != [old]


def test_what_cannot_be_done_is_said(start_server):
    """An unknown pool, and a rate at which nothing is due."""
    running = _garden(start_server)
    result = running.server.command("chaos", "kill", "--pool", "Nobody")
    assert (result.returncode, result.stderr) == (
        1,
        "was: there is no application pool 'Nobody'\n",
    )
    result = running.server.command("chaos", "kill", "--rate", "0.1", "--for", "1s")
    assert result.returncode == 2


def test_a_server_that_does_not_run_is_said(start_server):
    """Nothing is looked for in a home without a manager."""
    running = _garden(start_server)
    os.kill(running.server.pid, signal.SIGTERM)
    running.server.wait_exit()
    result = running.server.command("chaos", "kill", "--for", "1s")
    assert result.returncode == 1
    assert "is not running" in result.stderr
