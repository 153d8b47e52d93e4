"""Many pools with an application each: memory before the first request, and how they wake.

All pools are OnDemand. Then single pools are asked for the first time, and workers that have served
are killed: how long until another is ready.
"""

from __future__ import annotations

import argparse
import calendar
import http.client
import os
import signal
import statistics
import time
from importlib.util import find_spec
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
from harness.meter import pss_bytes
from harness.server import WasServer, wait_for
from harness.started import APPS, started_server
from harness.table import Report

POOLS = 200
PSS_BAR_BYTES = 150 << 20
FIRST_BAR_MS = 40.0
FLASK_BAR_MS = 250.0
AGAIN_BAR_MS = 25.0
SAMPLES = 20
FLASK_SAMPLES = 5


def run(report: Report, *, count: int = POOLS) -> None:
    """One server with `count` pools and a few with Flask."""
    report.title(f"{count} pools, one application each, OnDemand")
    has_flask = _has_flask()
    names = [f"P{number}" for number in range(count)]
    flask_names = [f"F{number}" for number in range(FLASK_SAMPLES if has_flask else 0)]
    with started_server(lambda home: _make_home(home, names, flask_names)) as server:
        status = server.status()
        who = ("manager", "listener", "template")
        pss = {name: pss_bytes(int(status[f"{name}_pid"])) for name in who}
        pss["spare worker"] = _spare_pss(server)
        total = sum(pss.values())
        cells = [*(f"{pss[name] / 1e6:,.1f}" for name in pss), f"{total / 1e6:,.1f}"]
        report.table(["PSS, MB", *pss, "all"], [[f"{count} pools", *cells]])
        report.bar(
            f"{total / 1e6:,.1f} MB (at most {PSS_BAR_BYTES / 1e6:,.0f})", total <= PSS_BAR_BYTES
        )
        ports = _ports(server)
        first = [_ask_ms(ports[name]) for name in names[:SAMPLES]]
        _judge(report, "first request to a sleeping pool", first, FIRST_BAR_MS)
        if has_flask:
            flask = [_ask_ms(ports[name]) for name in flask_names]
            _judge(report, "the same with Flask", flask, FLASK_BAR_MS)
        else:
            report.bar("Flask is not installed here: not measured", False)
        again = [_kill_and_time_ms(server, name, ports[name]) for name in names[:SAMPLES]]
        _judge(report, "a killed worker that had served is ready again", again, AGAIN_BAR_MS)


def _spare_pss(server: WasServer) -> int:
    """Of the process that is to be the next worker."""
    found = [p for p, title in server.processes().items() if "was: spare worker" in title]
    return sum(pss_bytes(pid) for pid in found)


def _make_home(home: Path, names: list[str], flask_names: list[str]) -> None:
    place_application(home / "sites" / "hello", APPS / "hello.py")
    place_application(home / "sites" / "flask_hello", APPS / "flask_hello.py")
    steady = {"failure": {"rapidFailProtection": "false"}}
    pools = [Pool(name, {}, steady) for name in (*names, *flask_names)]
    sites = [_site(home, name, "hello:application") for name in names]
    sites += [_site(home, name, "flask_hello:app") for name in flask_names]
    make_home(home, application_host_config(pools, sites))


def _site(home: Path, name: str, processor: str) -> Site:
    folder = home / "sites" / processor.partition(":")[0]
    return Site(name, (Application("/", folder, name, (wsgi_handler(processor),)),))


def _ports(server: WasServer) -> dict[str, int]:
    rows = server.rows("sites")
    return {row["name"]: int(str(row["bindings"]).split(":")[1]) for row in rows}


def _ask_ms(port: int) -> float:
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"not 200 but {answer.status}")
    return (time.perf_counter() - start) * 1000


def _kill_and_time_ms(server: WasServer, pool: str, port: int) -> float:
    """From the signal to the manager's line that the next worker is ready, by its own clock."""
    _ask_ms(port)
    (pid,) = server.workers(pool)
    at = len(server.log_text())
    killed = time.time()
    os.kill(pid, signal.SIGKILL)

    def line() -> str:
        new = server.log_text()[at:].splitlines()
        return next((x for x in new if "worker_ready" in x and f"app_pool={pool} " in x), "")

    found = wait_for("the next worker", line, limit_s=10)
    ready = time.strptime(found[:19], "%Y-%m-%dT%H:%M:%S")
    return (_epoch(ready) + float(f"0.{found[20:23]}") - killed) * 1000


def _epoch(moment: time.struct_time) -> float:
    return float(calendar.timegm(moment))


def _judge(report: Report, what: str, times_ms: list[float], bar_ms: float) -> None:
    median = statistics.median(times_ms)
    rest = f"{min(times_ms):.1f} to {max(times_ms):.1f}, {len(times_ms)} times"
    report.bar(f"{what}: median {median:.1f} ms ({rest}; under {bar_ms:g})", median < bar_ms)


def _has_flask() -> bool:
    return find_spec("flask") is not None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=POOLS)
    options = parser.parse_args()
    report = Report()
    run(report, count=options.pools)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
