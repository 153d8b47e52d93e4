"""What slow clients cost: memory of listener and worker, and the other clients' time.

One response of 100 MB to a client that takes 10 MB/s for 5 s and then stops for 10 s; one upload
of 100 MB at that pace into a handler that reads slowly; each compared with the same request at full
speed in a fresh server. Then 40 slow downloads at once in a pool of 32 threads and one worker,
while another client asks for something small.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from harness.load import Load, run_load_async
from harness.server import WasServer
from harness.slow import MIB, Pace, PeakMemory, download, upload
from harness.started import always_running, started_server, wsgi_home
from harness.table import Report
from harness.tally import Tally

BODY_MIB = 100
GROWTH_BAR = 16 * MIB
SLOW = Pace(rate=10_000_000, pacing_s=5.0, pause_s=10.0)
FULL_SPEED = Pace()
CLIENTS = 40
CLIENT_MIB = BODY_MIB  # 40 of these are four times maxSpool, 1 GiB a pool by default
# The other client: what it may lose through the slow ones.
PROBE_P99_BAR_MS = 50.0

Request = Callable[[int, Pace], Awaitable[object]]


def run(report: Report) -> None:
    """Both directions, then the crowd."""
    report.title(f"Memory: {BODY_MIB} MiB at 10 MB/s for 5 s, then nothing for 10 s")
    rows: list[list[str]] = []
    growths: list[tuple[str, int]] = []
    for name, request in (("download", _download), ("upload", _upload)):
        base = _peaks(request, FULL_SPEED)
        slow = _peaks(request, SLOW)
        for role in ("listener", "worker"):
            growth = slow[role] - base[role]
            growths.append((f"{name}, {role}", growth))
            rows.append([f"{name}, {role}", *(_mib(b) for b in (base[role], slow[role], growth))])
    report.table(["peak PSS in MiB", "full speed", "slow", "growth"], rows)
    for name, growth in growths:
        report.bar(f"{name}: grows by {_mib(growth)} MiB (less than 16)", growth < GROWTH_BAR)
    _crowd(report)


async def _download(port: int, pace: Pace) -> object:
    received = await download(port, f"/download?mb={BODY_MIB}", pace)
    if received != BODY_MIB * MIB:
        raise SystemExit(f"{received} bytes instead of {BODY_MIB} MiB")
    return received


async def _upload(port: int, pace: Pace) -> object:
    # 6 ms after each 64 KiB: about 10 MB/s
    answer = await upload(port, "/upload?ms=6", BODY_MIB * MIB, pace)
    if int(answer) != BODY_MIB * MIB:
        raise SystemExit(f"the handler read {answer!r} bytes instead of {BODY_MIB} MiB")
    return answer


def _peaks(request: Request, pace: Pace) -> dict[str, int]:
    """Peak memory of listener and worker during one request in a fresh server."""
    with started_server(wsgi_home(always_running("Bulk", 1), "bulk")) as server:
        port = server.port("Bench")
        listener = int(server.status()["listener_pid"])
        worker = server.workers("Bulk")[0]

        async def measure() -> dict[int, int]:
            async with asyncio.timeout(120), PeakMemory([listener, worker]) as memory:
                await request(port, pace)
            return memory.peaks

        peaks = asyncio.run(measure())
        return {"listener": peaks[listener], "worker": peaks[worker]}


def _crowd(report: Report) -> None:
    report.title(f"{CLIENTS} slow downloads of {CLIENT_MIB} MiB; 32 threads, one worker")
    with started_server(wsgi_home(always_running("Bulk", 1), "bulk")) as server:
        alone, beside, received = asyncio.run(_measure_crowd(server))
    rows = [
        [name, str(t.total), *(f"{t.latency_ms(q):.1f}" for q in (0.5, 0.9, 0.99, 1.0))]
        for name, t in (("alone", alone), ("beside the slow ones", beside))
    ]
    report.table(["another client", "requests", "p50 ms", "p90 ms", "p99 ms", "max ms"], rows)
    report.bar("the other client was always answered 200", _is_clean(alone) and _is_clean(beside))
    report.bar(
        f"p99 {beside.latency_ms(0.99):.1f} ms (at most {PROBE_P99_BAR_MS:g})",
        beside.latency_ms(0.99) <= PROBE_P99_BAR_MS,
    )
    whole = sum(count == CLIENT_MIB * MIB for count in received)
    report.bar(f"{whole} of {CLIENTS} slow clients got every byte", whole == CLIENTS)


async def _measure_crowd(server: WasServer) -> tuple[Tally, Tally, list[int]]:
    probe = Load("127.0.0.1", server.port("Bench"), "/hello", rate=50, connections=4, duration_s=5)
    alone = await run_load_async(probe)
    target = f"/download?mb={CLIENT_MIB}"
    crowd = [asyncio.create_task(download(probe.port, target, SLOW)) for _ in range(CLIENTS)]
    try:
        async with asyncio.timeout(120):
            # By then every client has stopped reading, in the middle of its response.
            await asyncio.sleep(SLOW.pacing_s + 2)
            beside = await run_load_async(probe)
            received = await asyncio.gather(*crowd)
    finally:
        for task in crowd:
            task.cancel()
    return alone, beside, received


def _is_clean(tally: Tally) -> bool:
    return tally.statuses == {200: tally.total} and not tally.failures


def _mib(count: int) -> str:
    return f"{count / MIB:.1f}"


def main() -> int:
    """The command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    report = Report()
    run(report)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
