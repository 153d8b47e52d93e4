"""Pools under test, with their limits of time out of the way, and their events."""

import json
from collections.abc import Callable
from pathlib import Path

from harness.home import Pool

from support.files import replace_text, whole_lines
from support.running import Running
from support.wire import get

# Durations pass this many times faster.
SCALE = 60.0

# Pings and the limits of start and end are other tests' affair: at this scale 90 s are too few.
CALM = {"pingingEnabled": "false", "startupTimeLimit": "01:00:00", "shutdownTimeLimit": "00:20:00"}
# A request may take and wait for longer than a minute.
PATIENT = {"timeLimit": "02:00:00", "queueTimeLimit": "02:00:00"}


def calm_pool(inside: str = "", start: str = "AlwaysRunning", **process_model: str) -> Pool:
    """A pool that does nothing by itself but what the test sets."""
    return Pool(
        "Pool",
        {"startMode": start},
        {
            "processModel": {**CALM, **process_model},
            "failure": {"rapidFailProtection": "false"},
            "requests": PATIENT,
        },
        inside,
    )


def recycling(attributes: str = "", restart: str = "", schedule: str = "") -> str:
    """A `recycling` element; without `restart` nothing recycles periodically."""
    inner = f"<schedule>{schedule}</schedule>" if schedule else ""
    return (
        f'<recycling {attributes}><periodicRestart time="00:00:00" {restart}>{inner}'
        "</periodicRestart></recycling>"
    ).replace('time="00:00:00" time=', "time=")


def read_events(running: Running) -> list[dict[str, object]]:
    """The event log so far."""
    file = running.home / "logs" / "events.jsonl"
    return [json.loads(line) for line in whole_lines(file)]


def event_ids(running: Running) -> list[object]:
    """The ids of the event log so far."""
    return [event["id"] for event in read_events(running)]


def rewrite(running: Running, change: Callable[[str], str]) -> None:
    """Edit the configuration file."""
    file: Path = running.home / "config" / "applicationHost.config"
    text = file.read_text()
    changed = change(text)
    assert changed != text
    replace_text(file, changed)


def pid_of(running: Running, ms: int = 0) -> int:
    """Of the application `starts`: which worker answers a request that takes so long."""
    answer = get(running.port(), f"/?ms={ms}")
    assert answer.status == 200
    return int(answer.text.split()[1])
