"""How a configuration grows: sites in 100 pools, host names on one port, from 10 to 10,000.

For each size: reading the file in a process of its own, then a server with it. One value of one
site is changed, and the manager's log says when it began to read and when the listener was told.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from harness.home import make_home
from harness.meter import cpu_us, rss_bytes
from harness.server import WasServer, wait_for
from harness.started import started_server
from harness.table import Report

SIZES = (10, 100, 1000, 10_000)
POOLS = 100
LOADS = 3
CHANGES = 7
PORT = 28080
LOAD_BAR_S = 3.0
CHANGE_BAR_MS = 300.0
MEMORY_BAR_BYTES = 400 << 20

LOAD = """
import json, resource, sys, time
from pathlib import Path
from was.config.files import load_server

wall, cpu = time.perf_counter(), time.process_time()
loaded = load_server(Path(sys.argv[1]))
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""
RELOAD = re.compile(r"^(\S+)Z \w+ \S+ reload_(started|completed|failed)", re.MULTILINE)


def run(report: Report, *, sizes: tuple[int, ...] = SIZES) -> None:
    """The curve; the bars are judged at its end."""
    report.title(f"Sites in {POOLS} pools, host names on one port")
    rows: list[list[str]] = []
    load_s = change_ms = 0.0
    memory = 0
    for size in sizes:
        with started_server(partial(_make_home, size)) as server:
            loads = [_load(server.home) for _ in range(LOADS)]
            changes = [_change(server, size, number) for number in range(CHANGES)]
            memory = rss_bytes(server.pid)
        load_s, load_cpu_s = min(loads)
        change_ms = statistics.median(wall for wall, _ in changes)
        change_cpu_ms = statistics.median(cpu for _, cpu in changes)
        rows.append(
            [
                f"{size:,} sites",
                f"{load_s:.3f}",
                f"{load_cpu_s:.3f}",
                f"{change_ms:.0f}",
                f"{change_cpu_ms:.0f}",
                f"{memory / 1e6:.0f}",
            ]
        )
    heads = ["", "load, s", "its CPU", "change, ms", "manager's CPU", "manager, MB"]
    report.table(heads, rows)
    report.bar(f"load in {load_s:.2f} s (under {LOAD_BAR_S:g})", load_s < LOAD_BAR_S)
    report.bar(
        f"one value changed in {change_ms:.0f} ms (median of {CHANGES}; under {CHANGE_BAR_MS:g})",
        change_ms < CHANGE_BAR_MS,
    )
    report.bar(
        f"manager {memory / 1e6:.0f} MB after {CHANGES} changes "
        f"(under {MEMORY_BAR_BYTES / 1e6:.0f})",
        memory < MEMORY_BAR_BYTES,
    )


def _make_home(size: int, home: Path) -> None:
    make_home(home, _text(size, 120))


def _text(size: int, timeout_s: int) -> str:
    """The file; `timeout_s` is the connectionTimeout of the site in its middle."""
    pools = "\n".join(f'      <add name="Pool{n}" />' for n in range(POOLS))
    sites = "\n".join(_site(n, timeout_s if n == size // 2 else 120) for n in range(size))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <system.applicationHost>
    <applicationPools>
{pools}
    </applicationPools>
    <sites>
{sites}
    </sites>
  </system.applicationHost>
</configuration>
"""


def _site(number: int, timeout_s: int) -> str:
    minutes, seconds = divmod(timeout_s, 60)
    return f"""      <site name="Site{number}" id="{number + 1}">
        <application path="/" applicationPool="Pool{number % POOLS}">
          <virtualDirectory path="/" physicalPath="sites/site{number}" />
        </application>
        <bindings>
          <binding protocol="http" bindingInformation="127.0.0.1:{PORT}:site{number}.example" />
        </bindings>
        <limits connectionTimeout="00:{minutes:02}:{seconds:02}" />
      </site>"""


def _load(home: Path) -> tuple[float, float]:
    """(wall, CPU) seconds of a fresh process."""
    file = home / "config" / "applicationHost.config"
    output = subprocess.run(
        [sys.executable, "-c", LOAD, str(file)], capture_output=True, check=True, text=True
    )
    wall, cpu = json.loads(output.stdout)
    return float(wall), float(cpu)


def _change(server: WasServer, size: int, number: int) -> tuple[float, float]:
    """Milliseconds from the beginning of a reload to its end, and the manager's CPU time."""
    file = server.home / "config" / "applicationHost.config"
    begin, cpu = len(server.log_text()), cpu_us(server.pid)
    new = file.with_name("new")
    new.write_text(_text(size, 121 + number))
    new.replace(file)

    def reload() -> list[tuple[str, str]]:
        lines = RELOAD.findall(server.log_text()[begin:])
        return lines if lines and lines[-1][1] != "started" else []

    lines = wait_for("the reload", reload, limit_s=60)
    if lines[-1][1] == "failed":
        raise SystemExit(f"the changed file was refused{server.log_tail()}")
    started, ended = (datetime.datetime.fromisoformat(lines[n][0]) for n in (-2, -1))
    return (ended - started).total_seconds() * 1000, (cpu_us(server.pid) - cpu) / 1000


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, nargs="*", default=SIZES)
    options = parser.parse_args()
    report = Report()
    run(report, sizes=tuple(options.sites))
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
