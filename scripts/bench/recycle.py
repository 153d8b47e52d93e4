"""Recycles a pool five times under load: nothing but 200, all workers new, and what it cost.

The same load without recycles runs first; the two 99th percentiles are printed side by side.
"""

from __future__ import annotations

import argparse
import asyncio

from harness.killing import GARDEN, judge_get, make_kill_home, require_workers
from harness.load import Load, run_load_async
from harness.server import WasServer
from harness.started import APPS, started_server
from harness.table import Report
from harness.tally import Tally

RECYCLES = 5
P99_GOAL_MS = 10.0


def run(report: Report, *, rate: float = 200.0, duration_s: float = 15.0) -> None:
    """One server, two runs."""
    report.title(f"{RECYCLES} x recycle --wait at {rate:g} requests/s")
    with started_server(lambda home: make_kill_home(home, APPS / "starts.py")) as server:
        load = Load(
            "127.0.0.1",
            server.port("Kill"),
            rate=rate,
            connections=32,
            duration_s=duration_s,
        )
        before = set(require_workers(server, 2))
        quiet = asyncio.run(run_load_async(load))
        busy, codes = asyncio.run(_with_recycles(load, server))
        after = set(require_workers(server, 2))
    rows = [
        [name, str(t.total), *(f"{t.latency_ms(q):.1f}" for q in (0.5, 0.9, 0.99, 1.0))]
        for name, t in (("without recycles", quiet), (f"with {len(codes)} recycles", busy))
    ]
    report.table(["", "requests", "p50 ms", "p90 ms", "p99 ms", "max ms"], rows)
    faults = judge_get(busy, load.total) + judge_get(quiet, load.total)
    report.bar(f"nothing but 200 {'; '.join(faults)}", not faults)
    report.bar(f"{RECYCLES} recycles done, exit codes {codes}", codes == [0] * RECYCLES)
    report.bar(f"all workers are new: {sorted(before)} to {sorted(after)}", not before & after)
    added = busy.latency_ms(0.99) - quiet.latency_ms(0.99)
    report.bar(f"p99 grows by {added:.1f} ms (goal {P99_GOAL_MS:g})", added <= P99_GOAL_MS)


async def _with_recycles(load: Load, server: WasServer) -> tuple[Tally, list[int]]:
    task = asyncio.create_task(run_load_async(load))
    codes: list[int] = []
    for _ in range(RECYCLES):
        await asyncio.sleep(load.duration_s / (RECYCLES + 2))
        done = await asyncio.to_thread(
            server.command, "recycle", "apppool", GARDEN.name, "--wait", limit_s=30
        )
        codes.append(done.returncode)
    return await task, codes


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=200.0)
    options = parser.parse_args()
    report = Report()
    run(report, rate=options.rate, duration_s=options.seconds)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
