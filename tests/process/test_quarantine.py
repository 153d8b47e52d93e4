"""Poison and quarantine: what kills its workers is refused, and costs nobody else anything."""

import asyncio
from collections import Counter

from harness.home import Pool
from harness.load import Load, run_load_async
from harness.server import wait_for
from support.running import Running, place, simple_config
from support.wire import Wire, get

SECONDS = 4.0
RATE = 100.0
CRASHING_CLIENT = "127.0.0.9"
OTHER_CLIENT = "127.0.0.8"


def _start(start_server, **failure: str) -> Running:
    """A pool with IIS's own limits: the fifth death within five minutes would stop it."""
    elements = {"failure": failure} if failure else {}
    pool = Pool("Pool", {"startMode": "AlwaysRunning"}, elements)
    running = start_server(simple_config("deaths:application", pool=pool), place("deaths.py"))
    running.workers(count=1)
    running.allow("request_poisoned", "request_quarantined")
    return running


def _kills(running: Running) -> list[list[str]]:
    """The starts of requests that kill: id, attempt, path."""
    file = running.folder() / "data" / "starts.log"
    lines = [line.split() for line in file.read_text().splitlines()]
    return [line for line in lines if line[2] == "/kill"]


def _state(running: Running) -> str:
    (row,) = running.server.rows("apppools")
    return str(row["state"])


def _http_errors(running: Running) -> Counter[str]:
    """Reasons in HTTPERR."""
    folder = running.home / "logs" / "HTTPERR"
    lines = [
        line
        for path in sorted(folder.glob("*.log"))
        for line in path.read_text().splitlines()
        if not line.startswith("#")
    ]
    return Counter(word for line in lines for word in line.split() if word == "Poisoned")


def _ask(port: int, count: int, method: str) -> list[int]:
    with Wire(port, source=CRASHING_CLIENT) as wire:
        return [wire.request("/kill", method, b"").status for _ in range(count)]


def test_a_crashing_get_under_load_costs_nobody_else_anything(start_server):
    """Its first request is poison, its next ones are refused unseen; all the load is answered 200.

    Another client may still ask for the same URL.
    """
    running = _start(start_server)
    load = Load("127.0.0.1", running.port(), rate=RATE, connections=16, duration_s=SECONDS)

    async def both():
        crashing = asyncio.to_thread(_ask, running.port(), 6, "GET")
        return await asyncio.gather(run_load_async(load), crashing)

    tally, statuses = asyncio.run(both())
    assert tally.statuses == {200: load.total}, tally.summary()
    assert statuses == [502] * 6
    assert [line[1] for line in _kills(running)] == ["1", "2", "3"]
    assert len({line[0] for line in _kills(running)}) == 1
    wait_for("six lines in HTTPERR", lambda: _http_errors(running)["Poisoned"] == 6)
    names = ("request_poisoned", "request_quarantined")
    wait_for("both in the log", lambda: all(name in running.server.log_text() for name in names))
    events = Counter(running.server.log_text().split())
    assert [events[name] for name in names] == [1, 1]
    with Wire(running.port(), source=OTHER_CLIENT) as wire:
        assert wire.request("/kill?once=1").status == 200
    assert _state(running) == "started"


def test_posts_to_a_crashing_url_do_not_stop_the_pool(start_server):
    """A POST is not repeated, yet the third that kills is the last: the pool lives on."""
    running = _start(start_server)
    assert _ask(running.port(), 6, "POST") == [502] * 6
    assert [line[1] for line in _kills(running)] == ["1", "1", "1"]
    assert _state(running) == "started"
    assert get(running.port(), "/").status == 200
    # The method is a part of what is quarantined.
    with Wire(running.port(), source=CRASHING_CLIENT) as wire:
        assert wire.request("/kill?once=1").status == 200


def test_a_url_that_is_answered_again_is_not_refused(start_server):
    """Deaths that are not more than the answers quarantine nothing."""
    running = _start(start_server, rapidFailProtection="false")
    with Wire(running.port(), source=CRASHING_CLIENT) as wire:
        for _ in range(4):
            assert wire.request("/kill?once=1").status == 200
            assert wire.request("/").status == 200
    assert len(_kills(running)) == 8
