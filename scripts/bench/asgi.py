"""ASGI beside WSGI, and a WebSocket echo beside uvicorn's, in one run on one machine.

Both hellos run in our server with two workers, request logs on. The echo has 64 connections, each
of which waits for its message to come back before it sends the next; uvicorn serves it with the
websockets library and two processes. The rounds take turns, the median counts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness import echo_client
from harness.started import always_running, started_server, wsgi_home
from harness.table import Report
from throughput import Contender, make_venv, measure, rival

HELLO_BAR = 0.8
ECHO_BAR = 0.5
CONNECTIONS = 64


def run(report: Report, *, rounds: int = 3, seconds: int = 4, venv: Path | None = None) -> None:
    """Measure and judge both ratios."""
    with ExitStack() as stack:
        if venv is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="was-bench-venv-"))
            venv = make_venv(Path(folder))
        _hello(report, rounds, seconds)
        _echo(report, rounds, seconds, venv)


def _hello(report: Report, rounds: int, seconds: int) -> None:
    report.title(f"ASGI and WSGI hello: wrk -t1 -c64, {rounds} rounds of {seconds} s, median")
    with ExitStack() as stack:
        pair = [
            stack.enter_context(_ours("WSGI", "hello", "hello:application")),
            stack.enter_context(_ours("ASGI", "hello", "hello:asgi")),
        ]
        for contender in pair:
            measure(contender, 1)
            contender.rates.clear()
            contender.cpu_us.clear()
        for _ in range(rounds):
            for contender in pair:
                measure(contender, seconds)
    rows = [
        [
            contender.name,
            f"{statistics.median(contender.rates):,.0f}",
            " + ".join(
                f"{role} {statistics.median(us):.1f}" for role, us in contender.cpu_us.items()
            ),
        ]
        for contender in pair
    ]
    report.table(["", "requests/s", "CPU us/request"], rows)
    ratio = statistics.median(pair[1].rates) / statistics.median(pair[0].rates)
    report.bar(f"ASGI {ratio:.2f} of WSGI (at least {HELLO_BAR:g})", ratio >= HELLO_BAR)


def _echo(report: Report, rounds: int, seconds: int, venv: Path) -> None:
    report.title(f"WebSocket echo: {CONNECTIONS} connections, {rounds} rounds of {seconds} s")
    command = [str(venv / "bin" / "uvicorn"), "--workers", "2", "--no-access-log"]
    command += ["--log-level", "error", "--loop", "uvloop", "--ws", "websockets"]
    command += ["--ws-ping-interval", "0"]
    with ExitStack() as stack:
        pair = [
            stack.enter_context(_ours("was", "echo", "echo:asgi")),
            stack.enter_context(rival("uvicorn", command, "--port", "echo:asgi")),
        ]
        for number in range(rounds + 1):
            for contender in pair:
                rate = _echo_rate(contender.port, seconds if number else 1)
                if number:
                    contender.rates.append(rate)
    report.table(
        ["", "messages/s", "rounds"],
        [
            [
                c.name,
                f"{statistics.median(c.rates):,.0f}",
                " ".join(f"{rate:,.0f}" for rate in c.rates),
            ]
            for c in pair
        ],
    )
    ratio = statistics.median(pair[0].rates) / statistics.median(pair[1].rates)
    report.bar(f"{ratio:.2f} of uvicorn (at least {ECHO_BAR:g})", ratio >= ECHO_BAR)


def _echo_rate(port: int, seconds: int) -> float:
    done = subprocess.run(
        [sys.executable, echo_client.__file__, str(port), str(CONNECTIONS), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    )
    return float(done.stdout)


@contextmanager
def _ours(name: str, application: str, processor: str) -> Generator[Contender, None, None]:
    home = wsgi_home(always_running("Bench", 2), application, processor)
    with started_server(home) as server:
        status = server.status()
        pids = {"listener": [int(status["listener_pid"])], "workers": server.workers("Bench")}
        yield Contender(name, server.port("Bench"), pids)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--venv", type=Path, help="an environment with uvicorn[standard]")
    options = parser.parse_args()
    report = Report()
    run(report, rounds=options.rounds, seconds=options.seconds, venv=options.venv)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
