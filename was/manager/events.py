"""The event log: what administrators of IIS find in the system log, under the same ids.

logs/events.jsonl is for programs (one flat object a line), logs/events.log for people. Both are
written with one O_APPEND write a line; a full disk loses a line and nothing else.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

__all__ = ["EVENTS", "EventLog"]

# id -> (level, text); {fields} are filled in, those that are missing stay empty.
EVENTS: dict[int, tuple[str, str]] = {
    5002: ("error", "Application pool '{app_pool}' was disabled after a series of failures."),
    5009: ("warning", "A worker of application pool '{app_pool}', pid {pid}, ended: {how}."),
    5010: ("warning", "Worker {pid} of application pool '{app_pool}' did not answer a ping."),
    5011: ("warning", "Worker {pid} of application pool '{app_pool}' broke its connection."),
    5012: ("warning", "Worker {pid} of application pool '{app_pool}' did not start in time."),
    5013: ("warning", "Worker {pid} of application pool '{app_pool}' did not stop in time."),
    5022: ("error", "A worker of application pool '{app_pool}' could not start: {detail}"),
    5057: ("warning", "Application pool '{app_pool}' has an identity that cannot be used."),
    5059: ("error", "A worker of application pool '{app_pool}' failed to start: {detail}"),
    5074: ("information", "Worker {pid} of '{app_pool}' is recycled: its time is up."),
    5075: ("information", "Worker {pid} of '{app_pool}' is recycled: request limit reached."),
    5076: ("information", "Worker {pid} of '{app_pool}' is recycled: scheduled."),
    5077: ("information", "Worker {pid} of '{app_pool}' is recycled: virtual memory limit."),
    5078: (
        "information",
        "Worker {pid} of '{app_pool}' is recycled: it reported itself unhealthy.",
    ),
    5079: ("information", "The workers of '{app_pool}' are recycled: asked for."),
    5080: ("information", "The workers of '{app_pool}' are recycled: the configuration changed."),
    5093: ("warning", "Recycling of '{app_pool}' failed; worker {pid} goes on."),
    5117: ("information", "Worker {pid} of '{app_pool}' is recycled: private memory limit."),
    5127: ("warning", "Worker {pid} of '{app_pool}' is no longer trusted: {detail}"),
    5186: ("information", "Worker {pid} of '{app_pool}' was shut down for inactivity."),
    5189: ("error", "The configuration file of '{app_pool}' could not be written: {detail}"),
}


class _Blanks(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return ""


class EventLog:
    """Writes both files."""

    def __init__(self, logs: Path) -> None:
        self._json = logs / "events.jsonl"
        self._text = logs / "events.log"

    def report(self, event_id: int, **fields: object) -> str:
        """Write one event; its text."""
        level, form = EVENTS[event_id]
        text = form.format_map(_Blanks(fields))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = {"time": now, "id": event_id, "level": level, **fields, "text": text}
        _append(self._json, json.dumps(entry, default=str))
        _append(self._text, f"{now} {level} {event_id} {text}")
        return text


def _append(path: Path, line: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
        finally:
            os.close(fd)
    except OSError:
        pass
