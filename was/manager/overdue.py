"""Workers that have a request past its time limit: noted, with their stacks, and replaced.

The worker itself says so when it interrupts the request, after it has written its stacks. One that
cannot, as its interpreter stands still, is reported by the listener a little later: then its stacks
are asked for by a signal, which works even so. What does not end after all is killed when
shutdownTimeLimit is over, as at any replacement.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from was import __version__
from was.config.model import RecycleReason
from was.ipc.listener_control import WorkerOverdue
from was.ipc.messages import request_id_text
from was.log import log
from was.manager.asked_stacks import ask_for_stacks, when_written
from was.manager.deaths import read_findings
from was.manager.dossiers import dossier_name
from was.manager.handle import WorkerHandle

if TYPE_CHECKING:
    from was.manager.events import Entry
    from was.manager.manager import Manager

__all__ = ["OVERDUE", "OverdueWorkers"]

OVERDUE = 2299


class OverdueWorkers:
    """What the manager does about them: one entry in the event log and one dossier a worker."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._open: dict[int, tuple[Entry, WorkerHandle]] = {}

    def told(self, worker_id: int, message: WorkerOverdue, *, by_listener: bool) -> None:
        """A request of this worker has passed its limit; to be told again changes nothing."""
        manager = self._manager
        handle = manager.workers.handles.get(worker_id)
        pool = manager.pool_of(worker_id)
        if handle is None or pool is None:
            return
        requests = pool.settings.requests
        limit_s = requests.idle_time_limit_s if message.is_responding else requests.time_limit_s
        request = request_id_text(message.request_id)
        method, url = message.method[:255], message.url[:2048]  # a worker's words, perhaps
        detail = f"{method} {url} passed its time limit of {limit_s:g} s"
        if not handle.is_overdue:
            handle.is_overdue = True
            log("worker_unhealthy", worker=worker_id, pid=handle.pid, request=request, why=detail)
            fields: dict[str, object] = {
                "app_pool": handle.pool,
                "pid": handle.pid,
                "worker_id": worker_id,
                "detail": detail,
                "limit": "idleTimeLimit" if message.is_responding else "timeLimit",
                "requests": [
                    {
                        "id": request,
                        "verb": method,
                        "url": url,
                        "client": message.client[:255],
                        "attempt": message.attempt,
                        "state": "responding" if message.is_responding else "started",
                    }
                ],
            }
            self._open[worker_id] = manager.server.events.open(OVERDUE, fields), handle
            if by_listener and ask_for_stacks(manager.server, handle):
                when_written(manager.server, handle, partial(self._close, worker_id))
            else:
                self._close(worker_id)
        manager.performer.perform(
            pool,
            pool.recycling.worker_asks(
                worker_id, RecycleReason.ISAPI_UNHEALTHY, manager.now(), detail
            ),
        )

    def finish(self) -> None:
        """The manager ends: close everything as it is."""
        for worker_id in list(self._open):
            self._close(worker_id)

    def _close(self, worker_id: int) -> None:
        found = self._open.pop(worker_id, None)
        if found is None:
            return
        entry, handle = found
        server = self._manager.server
        findings = read_findings(server.home, handle)
        dossier = self._manager.deaths.dossiers.write(
            dossier_name(entry.wall, entry.event_id, worker_id),
            {
                **entry.to_record(),
                "generation": handle.generation,
                "requests_finished": findings.finished,
                "running": findings.rows,
                "stacks": findings.stacks,
                "log": findings.log,
                "version": __version__,
            },
        )
        server.events.close(entry, dossier=dossier)
