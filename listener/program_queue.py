"""The request queue of programs (was.httpapi): a pool's broker whose workers are such programs.

What a RouterChannel and a DescriptorDoor are to a pool's workers, `ProgramEnds` is to programs: the
same broker gives them requests, hears their answers and settles their deaths. A program's process
has credit for as many requests as it has receives outstanding.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import structs

from was.errors import WasError
from was.ipc.channel import Sent
from was.ipc.descriptors import is_regular
from was.ipc.program_messages import ERROR_INVALID_PARAMETER
from was.ipc.served import PoolQueue
from was.listener.broker import PoolBroker
from was.listener.descriptors import NoRoomError
from was.listener.routes import FOREVER_S, SiteRuntime
from was.listener.unread import UnreadRequests

if TYPE_CHECKING:
    from was.ipc.program_messages import SetQueue
    from was.listener.program_link import ProgramLink
    from was.listener.service import ListenerService

__all__ = ["ProgramEnds", "ProgramQueue", "RefusedCallError"]


class RefusedCallError(WasError):
    """A program has called for what it may not, or cannot, have; it is told why, and goes on.

    `error` is the number that Windows has for it, the text says it in words.
    """

    def __init__(self, error: int, words: str) -> None:
        super().__init__(words)
        self.error = error


class ProgramEnds:
    """QueueEnd and FileDoor of one queue's programs."""

    def __init__(self) -> None:
        self.links: dict[bytes, ProgramLink] = {}
        # What came beside the batch that is being heard, in the order in which it is named there.
        self.arrived: deque[int] = deque()
        self.is_short = False  # for the last of them this process had no room

    def send(self, identity: bytes, batch: bytes) -> Sent:
        """Send one batch; a program that does not read gets no more until it does."""
        link = self.links.get(identity)
        if link is None or link.is_closed:
            return Sent.NOT_THERE
        return Sent.YES if link.send_batch(batch) else Sent.NOT_READING

    def pump(self) -> None:
        """Read what the programs have said last."""
        for link in list(self.links.values()):
            link.read()

    def has_message(self) -> bool:
        """Nothing waits: what is there is read to its end by `pump`."""
        return False

    def read_disconnects(self) -> None:
        """Links tell of their end themselves."""

    def has_disconnected(self, source: int) -> bool:
        """Whether the link of that number has ended."""
        return all(link.number != source or link.is_closed for link in self.links.values())

    def forget_disconnect(self, source: int) -> None:
        """Numbers of links are never used again."""

    def cut_strangers(self, known: Collection[int], most: int) -> int:
        """Nobody is connected here but who has opened the queue; of those there are so many."""
        return 0

    def take(self, pid: int, request_id: int, token: int) -> int:
        """The next of the descriptors beside the batch. Raises NoRoomError."""
        if not self.arrived:
            if self.is_short:
                raise NoRoomError
            return -1
        fd = self.arrived.popleft()
        if not is_regular(fd):
            os.close(fd)
            return -1
        return fd

    def forget(self, pid: int) -> None:
        """Links keep nothing by pid."""

    def drop_arrived(self) -> None:
        """Close what no message named."""
        while self.arrived:
            os.close(self.arrived.popleft())

    def close(self) -> None:
        """End every link; their programs see that the queue is gone."""
        for link in list(self.links.values()):
            link.close()
        self.links.clear()
        self.drop_arrived()


class ProgramQueue:
    """One request queue of programs. It lives as long as a process has it open."""

    def __init__(self, service: ListenerService, name: str, owner_uid: int) -> None:
        self.name = name
        self.owner_uid = owner_uid
        self.broker = PoolBroker(
            service,
            PoolQueue(
                name=name,
                accepting=True,
                time_limit_s=0.0,
                queue_time_limit_s=120.0,
                demand_start=False,  # nobody but its own programs can serve it
            ),
        )
        self.broker.refuses_by_length = False
        self.site = SiteRuntime(0)
        self.ends = ProgramEnds()
        self.broker.router = self.ends
        self.broker.door = self.ends
        self._unread = UnreadRequests(self.broker)

    @property
    def is_dead(self) -> bool:
        """Whether no process has it open any more."""
        return not self.ends.links

    def take_back_unread(self, now: float) -> None:
        """What a process does not read is for the others; so is what comes until it reads again."""
        links = [link for link in self.ends.links.values() if link.gives_back]
        workers = [link.worker for link in links if link.worker is not None]
        for worker in self._unread.take_back(now, workers):
            self.ends.links[worker.identity].is_silent = True

    def set(self, call: SetQueue) -> None:
        """Change properties. Raises RefusedCallError."""
        _check(call)
        changed: dict[str, object] = {}
        if call.is_enabled is not None:
            changed.update(accepting=call.is_enabled, refusal="" if call.is_enabled else "Disabled")
        if call.queue_length is not None:
            changed["queue_length"] = call.queue_length
        if call.verbosity is not None:
            changed["tcp_level"] = call.verbosity == 0
        if call.request_queue_s is not None:
            changed["queue_time_limit_s"] = call.request_queue_s
        if call.response_s is not None:
            changed["time_limit_s"] = call.response_s
        if call.connection_s is not None:
            scaled = self.broker.service.scaled
            self.site.connection_timeout_s = scaled(call.connection_s or FOREVER_S)
        if call.max_connections is not None:
            self.site.max_connections = call.max_connections
        self.broker.configure(structs.replace(self.broker.settings, **changed))


def _check(call: SetQueue) -> None:
    if call.queue_length is not None and not 1 <= call.queue_length <= 65535:
        raise RefusedCallError(ERROR_INVALID_PARAMETER, "a queue's length is 1 to 65535")
    if call.verbosity not in {None, 0, 1, 2}:
        words = "the verbosity of 503 answers is 0, 1 or 2"
        raise RefusedCallError(ERROR_INVALID_PARAMETER, words)
    times = (call.request_queue_s, call.response_s, call.connection_s)
    if any(s is not None and not 0 <= s <= FOREVER_S for s in times):
        raise RefusedCallError(ERROR_INVALID_PARAMETER, "a time is 0 or more seconds")
