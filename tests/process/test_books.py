"""After load and deaths everything is back at its start: credits, descriptors, spool files."""

import asyncio
import os
import random
from pathlib import Path

from harness.home import Pool
from harness.killing import GARDEN, make_kill_home, run_with_kills
from harness.load import Load, run_load
from harness.meter import descriptors
from harness.server import wait_for
from support.running import APPS, place, simple_config, wait_for_spare
from support.wire import Wire, post


def _open_counts(running) -> dict[str, int]:
    """Open descriptors but those of log files, which are opened with their first line."""
    status = running.server.status()
    logs = str(running.home / "logs")
    return {
        name: sum(logs not in what for what in descriptors(status[f"{name}_pid"]).values())
        for name in ("manager", "listener")
    }


def _settled_counts(running) -> dict[str, int]:
    """What they have when the spare processes are there: the same again and again."""
    wait_for_spare(running)
    looks = [_open_counts(running)]

    def is_settled() -> bool:
        looks.append(_open_counts(running))
        return len(looks) > 5 and all(look == looks[-1] for look in looks[-5:])

    wait_for("settled descriptors", is_settled)
    return looks[-1]


def test_descriptors_and_queues_are_back_after_kills(start_server):
    """After kills under load nobody holds a request, a credit or a descriptor more than before."""
    running = start_server(None, lambda home: make_kill_home(home, APPS / "starts.py"))
    running.workers(GARDEN.name, 2)
    run_load(Load("127.0.0.1", running.port("Kill"), count=200, connections=32))
    wait_for("no connections", lambda: _has_no_connections(running, "Kill"))
    before = _settled_counts(running)
    load = Load("127.0.0.1", running.port("Kill"), rate=150, connections=32, duration_s=3)
    asyncio.run(run_with_kills(load, running.server, every_s=0.7, chooser=random.Random(3)))
    running.workers(GARDEN.name, 2)
    assert running.server.rows("requests") == []
    wait_for(
        f"descriptors as before: {before}",
        lambda: _open_counts(running) == before,
    )
    assert running.server.rows("apppools")[0]["queued"] == 0
    wait_for("idle workers", lambda: all(row["active"] == 0 for row in running.server.rows("wp")))
    assert "pump_tick_hit" not in running.server.log_text()


def _has_no_connections(running, site: str) -> bool:
    listener = running.server.status()["listener_pid"]
    port = f":{running.port(site):04X}"
    table = Path(f"/proc/{listener}/net/tcp").read_text().splitlines()[1:]
    established = [line for line in table if line.split()[1].endswith(port)]
    return not [line for line in established if line.split()[3] == "01"]


def test_spool_files_are_gone_after_their_requests(start_server):
    """A body that went to a spool file leaves no open file behind, answered or abandoned."""
    pool = Pool("Pool", {"startMode": "AlwaysRunning"})
    running = start_server(simple_config("probe:application", pool=pool), place("probe.py"))
    body = os.urandom(1_000_000)
    assert post(running.port(), "/echo", body).body == body
    wait_for("no connections", lambda: _has_no_connections(running, "Site"))
    before = _settled_counts(running)
    for _ in range(5):
        assert post(running.port(), "/echo", body).body == body
    with Wire(running.port()) as wire:
        wire.send_request("/echo", "POST", body[:500_000], {"Content-Length": "1000000"})
    wait_for(
        f"descriptors as before: {before}",
        lambda: _open_counts(running) == before,
    )
