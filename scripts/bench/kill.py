"""Kills workers under load and counts each request's fate.

Two workers, 200 requests a second over 32 keep-alive connections, one worker chosen at random
killed every second, with each protocol engine. GET: every request is answered 200. POST: 200 and
502 make all, every 502 had started, none started twice, nothing is reset or cut.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path

from harness.killing import (
    GARDEN,
    judge_get,
    judge_post,
    make_kill_home,
    read_starts,
    require_workers,
    run_with_kills,
)
from harness.load import Load
from harness.started import APPS, started_server
from harness.table import Report

ENGINES = ("h11", "llhttp")


def run(report: Report, *, duration_s: float = 20.0, rate: float = 200.0, seed: int = 1) -> None:
    """Both methods with both engines."""
    report.title(f"Workers killed every second for {duration_s:g} s at {rate:g} requests/s")
    for engine in ENGINES:
        for method in ("GET", "POST"):
            _run_one(report, engine, method, duration_s, rate, random.Random(seed))


def _run_one(
    report: Report, engine: str, method: str, duration_s: float, rate: float, chooser: random.Random
) -> None:
    folder = Path()

    def prepare(home: Path) -> None:
        nonlocal folder
        folder = make_kill_home(home, APPS / "starts.py")

    with started_server(prepare, engine=engine) as server:
        require_workers(server, 2)
        load = Load(
            "127.0.0.1",
            server.port("Kill"),
            method=method,
            body=(lambda n: f"number={n}".encode()) if method == "POST" else None,
            rate=rate,
            connections=32,
            duration_s=duration_s,
        )
        tally, killed = asyncio.run(run_with_kills(load, server, every_s=1.0, chooser=chooser))
        starts = read_starts(folder)
        report.line(f"{engine} {method}: {tally.summary()}; {len(killed)} of {GARDEN.name} killed")
        if method == "GET":
            faults = judge_get(tally, load.total)
        else:
            faults = judge_post(tally, load.total, starts)
        enough = len(killed) >= round(duration_s) - 2
        report.bar(f"{engine} {method}: every fate as promised {'; '.join(faults)}", not faults)
        report.bar(f"{engine} {method}: {len(killed)} kills in {duration_s:g} s", enough)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=1, help="which worker is killed when")
    options = parser.parse_args()
    report = Report()
    run(report, duration_s=options.seconds, rate=options.rate, seed=options.seed)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
