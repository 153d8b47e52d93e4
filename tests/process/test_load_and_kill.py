"""Workers are killed under load; the client's books must balance (the long form: scripts/bench)."""

import asyncio
import random
from pathlib import Path

import pytest
from harness.killing import (
    GARDEN,
    judge_get,
    judge_post,
    make_kill_home,
    read_starts,
    run_with_kills,
)
from harness.load import Load, run_load_async
from support.running import APPS, simple_config
from support.wire import get

SECONDS = 3.0
RATE = 150.0


def _prepare(home: Path) -> None:
    make_kill_home(home, APPS / "starts.py")


@pytest.fixture
def kill_server(engine, start_server):
    return start_server(None, _prepare, engine=engine)


def _load(running, **options) -> Load:
    return Load(
        "127.0.0.1", running.port("Kill"), rate=RATE, connections=32, duration_s=SECONDS, **options
    )


def test_no_get_is_lost_when_workers_are_killed(kill_server):
    """A GET whose worker dies is answered 200 by another one; no connection is reset or closed."""
    kill_server.workers(GARDEN.name, 2)
    load = _load(kill_server)
    tally, killed = asyncio.run(
        run_with_kills(load, kill_server.server, every_s=0.7, chooser=random.Random(1))
    )
    assert killed
    assert judge_get(tally, load.total) == []


def test_no_post_is_repeated_when_workers_are_killed(kill_server):
    """A POST is answered 200, or 502 once it has started; it never starts twice."""
    kill_server.workers(GARDEN.name, 2)
    load = _load(kill_server, method="POST", body=lambda n: b"number=%d" % n)
    tally, killed = asyncio.run(
        run_with_kills(load, kill_server.server, every_s=0.7, chooser=random.Random(2))
    )
    starts = read_starts(kill_server.folder("kill"))
    assert killed
    assert judge_post(tally, load.total, starts, unseen=len(killed)) == []
    assert load.total - len(killed) <= len(starts) <= load.total


def test_recycling_under_load_is_not_seen_by_clients(kill_server):
    """recycle --wait under load: nothing but 200, and every worker is a new one."""
    before = kill_server.workers(GARDEN.name, 2)
    load = _load(kill_server)

    async def run():
        task = asyncio.create_task(run_load_async(load))
        codes = []
        for _ in range(2):
            await asyncio.sleep(0.3)
            done = await asyncio.to_thread(
                kill_server.server.command, "recycle", "apppool", GARDEN.name, "--wait"
            )
            codes.append((done.returncode, done.stderr))
        return await task, codes

    tally, codes = asyncio.run(run())
    assert codes == [(0, ""), (0, "")]
    assert judge_get(tally, load.total) == []
    after = kill_server.workers(GARDEN.name, 2)
    assert not set(before) & set(after)


def test_a_lone_slow_request_is_answered_at_once(start_server):
    """A request slower than the hand-over limit, alone in its worker, waits for no other."""
    from support.running import place  # one application, one worker

    running = start_server(simple_config("probe:application"), place("probe.py"))
    get(running.port())
    load = Load("127.0.0.1", running.port(), "/sleep?ms=10", rate=1, connections=1, duration_s=5)
    tally = asyncio.run(run_load_async(load))
    assert tally.statuses == {200: 5}
    # Long before the next one is due, or a leader that sleeps looks again.
    assert tally.latency_ms(0.5) < 700
