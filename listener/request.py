"""ClientRequest: one request in the listener, from its head until its response has ended."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

from was.config.choices import Replay
from was.ipc.messages import Request

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.connection import ClientConnection
    from was.listener.head import Head
    from was.listener.incarnation import Incarnation
    from was.listener.spool import Spool

__all__ = ["ClientRequest", "Progress"]


class Progress(IntEnum):
    """How far a request has come, for the listener."""

    READING = 0  # its body arrives
    QUEUED = 1
    SENT = 2  # a worker has it
    RESPONDING = 3  # bytes of its response are with the client
    ENDED = 4


class ClientRequest(msgspec.Struct, gc=False, eq=False):
    """A request and what is needed to send it to another worker.

    `connection` is None once the client has gone or was answered by the listener itself: then the
    request only waits for its END, and what still comes for it is dropped and counted. That is
    also what lets the collector leave it alone: nothing else of it points back to it.

    A Struct because one is made for every request, and this way it is made in C.
    """

    id: int  # counts up with the arrival, from the first request of this listener
    connection: ClientConnection | None
    head: Head
    pool: PoolBroker
    site_id: int
    application: str
    received_at: float
    queued_at: float
    received_bytes: int
    attempt: int = 0
    slot: int = -1
    progress: Progress = Progress.READING
    worker: Incarnation | None = None
    quiet_since: float = 0.0  # see time_limits
    body: bytes = b""
    body_length: int = 0
    spool: Spool | None = None
    pull_granted: int = 0
    pull_offset: int = 0
    blamed: int = 0
    is_queued: bool = False
    is_suspect: bool = False
    is_upgraded: bool = False  # 101: no time limit holds
    is_parked: bool = False  # it goes on without a thread: its row returns to the reserve
    is_body_complete: bool = True
    is_body_lost: bool = False
    is_client_gone: bool = False
    is_cut: bool = False  # its answer had begun when `connection` became None
    is_overdue: bool = False  # it has passed a time limit, and its worker owes the END
    ask_first: bool = False  # its client waits, and a worker may refuse it by its length
    gone_client: str = ""  # its address, once `connection` is None
    gone_status: int = 0  # what a client that has gone had been told, 0 = nothing
    gone_bytes: int = 0  # and how much of it

    def __lt__(self, other: ClientRequest) -> bool:
        return self.id < other.id

    @property
    def client(self) -> str:
        """The client's address, also after it has gone."""
        return self.gone_client if self.connection is None else self.connection.peer[0]

    @property
    def has_answer_begun(self) -> bool:
        """Whether the worker has begun to answer."""
        return self.is_cut or self.progress is Progress.RESPONDING

    def message(self, peer: tuple[str, int, str, int]) -> Request:
        """The request for a worker, as its present attempt in its present slot."""
        head = self.head
        return Request(
            self.id,
            self.attempt,
            self.slot,
            self.connection.id if self.connection is not None else 0,
            self.site_id,
            self.application,
            head.method,
            head.target,
            head.path,
            head.query,
            head.version,
            head.fields,
            peer[0],
            peer[1],
            peer[2],
            peer[3],
            False,
            self.body,
            self.body_length,
            self.spool is not None,
            head.number,
            self.ask_first,
        )

    def release_body(self) -> None:
        """The body is not needed any more."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None
        self.body = b""

    def can_repeat(self) -> bool:
        """Whether policy and body allow a second run of a request that had begun."""
        return Replay(self.pool.settings.replay).covers(self.head.method) and self.is_body_held()

    def is_body_held(self) -> bool:
        """Whether every body byte can still be given to another worker."""
        return not self.is_body_lost
