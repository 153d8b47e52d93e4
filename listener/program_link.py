"""ProgramLink: one connection of a program that serves URLs (was.httpapi).

It has opened one queue, or none: then its URLs are answered 503, as those of a URL group that is
bound to no queue. The kernel says who it is. Whatever it says wrongly ends it, and only it.
"""

from __future__ import annotations

import array
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.channel import MAX_MESSAGE_BYTES
from was.ipc.descriptors import ControlLink, ControlSocket
from was.ipc.program_messages import (
    BATCH,
    CALL,
    MOST_RECEIVES,
    AddUrl,
    Call,
    Notice,
    OpenQueue,
    QueueOpened,
    Receive,
    RemoveUrl,
    Replied,
    SetQueue,
    ShutDownQueue,
)
from was.ipc.scoreboard import make_scoreboard
from was.listener import worker_deaths
from was.listener.incarnation import Incarnation
from was.listener.program_queue import RefusedCallError
from was.log import log

if TYPE_CHECKING:
    from was.listener.program_queue import ProgramQueue
    from was.listener.programs import Programs

__all__ = ["ProgramLink"]

SO_PEERGROUPS = 59
MOST_GROUPS = 256  # who is in more is in none, as far as reservations go


class ProgramLink:
    """One connection."""

    def __init__(self, programs: Programs, end: ControlSocket, number: int) -> None:
        """Raises OSError when the peer has gone already."""
        self.number = number
        self.pid, self.uid, gid = end.peer()
        self.groups = frozenset([gid, *_groups_of(end.sock)])
        self.queue: ProgramQueue | None = None
        self.worker: Incarnation | None = None
        self.is_silent = False  # it does not read what it is sent: it gets nothing until it does
        self.gives_back = False
        self._spare_slots: list[int] = []
        self._programs = programs
        self._pidfd = os.pidfd_open(self.pid)
        self._link = ControlLink(
            programs.loop, end, self._on_message, self._on_end, MAX_MESSAGE_BYTES
        )

    @property
    def identity(self) -> bytes:
        """What the broker knows it by."""
        return self.number.to_bytes(16, "big")

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self._link.is_closed

    # ── out ─────────────────────────────────────────────────────────────────────────────────────

    def send_batch(self, batch: bytes) -> bool:
        """Send a batch of the request road; False, and nothing sent, when it does not read."""
        if self._link.is_behind:
            return False
        self._link.send(BATCH + batch)
        return True

    def tell(self, notice: Notice, descriptors: tuple[int, ...] = ()) -> None:
        """Say something about the queue."""
        self._link.send(CALL + codec.encode(notice), descriptors)

    def read(self) -> None:
        """Hear what it has said, without waiting for the loop."""
        self._link.read()

    def close(self) -> None:
        """End the connection; what it had is settled."""
        if not self._link.is_closed:
            self._link.close()
            self._programs.loop.call_soon(self._on_end)

    # ── in ──────────────────────────────────────────────────────────────────────────────────────

    def _on_message(self, content: bytes, descriptors: list[int]) -> None:
        if self.is_silent and self.queue is not None and self.worker is not None:
            self.is_silent = False
            self.queue.broker.activate(self.worker.worker_id, [])
        try:
            if content[:1] == BATCH:
                self._hear(content[1:], descriptors)
                return
            for fd in descriptors:
                os.close(fd)
            if content[:1] != CALL:
                raise IllFormedMessageError(f"a message of kind {content[:1]!r}")  # noqa: TRY301
            self._obey(codec.decode_call(content[1:]))
        except IllFormedMessageError as error:
            log("program_refused", pid=self.pid, uid=self.uid, error=error)
            self.close()

    def _hear(self, batch: bytes, descriptors: list[int]) -> None:
        queue = self.queue
        if queue is None:
            for fd in descriptors:
                os.close(fd)
            raise IllFormedMessageError("answers of a program that has no queue")
        ends = queue.ends
        ends.arrived.extend(descriptors)
        ends.is_short = self._link.is_short
        try:
            queue.broker.hearing.on_message(self.identity, batch, self.number)
        finally:
            ends.drop_arrived()
        queue.broker.turn()

    def _obey(self, call: Call) -> None:
        if isinstance(call, Receive):
            self._receive(call.count)
            return
        try:
            self._do(call)
        except RefusedCallError as error:
            self.tell(Replied(call.call, error.error, str(error)))

    def _do(self, call: OpenQueue | SetQueue | AddUrl | RemoveUrl | ShutDownQueue) -> None:
        """What a call asks for; each ends with a message that has its number."""
        match call:
            case OpenQueue():
                self._open(call)
            case AddUrl(number, url, context):
                self._programs.urls.add(self, number, url, context)
            case RemoveUrl(number, url):
                self._programs.urls.remove(self, url)
                self.tell(Replied(number))
            case SetQueue(number):
                if self.queue is None:
                    raise IllFormedMessageError("properties of no queue")
                self.queue.set(call)
                self.tell(Replied(number))
            case ShutDownQueue(number):
                if self.worker is not None and self.queue is not None:
                    self.worker.is_draining = True
                    self.queue.broker.take_from_dispatch(self.worker)
                self.tell(Replied(number))

    def _receive(self, count: int) -> None:
        worker, queue = self.worker, self.queue
        if worker is None or queue is None or not 0 < count <= len(self._spare_slots):
            raise IllFormedMessageError(f"{count} receives")
        for _ in range(count):
            worker.free_slots.append(self._spare_slots.pop())
        queue.broker.turn()

    def _open(self, call: OpenQueue) -> None:
        if self.queue is not None:
            raise IllFormedMessageError("a second queue by one connection")
        queue = self._programs.open_queue(self, call)
        is_new = queue.is_dead
        scoreboard = make_scoreboard(MOST_RECEIVES)
        worker = Incarnation(
            -self.number, self.pid, self.identity, MOST_RECEIVES, self._pidfd, scoreboard
        )
        self._pidfd = -1
        self._spare_slots, worker.free_slots = worker.free_slots, []
        worker.ended_slots = self._spare_slots
        worker.source = self.number
        worker.is_attached = True
        self.queue, self.worker = queue, worker
        self.gives_back = call.gives_back
        queue.ends.links[self.identity] = self
        queue.broker.add_worker(worker)
        self.tell(QueueOpened(call.call, self._programs.epoch, is_new), (scoreboard,))
        queue.broker.activate(worker.worker_id, [])

    def _on_end(self) -> None:
        """The connection has ended, or the process: what it had is settled."""
        self._link.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self.queue is not None and self.worker is not None:
            worker_deaths.on_death(self.queue.broker, self.worker)
        self._programs.link_ended(self)


def _groups_of(sock: socket.socket) -> list[int]:
    groups = array.array("I")
    with suppress(OSError):
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_GROUPS * groups.itemsize)
        groups.frombytes(raw[: len(raw) - len(raw) % groups.itemsize])
    return list(groups)
