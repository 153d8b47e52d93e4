"""A server's event log and dossiers, as a test reads them."""

import json
from pathlib import Path
from typing import Any

from harness.server import LIMIT_S, wait_for

from support.files import whole_lines
from support.running import Running


def events(running: Running, event_id: int = 0) -> list[dict[str, Any]]:
    """The events so far, those with one id or all."""
    file = running.home / "logs" / "events.jsonl"
    return [e for e in map(json.loads, whole_lines(file)) if event_id in (0, e["id"])]


def wait_event(running: Running, event_id: int, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """The first event with this id."""
    found = wait_for(f"event {event_id}", lambda: events(running, event_id), limit_s=limit_s)
    return found[0]


def dossier_of(event: dict[str, Any]) -> dict[str, Any]:
    """The dossier that an event names."""
    return json.loads(Path(event["dossier"]).read_text())
