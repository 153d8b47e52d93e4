"""Load on a pool whose workers are killed meanwhile, and the verdict on each request's fate."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    make_home,
    place_application,
    wsgi_handler,
)
from harness.load import Load, run_load_async
from harness.server import ServerError, WasServer
from harness.tally import Tally

__all__ = ["GARDEN", "judge_get", "judge_post", "make_kill_home", "read_starts", "run_with_kills"]

# Two workers, started at once, that no number of crashes takes away.
GARDEN = Pool(
    "Garden",
    {"startMode": "AlwaysRunning"},
    {"processModel": {"maxProcesses": "2"}, "failure": {"rapidFailProtection": "false"}},
)


def make_kill_home(home: Path, application: Path) -> Path:
    """A home whose site `Kill` runs `application` (a file) in the pool GARDEN; its folder."""
    folder = place_application(home / "sites" / "kill", application)
    handler = wsgi_handler(f"{application.stem}:application")
    site = Site("Kill", (Application("/", folder, GARDEN.name, (handler,)),))
    make_home(home, application_host_config([GARDEN], [site]))
    return folder


async def run_with_kills(
    load: Load, server: WasServer, *, every_s: float, chooser: random.Random
) -> tuple[Tally, list[int]]:
    """Run the load; every so often SIGKILL one worker of the pool. Returns whom it killed."""
    killed: list[int] = []
    loop = asyncio.get_running_loop()
    # Whom to kill first is known before: asking takes a while on a busy machine.
    workers = await asyncio.to_thread(server.workers, GARDEN.name)
    start = loop.time()
    task = asyncio.create_task(run_load_async(load))
    kills = max(1, round(load.duration_s / every_s) - 1)
    for number in range(1, kills + 1):
        await asyncio.sleep(start + number * every_s - loop.time())
        if task.done():
            break
        if killed:
            workers = await asyncio.to_thread(server.workers, GARDEN.name)
        victims = sorted(set(workers) - set(killed))
        if not victims:
            continue
        victim = chooser.choice(victims)
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
    return await task, killed


def read_starts(folder: Path) -> list[str]:
    """Ids of the requests that the application saw start, in order, with repetitions."""
    file = folder / "data" / "starts.log"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def judge_get(tally: Tally, expected: int) -> list[str]:
    """What is wrong with a run of requests that may be repeated: all must be answered 200."""
    faults: list[str] = []
    if tally.statuses != {200: expected} or tally.failures:
        faults.append(f"not {expected} x 200: {tally.summary()}")
    if tally.unannounced_closes:
        faults.append(f"{tally.unannounced_closes} idle connections were closed")
    return faults


def judge_post(tally: Tally, expected: int, starts: list[str], *, unseen: int = 0) -> list[str]:
    """What is wrong with a run of requests that must not be repeated.

    200 and 502 make all; each 502 had started; none started twice; nothing was cut. `unseen` many
    may have been killed between their mark and the application's first line: some microseconds,
    now and then hit.
    """
    faults: list[str] = []
    statuses = tally.statuses
    if set(statuses) - {200, 502} or statuses[200] + statuses[502] != expected or tally.failures:
        faults.append(f"200 and 502 do not make {expected}: {tally.summary()}")
    twice = [i for i, count in Counter(starts).items() if count > 1]
    if twice:
        faults.append(f"{len(twice)} requests started twice: {twice[:3]}")
    begun = set(starts)
    failed = [o.request_id for o in tally.outcomes if o.status == 502]
    strangers = [request_id for request_id in failed if request_id not in begun]
    if len(strangers) > unseen:
        faults.append(f"{len(strangers)} answered 502 but never started: {strangers[:3]}")
    if tally.unannounced_closes:
        faults.append(f"{tally.unannounced_closes} idle connections were closed")
    return faults


def require_workers(server: WasServer, count: int) -> list[int]:
    """The pool's workers, of which there must be so many."""
    workers = server.workers(GARDEN.name)
    if len(workers) != count:
        raise ServerError(f"{len(workers)} workers of {GARDEN.name}, not {count}")
    return workers
