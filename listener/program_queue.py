"""The request queue of programs (was.httpapi): a pool's broker whose workers are such programs.

What a RouterChannel and a DescriptorDoor are to a pool's workers, `ProgramEnds` is to programs: the
same broker gives them requests, hears their answers and settles their deaths. A program's process
has credit for as many requests as it has receives outstanding.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from typing import TYPE_CHECKING

from was.ipc.channel import Sent
from was.ipc.messages import PoolQueue
from was.listener.broker import PoolBroker

if TYPE_CHECKING:
    from was.listener.program_link import ProgramLink
    from was.listener.service import ListenerService

__all__ = ["ProgramEnds", "ProgramQueue"]


class ProgramEnds:
    """QueueEnd and FileDoor of one queue's programs."""

    def __init__(self) -> None:
        self.links: dict[bytes, ProgramLink] = {}
        # What came beside the batch that is being heard, in the order in which it is named there.
        self.arrived: deque[int] = deque()

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

    def take(self, pid: int, request_id: int, token: int) -> int:
        """The next of the descriptors beside the batch."""
        if not self.arrived:
            return -1
        fd = self.arrived.popleft()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
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
        self.ends = ProgramEnds()
        self.broker.router = self.ends
        self.broker.door = self.ends

    @property
    def is_dead(self) -> bool:
        """Whether no process has it open any more."""
        return not self.ends.links
