"""What rewrite rules cost a request, in CPU time, without sockets: medians of batches in turn."""

from __future__ import annotations

import statistics

from harness.table import Report
from pipeline import BATCHES, batch, make_server

RULES = 20
LIMIT_US = 20.0

_RULE = '<rule name="{0}"><match url="{1}" />{2}<action type="Rewrite" url="x/{{R:1}}" /></rule>'
_CONDITION = '<conditions><add input="{HTTP_HOST}" pattern="^none$" /></conditions>'


def _section(count: int, pattern: str, conditions: str = "") -> str:
    rules = "".join(_RULE.format(n, pattern.format(n), conditions) for n in range(count))
    return f"<rewrite><rules>{rules}</rules></rewrite>"


def measure() -> dict[str, float]:
    """Microseconds a request that the rules add; the handler answers the same each time."""
    servers = {
        "none": make_server(is_bare=False, passing=0),
        "one rule": make_server(is_bare=False, passing=0, sections=_section(1, "^article{}/(.*)$")),
        "anchored": make_server(
            is_bare=False, passing=0, sections=_section(RULES, "^article{}/([0-9]+)/(.*)$")
        ),
        "anywhere": make_server(
            is_bare=False, passing=0, sections=_section(RULES, "(.*)/article{}/([0-9]+)")
        ),
        "conditions": make_server(
            is_bare=False, passing=0, sections=_section(RULES, "^(.*)$", _CONDITION)
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in servers}
    for server in servers.values():
        batch(server)
    for _ in range(BATCHES):
        for name, server in servers.items():
            times[name].append(batch(server))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {name: value - median["none"] for name, value in median.items() if name != "none"}


def run(report: Report) -> None:
    """Measure and compare with the bar."""
    found = measure()
    report.title("rewriting: CPU µs a request that rules add, in process, medians")
    rows = [
        ["one rule that does not match", f"{found['one rule']:.1f}"],
        [f"{RULES} rules that do not match, anchored", f"{found['anchored']:.1f}"],
        [f"{RULES} rules that do not match, looked for anywhere", f"{found['anywhere']:.1f}"],
        [f"{RULES} rules that match, whose condition fails", f"{found['conditions']:.1f}"],
    ]
    report.table(["", "µs"], rows)
    is_met = found["anchored"] < LIMIT_US
    report.bar(f"{RULES} rules that do not match add less than {LIMIT_US} µs", is_met)
