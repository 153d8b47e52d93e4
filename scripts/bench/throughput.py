"""Requests a second beside the servers a user would pick instead, in one run on one machine.

Ours runs the WSGI hello with two workers, all default modules and request logs on. gunicorn runs
it with two processes of threads, uvicorn the ASGI hello with two processes and no access log. The
rounds take turns, so that a busy moment of the machine meets all three; the median counts.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.meter import children, cpu_us
from harness.started import APPS, always_running, started_server, wsgi_home
from harness.table import Report

GUNICORN_BAR = 2.0
UVICORN_BAR = 0.8
CPU_GOAL_US = 18.0
RIVALS = ("gunicorn", "uvicorn[standard]")
MISSING_WRK = "wrk is missing; on Debian: apt-get install -y wrk"


@dataclass
class Contender:
    """One server under test: where it listens, and its processes by role."""

    name: str
    port: int
    pids: dict[str, list[int]]
    rates: list[float] = field(default_factory=list[float])
    cpu_us: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


def run(report: Report, *, rounds: int = 3, seconds: int = 5, venv: Path | None = None) -> None:
    """Measure all three and judge the ratios."""
    report.title(f"Throughput: wrk -t1 -c64, {rounds} rounds of {seconds} s, median")
    if shutil.which("wrk") is None:
        report.bar(MISSING_WRK, is_met=False)
        return
    with ExitStack() as stack:
        if venv is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="was-bench-venv-"))
            venv = make_venv(Path(folder))
        contenders = [
            stack.enter_context(_ours()),
            stack.enter_context(_gunicorn(venv)),
            stack.enter_context(_uvicorn(venv)),
        ]
        for contender in contenders:
            measure(contender, 1)
            contender.rates.clear()
            contender.cpu_us.clear()
        for _ in range(rounds):
            for contender in contenders:
                measure(contender, seconds)
    _tell(report, contenders)


def _tell(report: Report, contenders: list[Contender]) -> None:
    medians = {c.name: statistics.median(c.rates) for c in contenders}
    ours = medians["was"]
    rows: list[list[str]] = []
    for contender in contenders:
        cpu = {role: statistics.median(us) for role, us in contender.cpu_us.items()}
        rows.append(
            [
                contender.name,
                f"{medians[contender.name]:,.0f}",
                f"{ours / medians[contender.name]:.2f}",
                " + ".join(f"{role} {us:.1f}" for role, us in cpu.items()),
                " ".join(f"{rate:,.0f}" for rate in contender.rates),
            ]
        )
    report.table(["", "requests/s", "was is", "CPU us/request", "rounds"], rows)
    for name, bar in (("gunicorn gthread", GUNICORN_BAR), ("uvicorn", UVICORN_BAR)):
        ratio = ours / medians[name]
        report.bar(f"{ratio:.2f} of {name} (at least {bar:g})", ratio >= bar)
    for role, us in contenders[0].cpu_us.items():
        cost = statistics.median(us)
        text = f"{role}: {cost:.1f} CPU us/request (goal {CPU_GOAL_US:g})"
        report.bar(text, cost <= CPU_GOAL_US, goal_only=True)


def measure(contender: Contender, seconds: int) -> None:
    """One round of wrk."""
    before = {role: _cpu(pids) for role, pids in contender.pids.items()}
    done = subprocess.run(
        ["wrk", "-t1", "-c64", f"-d{seconds}s", f"http://127.0.0.1:{contender.port}/"],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    ).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise SystemExit(f"{contender.name} did not answer every request:\n{done}")
    found = re.search(r"(\d+) requests in", done)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    if found is None or rate is None:
        raise SystemExit(f"wrk said:\n{done}")
    contender.rates.append(float(rate[1]))
    for role, pids in contender.pids.items():
        used = (_cpu(pids) - before[role]) / int(found[1])
        contender.cpu_us.setdefault(role, []).append(used)


def _cpu(pids: list[int]) -> float:
    return sum(cpu_us(pid) for pid in pids)


@contextmanager
def _ours() -> Generator[Contender, None, None]:
    with started_server(wsgi_home(always_running("Bench", 2), "hello")) as server:
        status = server.status()
        pids = {"listener": [int(status["listener_pid"])], "workers": server.workers("Bench")}
        yield Contender("was", server.port("Bench"), pids)


@contextmanager
def _gunicorn(venv: Path) -> Generator[Contender, None, None]:
    arguments = ["-k", "gthread", "-w", "2", "--threads", "32", "--log-level", "error"]
    with rival(
        "gunicorn gthread", [str(venv / "bin" / "gunicorn"), *arguments], "-b", "hello:application"
    ) as it:
        yield it


@contextmanager
def _uvicorn(venv: Path) -> Generator[Contender, None, None]:
    arguments = ["--workers", "2", "--no-access-log", "--log-level", "error"]
    arguments += ["--loop", "uvloop", "--http", "httptools"]
    with rival(
        "uvicorn", [str(venv / "bin" / "uvicorn"), *arguments], "--port", "hello:asgi"
    ) as it:
        yield it


@contextmanager
def rival(
    name: str, command: list[str], address_option: str, target: str
) -> Generator[Contender, None, None]:
    """Another server, on a port of its own."""
    port = _free_port()
    address = f"127.0.0.1:{port}" if address_option == "-b" else str(port)
    process = subprocess.Popen([*command, address_option, address, target], cwd=APPS)
    try:
        _wait_for_port(process, name, port)
        time.sleep(1.0)  # its other worker may still be importing
        yield Contender(name, port, {"workers": [process.pid, *children(process.pid)]})
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            for pid in [*children(process.pid), process.pid]:
                os.kill(pid, signal.SIGKILL)
            process.wait(5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], name: str, port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{name} did not start")


def make_venv(folder: Path) -> Path:
    """A throw-away environment with the servers to compare with."""
    venv = folder / "venv"
    print(f"making a throw-away environment with {', '.join(RIVALS)} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
    subprocess.run(
        [str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *RIVALS],
        check=True,
        timeout=300,
    )
    return venv


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--venv", type=Path, help="an environment with gunicorn and uvicorn")
    options = parser.parse_args()
    report = Report()
    run(report, rounds=options.rounds, seconds=options.seconds, venv=options.venv)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
