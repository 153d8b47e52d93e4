"""The event log: what administrators of IIS find in the system log, under the same ids.

logs/events.jsonl is for programs (one object a line), logs/events.log for people. The lines stand
in the order in which things happened: an entry whose facts are still being found out (a death)
holds up those after it, and whoever opened it closes it within a second or two. A full disk or a
folder that may not be written to costs lines, which are counted, and nothing else.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from was.log import log

__all__ = ["EVENTS", "REASONS", "Entry", "EventLog", "event_text", "text_line", "utc_ms"]

# id -> (level, text); {fields} are filled in, those that are missing stay empty.
EVENTS: dict[int, tuple[str, str]] = {
    2299: ("warning", "Worker {pid} of '{app_pool}' is replaced: {detail}"),
    5002: ("error", "Application pool '{app_pool}' was disabled after a series of failures."),
    5009: ("warning", "A worker of application pool '{app_pool}', pid {pid}, ended: {how}."),
    5010: ("warning", "Worker {pid} of application pool '{app_pool}' did not answer a ping."),
    5011: ("warning", "Worker {pid} of application pool '{app_pool}' broke its connection."),
    5012: ("warning", "Worker {pid} of application pool '{app_pool}' did not start in time."),
    5013: ("warning", "Worker {pid} of application pool '{app_pool}' did not stop in time."),
    5015: ("error", "Worker {pid} of '{app_pool}' was orphaned; its action cannot run: {detail}"),
    5021: (
        "warning",
        "The identity of application pool '{app_pool}' is invalid: {detail}. "
        "Until that is put right, it can start no worker.",
    ),
    5022: ("error", "A worker of application pool '{app_pool}' could not start: {detail}"),
    5025: (
        "warning",
        "Application pool '{app_pool}' has used up the processor time it may use: {action}.",
    ),
    5057: ("warning", "Application pool '{app_pool}' is disabled: its identity is invalid."),
    5058: ("warning", "Worker {pid} of '{app_pool}' was not bound to processors: {detail}"),
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
    5081: (
        "information",
        "The workers of '{app_pool}' are recycled: the configuration can be read again.",
    ),
    5093: ("warning", "Recycling of '{app_pool}' failed; worker {pid} goes on."),
    5117: ("information", "Worker {pid} of '{app_pool}' is recycled: private memory limit."),
    5127: ("warning", "Worker {pid} of '{app_pool}' is no longer trusted: {detail}"),
    5172: ("error", "The configuration cannot be used; the last good one stays: {detail}"),
    5186: ("information", "Worker {pid} of '{app_pool}' was shut down for inactivity."),
    5189: ("error", "The configuration file of '{app_pool}' could not be written: {detail}"),
    5192: (
        "warning",
        "Idle timeouts are shortened: {used_percent} % of the memory is in use, and "
        "dynamicIdleThreshold is {limit} %.",
    ),
    5193: (
        "warning",
        "Idle timeouts are much shortened: {used_percent} % of the memory is in use, and "
        "dynamicIdleThreshold is {limit} %.",
    ),
    5194: ("information", "Idle timeouts are as configured again."),
    5195: (
        "information",
        "Worker {pid} of '{app_pool}' was shut down for inactivity, by a shortened idle timeout.",
    ),
    5196: (
        "warning",
        "A worker of application pool '{app_pool}' was asked for and not started: the machine has "
        "as many as demandStartThreshold allows.",
    ),
    # HTTP.SYS's own: it serves on without its logs.
    15000: (
        "warning",
        "The log of application pool '{app_pool}' cannot be opened; its workers serve without: "
        "{detail}",
    ),
    15002: ("warning", "Requests are served and not logged: {detail}"),
}

# id -> `reason`, for programs; a recycling's is IIS's own name of it.
REASONS: dict[int, str] = {
    2299: "request time limit",
    5002: "rapid-fail protection",
    5009: "ended unexpectedly",
    5010: "ping missed",
    5011: "connection broken",
    5012: "start-up time limit",
    5013: "shutdown time limit",
    5015: "orphan action failed",
    5021: "invalid identity",
    5022: "could not be created",
    5025: "CPU limit",
    5057: "invalid identity",
    5058: "processor affinity",
    5059: "failed to start",
    5074: "Time",
    5075: "Requests",
    5076: "Schedule",
    5077: "Memory",
    5078: "IsapiUnhealthy",
    5079: "OnDemand",
    5080: "ConfigChange",
    5081: "configuration recovered",
    5093: "recycling failed",
    5117: "PrivateMemory",
    5127: "ill-formed data",
    5172: "configuration error",
    5186: "idle timeout",
    5189: "configuration not written",
    5192: "memory pressure",
    5193: "memory pressure",
    5194: "memory pressure over",
    5195: "shortened idle timeout",
    5196: "demandStartThreshold",
    15000: "log not opened",
    15002: "log not written",
}


class _Blanks(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return ""


def event_text(event_id: int, fields: Mapping[str, object]) -> str:
    """An event for people."""
    return EVENTS[event_id][1].format_map(_Blanks(fields))


class Entry:
    """One line to be: open until its facts are known."""

    def __init__(self, event_id: int, fields: dict[str, object]) -> None:
        self.event_id = event_id
        self.wall = time.time()
        self.fields = fields
        self.is_open = True

    def to_record(self) -> dict[str, object]:
        """The object of events.jsonl."""
        fields = {"reason": REASONS.get(self.event_id, ""), **self.fields}
        return {
            "time": utc_ms(self.wall),
            "id": self.event_id,
            "level": EVENTS[self.event_id][0],
            **fields,
            "text": event_text(self.event_id, fields),
        }


class EventLog:
    """Writes both files."""

    def __init__(self, logs: Path) -> None:
        self._files = (_LineFile(logs / "events.jsonl"), _LineFile(logs / "events.log"))
        self._entries: deque[Entry] = deque()
        self.dropped = 0  # entries that one file or both have not got
        self.is_failing = False  # the last one was not written

    def report(self, event_id: int, **fields: object) -> str:
        """Write one event; its text."""
        entry = self.open(event_id, fields)
        self.close(entry)
        return str(entry.to_record()["text"])

    def open(self, event_id: int, fields: Mapping[str, object]) -> Entry:
        """An event that happened now and of which more is to be learnt."""
        entry = Entry(event_id, dict(fields))
        self._entries.append(entry)
        return entry

    def close(self, entry: Entry, **fields: object) -> None:
        """All there is to know about it."""
        entry.fields |= fields
        entry.is_open = False
        while self._entries and not self._entries[0].is_open:
            self._write(self._entries.popleft())

    def _write(self, entry: Entry) -> None:
        record = entry.to_record()
        json_file, text_file = self._files
        written = json_file.append(json.dumps(record, default=str))
        written = text_file.append(text_line(record)) and written
        self.is_failing = not written
        if not written:
            self.dropped += 1
            if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8 …: the log stays readable
                log("log_dropped", file=str(text_file.path), entries=self.dropped)


def text_line(record: Mapping[str, object]) -> str:
    """The line for people: time, level, id, text, and what else is known about a death."""
    words = [str(record["time"]), str(record["level"]), str(record["id"]), str(record["text"])]
    details: list[str] = []
    if record.get("how") and f"{record['how']}" not in str(record["text"]):
        details.append(f"ended: {record['how']}")
    peak = record.get("peak_memory_kb")
    if isinstance(peak, int):
        details.append(f"peak memory {peak / 1024:.1f} MB")
    requests = record.get("requests")
    if isinstance(requests, list) and requests:
        details.append("in flight: " + ", ".join(_request_text(r) for r in requests))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if record.get("dossier"):
        details.append(f"dossier {record['dossier']}")
    if details:
        words.append(f"({'; '.join(details)})")
    line = " ".join(words)
    # What applications and clients have put in must not forge a line.
    return line if line.isprintable() else line.encode("unicode_escape").decode("ascii")


def _request_text(request: Mapping[str, object]) -> str:
    where = [str(request[key]) for key in ("notification", "module") if request.get(key)]
    what = f"{request.get('verb') or '?'} {request.get('url') or '?'}"
    return f"{what} [{' '.join(where)}]" if where else what


def utc_ms(wall: float) -> str:
    """ISO 8601 with milliseconds."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall))
    return f"{stamp}.{int(wall % 1 * 1000):03d}Z"


class _LineFile:
    """A file that gets whole lines; opened for each, so that it may be moved away at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_torn = False  # the last line got in only partly

    def append(self, line: str) -> bool:
        """Write one line; False when it, or its end, could not be written."""
        raw = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._is_torn:
            raw = b"\n" + raw
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError:
            return False
        try:
            written = os.write(fd, raw)
        except OSError:
            return False
        finally:
            os.close(fd)
        self._is_torn = written < len(raw)
        return not self._is_torn
