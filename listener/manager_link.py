"""ManagerLink: the listener's road to the manager, and what it tells it.

A listener serves on while there is no manager, looks for one again and again, and tells the next
one what it holds. Its commands go to the service (`obey`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.descriptors import ControlLink, ControlSocket, in_parts
from was.ipc.listener_control import (
    DemandStart,
    HeldEverything,
    HeldSockets,
    HeldWorker,
    InFlight,
    ListenerHello,
    LogTrouble,
    WorkerAttached,
    WorkerDeathSettled,
    WorkerDrained,
    WorkerFaulty,
    WorkerLeftAlone,
    WorkerOverdue,
)
from was.listener.commands import obey
from was.log import log

if TYPE_CHECKING:
    from was.listener.request import ClientRequest
    from was.listener.service import ListenerService

__all__ = ["ManagerLink"]

RECONNECT_S = 0.2


class ManagerLink:
    """The manager, as far as the listener knows it. Workers with ids below 0 are programs."""

    def __init__(self, service: ListenerService, path: str) -> None:
        """`path` is that of the manager's control socket."""
        self._service = service
        self._path = path
        self._control: ControlLink | None = None
        self._lost_at = 0.0
        self._told_trouble = ""

    @property
    def is_there(self) -> bool:
        """Whether there is a manager to tell things to."""
        return self._control is not None

    def connect(self) -> None:
        """Greet the manager. Raises OSError if there is none."""
        service = self._service
        end = ControlSocket.connect(self._path, timeout_s=5.0)
        self._control = ControlLink(service.loop, end, self._on_command, self._lost)
        hello = ListenerHello(os.getpid(), service.epoch, is_draining=service.is_draining)
        self.tell(hello)
        if service.epoch:
            self._tell_what_is_held()

    def tell(self, notice: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message, with duplicates of descriptors; dropped while there is no manager."""
        if self._control is not None:
            self._control.send(codec.encode(notice), descriptors)

    def _tell_what_is_held(self) -> None:
        """A new manager takes us over: what it must know, and the descriptors it lacks."""
        service = self._service
        for part, _ in in_parts(service.listening.held()):
            self.tell(HeldSockets([item for item, _ in part]), [fd for _, fd in part])
        for pool in service.pools.values():
            for worker in pool.workers.values():
                held = HeldWorker(
                    worker.worker_id,
                    pool.settings.name,
                    worker.is_attached,
                    worker.is_activated,
                    worker.is_draining,
                    worker.is_faulty,
                )
                if not worker.is_dead:
                    self.tell(held, [worker.scoreboard.fd])
        service.programs.urls.tell_wanted()
        self.tell(HeldEverything())

    def _on_command(self, content: bytes, descriptors: list[int]) -> None:
        try:
            command = codec.decode_manager_to_listener(content)
        except IllFormedMessageError as error:
            for fd in descriptors:
                os.close(fd)
            log("listener_error", detail=f"from the manager: {error}")
            return
        obey(self._service, command, descriptors)

    def _lost(self) -> None:
        self._control = None
        self._told_trouble = ""
        service = self._service
        if not service.epoch:
            service.end()  # a spare one is its manager's
            return
        self._lost_at = service.time()
        for pool in service.pools.values():
            pool.resume_all()
        service.loop.call_later(RECONNECT_S, self._look)

    def _look(self) -> None:
        """Serve on without a manager for a while; a new one is greeted as soon as it is there.

        One that ends does so too: in an upgrade the new manager keeps the workers that it needs.
        """
        service = self._service
        if service.has_ended:
            return
        try:
            self.connect()
        except OSError:
            limit_s = service.managerless_limit_s
            if limit_s and service.time() - self._lost_at > limit_s:
                service.leaving.begin()
            service.loop.call_later(RECONNECT_S, self._look)

    # ── what pools tell ─────────────────────────────────────────────────────────────────────────

    def log_trouble(self, detail: str) -> None:
        """How it is with the request logs; told when that is another."""
        if self._control is not None and detail != self._told_trouble:
            self._told_trouble = detail
            self.tell(LogTrouble(detail))

    def demand(self, pool: str, *, further: bool) -> None:
        """A request waits for a worker that is not there."""
        self.tell(DemandStart(pool, further))

    def attached(self, worker_id: int) -> None:
        """The worker's channel works both ways."""
        self.tell(WorkerAttached(worker_id))

    def drained(self, worker_id: int) -> None:
        """The worker said Bye."""
        self.tell(WorkerDrained(worker_id))

    def faulty(self, worker_id: int, detail: str) -> None:
        """The worker sent what no worker may."""
        if worker_id < 0:
            self._service.programs.faulty(worker_id, detail)
            return
        self._service.records.count("faulty_workers")
        self.tell(WorkerFaulty(worker_id, detail))

    def overdue(self, worker_id: int, request: ClientRequest, *, is_responding: bool) -> None:
        """The worker does not come to the end of a request past its limit."""
        if worker_id < 0:
            return  # a program's own affair: its client was answered
        self._service.records.count("overdue_workers")
        self.tell(
            WorkerOverdue(
                worker_id,
                request.id,
                request.attempt,
                request.head.method,
                request.head.target[:2048],
                request.client,
                is_responding,
            )
        )

    def left_alone(self, worker_id: int) -> None:
        """It is to finish, and does not end the last it has: requests past their limits."""
        if worker_id >= 0:
            self.tell(WorkerLeftAlone(worker_id))

    def settled(self, worker_id: int, requests: list[InFlight], finished: int) -> None:
        """A death is settled."""
        if worker_id < 0:
            self._service.programs.settled(worker_id)
            return
        self.tell(WorkerDeathSettled(worker_id, requests, finished))
