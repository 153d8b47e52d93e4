"""All measurements, or those named: throughput, asgi, memory, idle, kill, recycle, pools,
configuration, pipeline, rewriting, hosting.

Exits 1 when a bar was missed. About five minutes in all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import asgi
import configuration
import hosting
import idle
import kill
import memory
import pipeline
import pools
import recycle
import rewriting
import throughput
from harness.table import Report

NAMES = (
    "throughput",
    "asgi",
    "memory",
    "idle",
    "kill",
    "recycle",
    "pools",
    "configuration",
    "pipeline",
    "rewriting",
    "hosting",
)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*", help="which (default: all)")
    parser.add_argument("--venv", type=Path, help="an environment with gunicorn and uvicorn")
    options = parser.parse_args()
    chosen: list[str] = options.name or list(NAMES)
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    report = Report()
    for name in chosen:
        match name:
            case "throughput":
                throughput.run(report, venv=options.venv)
            case "asgi":
                asgi.run(report, venv=options.venv)
            case "memory":
                memory.run(report)
            case "idle":
                idle.run(report)
            case "kill":
                kill.run(report)
            case "hosting":
                hosting.run(report)
            case "configuration":
                configuration.run(report)
            case "pipeline":
                pipeline.run(report)
            case "rewriting":
                rewriting.run(report)
            case "pools":
                pools.run(report)
            case _:
                recycle.run(report)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
