"""Deaths of workers: what can be found out about each, for the event log and its dossier.

A death is reported by the pool, the exit status comes from the kernel, the requests that it met
come from the listener, in any order. The event's entry stays open until all is there, at most
LIMIT_S: with a listener that died too, what is known then has to do.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from was import __version__
from was.ipc.endpoints import Home
from was.ipc.listener_control import InFlight
from was.ipc.messages import request_id_text
from was.ipc.scoreboard import ScoreboardReader, describe_row
from was.manager import process
from was.manager.asked_stacks import ask_for_stacks
from was.manager.dossiers import DossierFolder, dossier_name, file_tail, lines_of_worker
from was.manager.events import Entry, utc_ms
from was.manager.handle import WorkerHandle
from was.manager.server import Server

__all__ = ["DEATHS", "Deaths", "Findings", "read_findings"]

# Events that a worker does not survive.
DEATHS = frozenset({5009, 5010, 5011, 5012, 5013, 5059, 5127})
# Of those, the ones where it is worth asking what it was doing all the time.
HANGS = frozenset({5010, 5012, 5013})

# Longer than a hung worker is left to write its stacks in.
LIMIT_S = 3.0
REMEMBERED = 100

Facts = dict[str, object]


@dataclass(slots=True)
class Findings:
    """What a worker's files said; read before they go with the handle."""

    stacks: list[str]
    log: list[str]
    rows: list[Facts]
    finished: int


@dataclass(slots=True)
class _Case:
    entry: Entry
    handle: WorkerHandle
    deadline: float
    peak_kb: int
    is_met: bool  # the listener will say what requests it had
    requests: list[Facts] | None
    findings: Findings | None = None


class Deaths:
    """The deaths whose facts are being gathered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cases: dict[int, _Case] = {}
        self._settled: OrderedDict[int, list[Facts]] = OrderedDict()
        self.dossiers = DossierFolder(server.home.logs / "failures")

    def report(
        self, event_id: int, handle: WorkerHandle, fields: Mapping[str, object], *, is_met: bool
    ) -> None:
        """A worker has died or is given up on. `is_met`: the listener will say what it had."""
        if handle.id in self._cases:
            return
        self._cases[handle.id] = _Case(
            entry=self._server.events.open(event_id, fields),
            handle=handle,
            deadline=self._server.clock.monotonic() + LIMIT_S,
            peak_kb=process.peak_memory_kb(handle.pid) if handle.is_alive else 0,
            is_met=is_met and handle.is_announced,
            requests=self._settled.pop(handle.id, None),
        )
        if not handle.is_alive:
            self.ended(handle)
        elif event_id in HANGS:
            ask_for_stacks(self._server, handle)

    def ended(self, handle: WorkerHandle) -> None:
        """The process has gone and the handle is about to be closed, or it is an orphan now."""
        case = self._cases.get(handle.id)
        if case is not None and case.findings is None:
            case.findings = read_findings(self._server.home, handle)
            self._close_if_known(case)

    def settled(self, worker_id: int, requests: Sequence[InFlight]) -> None:
        """The listener has dealt with the requests of a dead worker."""
        facts = [_request_facts(request) for request in requests]
        case = self._cases.get(worker_id)
        if case is not None:
            case.requests = facts
            self._close_if_known(case)
            return
        self._settled[worker_id] = facts
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    def next_deadline(self) -> float | None:
        """When the first case is closed whatever is missing."""
        return min((case.deadline for case in self._cases.values()), default=None)

    def tick(self, now: float) -> None:
        """Close what has waited too long."""
        for case in [c for c in self._cases.values() if now >= c.deadline]:
            self._close(case)

    def finish(self) -> None:
        """The manager ends: close everything as it is."""
        for case in list(self._cases.values()):
            self._close(case)

    def _close_if_known(self, case: _Case) -> None:
        if case.findings is not None and (case.requests is not None or not case.is_met):
            self._close(case)

    def _close(self, case: _Case) -> None:
        handle, entry = case.handle, case.entry
        del self._cases[handle.id]
        findings = case.findings or read_findings(self._server.home, handle)
        requests = findings.rows if case.requests is None else case.requests
        known: Facts = {**_exit_facts(handle, case.peak_kb), "requests": requests}
        dossier = self.dossiers.write(
            dossier_name(entry.wall, entry.event_id, handle.id),
            {
                **entry.to_record(),
                **known,
                "generation": handle.generation,
                "started": utc_ms(handle.started_wall),
                "lived_s": round(max(0.0, entry.wall - handle.started_wall), 3),
                "requests_finished": findings.finished,
                "stacks": findings.stacks,
                "log": findings.log,
                "version": __version__,
            },
        )
        self._server.events.close(entry, **known, dossier=dossier)


def read_findings(home: Home, handle: WorkerHandle) -> Findings:
    """What the worker's files say now."""
    lines = file_tail(home.pool_log(handle.pool), handle.log_begin)
    return Findings(
        stacks=file_tail(home.stacks(handle.id)),
        log=lines_of_worker(lines, handle.pid),
        rows=_read_scoreboard(handle.scoreboard_fd),
        finished=handle.finished(),
    )


def _exit_facts(handle: WorkerHandle, peak_kb: int) -> Facts:
    """exit_code or signal, `how` in words; none of them of a process that lives on."""
    end = handle.exit
    if end is None:
        return {"exit_code": None, "signal": None, "peak_memory_kb": peak_kb or None}
    how = process.describe_end(end)
    is_signal = os.WIFSIGNALED(end.status)
    return {
        "exit_code": None if is_signal else os.waitstatus_to_exitcode(end.status),
        "signal": how if is_signal else None,
        "how": how,
        "peak_memory_kb": max(peak_kb, end.peak_kb) or None,
    }


def _request_facts(request: InFlight) -> Facts:
    return {
        "id": request_id_text(request.id),
        "verb": request.method,
        "url": request.url,
        "client": request.client,
        "attempt": request.attempt,
        "state": request.state,
        "notification": request.notification,
        "module": request.module,
        "fate": request.fate,
        **({"library": request.library} if request.library else {}),
    }


def _read_scoreboard(fd: int) -> list[Facts]:
    """The requests that had begun, for when no listener can name them: no URL is known here."""
    try:
        reader = ScoreboardReader(fd)
        rows, names = reader.read_running(), reader.read_names()
    except (OSError, ValueError):
        return []
    found: list[Facts] = []
    for row in rows:
        state, notification, module = describe_row(row, names)
        if state in ("started", "responding"):
            found.append(
                {
                    "id": request_id_text(row.id),
                    "attempt": row.attempt,
                    "state": state,
                    "notification": notification,
                    "module": module,
                    **({"library": row.note} if row.note else {}),
                }
            )
    return found
