"""Programs that serve URLs of their own through the listener (was.httpapi): the way in.

A program connects at the door, opens a request queue and adds URLs; its queues are brokers like the
pools' (program_queue), its URLs entries of the same routing table (program_urls). When the last
process of a queue has gone the queue goes too.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from was.ipc.descriptors import ControlSocket, listen_control
from was.ipc.door import Door
from was.ipc.program_messages import (
    ERROR_ACCESS_DENIED,
    ERROR_ALREADY_EXISTS,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    Moved,
    OpenQueue,
)
from was.listener import time_limits
from was.listener.program_link import ProgramLink
from was.listener.program_queue import ProgramQueue, RefusedCallError
from was.listener.program_urls import RETURN_S, ProgramUrls
from was.log import log

if TYPE_CHECKING:
    from was.ipc.endpoints import SocketFolder
    from was.ipc.served import UrlReservation
    from was.listener.broker import PoolBroker
    from was.listener.service import ListenerService

__all__ = ["Programs"]

MOST_LINKS = 1024
MOST_LINKS_OF_A_USER = 256
MAX_NAME = 260  # MAX_PATH


class Programs:
    """All programs of this listener."""

    def __init__(self, service: ListenerService) -> None:
        self._service = service
        self.loop = service.loop
        self._door: Door | None = None
        self._door_path = ""
        self._next_number = 0
        self._links: dict[int, ProgramLink] = {}
        self._queues: dict[str, ProgramQueue] = {}
        self._connection_timeout_s = 120.0
        self.urls = ProgramUrls(service, self._links)

    @property
    def epoch(self) -> int:
        """The listener's."""
        return self._service.epoch

    @property
    def queues(self) -> list[ProgramQueue]:
        """Those that are open."""
        return list(self._queues.values())

    @property
    def brokers(self) -> list[PoolBroker]:
        """All whose clocks run."""
        return [self.urls.absent, *(queue.broker for queue in self._queues.values())]

    def expire(self, now: float) -> None:
        """Ten times a second: what has passed its limit ends, what nobody reads is taken back."""
        for broker in self.brokers:
            time_limits.expire(broker, now)
        for queue in self._queues.values():
            queue.take_back_unread(now)

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def open_door(self, folder: SocketFolder) -> None:
        """Let programs in; a door that cannot be made is logged, sites are served all the same."""
        path = str(folder.programs / str(self.epoch))
        new = f"{path}.new"
        try:
            folder.programs.mkdir(mode=0o711, exist_ok=True)
            self._door = Door(self.loop, listen_control(path), self._come_in)
            self._door_path = path
            with suppress(FileNotFoundError):
                os.unlink(new)
            os.symlink(str(self.epoch), new)
            os.replace(new, folder.programs_door)
        except OSError as error:
            log("listener_error", detail=f"door for programs: {error}")
            return
        self.loop.call_later(RETURN_S, self.urls.have_returned)

    def close_door(self) -> None:
        """Another listener takes over, or the server stops: no more programs."""
        if self._door is not None:
            self._door.close()
            self._door = None
            with suppress(OSError):
                os.unlink(self._door_path)
            for link in self._links.values():
                link.tell(Moved())

    def close(self) -> None:
        """The listener leaves."""
        self.close_door()
        for broker in self.brokers:
            broker.close()
        for link in list(self._links.values()):
            link.close()

    def configure(self, reservations: list[UrlReservation], connection_timeout_s: float) -> None:
        """What the configuration says of programs."""
        self._connection_timeout_s = connection_timeout_s
        self.urls.reserve(reservations)

    # ── programs come and go ────────────────────────────────────────────────────────────────────

    def _come_in(self, end: ControlSocket) -> None:
        try:
            uid = end.peer()[1]
            same = sum(link.uid == uid for link in self._links.values())
            if len(self._links) >= MOST_LINKS or same >= MOST_LINKS_OF_A_USER:
                log("program_refused", uid=uid, error="too many connections")
                end.close()
                return
            self._next_number += 1
            link = ProgramLink(self, end, self._next_number)
        except OSError:
            end.close()  # it has gone already
            return
        self._links[link.number] = link

    def link_ended(self, link: ProgramLink) -> None:
        """A connection is no more; one without a queue leaves nothing to settle."""
        self._links.pop(link.number, None)
        self.urls.link_ended(link)

    def settled(self, worker_id: int) -> None:
        """What a process had has been settled; the last one's queue goes."""
        link = self._links.get(-worker_id)
        for queue in self.queues:
            known = queue.ends.links.pop((-worker_id).to_bytes(16, "big"), None)
            if known is not None and queue.is_dead:
                self._dissolve(queue)
        if link is not None:
            link.close()

    def faulty(self, worker_id: int, detail: str) -> None:
        """A program sent what none may: its connection ends."""
        link = self._links.get(-worker_id)
        if link is not None:
            log("program_refused", pid=link.pid, uid=link.uid, error=detail)
            link.close()

    def _dissolve(self, queue: ProgramQueue) -> None:
        if self._queues.get(queue.name) is queue:
            del self._queues[queue.name]
        queue.broker.close()
        self.urls.queue_ended(queue)

    def open_queue(self, link: ProgramLink, call: OpenQueue) -> ProgramQueue:
        """A new queue, or one there is. Raises RefusedCallError."""
        name = call.name or f"(queue {link.number} of pid {link.pid})"
        if len(name) > MAX_NAME or not name.isprintable():
            words = "a queue's name has up to 260 printable letters"
            raise RefusedCallError(ERROR_INVALID_PARAMETER, words)
        known = self._queues.get(name)
        if known is None:
            if call.must_exist:
                words = f"there is no request queue '{name}'"
                raise RefusedCallError(ERROR_FILE_NOT_FOUND, words)
            known = self._queues[name] = ProgramQueue(self._service, name, link.uid)
            known.site.connection_timeout_s = self._connection_timeout_s
            return known
        if link.uid not in self._service.administrators | {known.owner_uid}:
            words = f"request queue '{name}' is another user's"
            raise RefusedCallError(ERROR_ACCESS_DENIED, words)
        if not call.must_exist:
            words = f"there is a request queue '{name}' already"
            raise RefusedCallError(ERROR_ALREADY_EXISTS, words)
        return known
