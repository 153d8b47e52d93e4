"""ClientRequest: one request in the listener, from its head until its response has ended."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from was.ipc.messages import Request
from was.listener.spool import Spool

if TYPE_CHECKING:
    from was.listener.broker import Incarnation, PoolBroker
    from was.listener.connection import ClientConnection
    from was.listener.head_scanner import Head

__all__ = ["ClientRequest", "Progress"]


class Progress(IntEnum):
    """How far a request has come, for the listener."""

    READING = 0  # its body arrives
    QUEUED = 1
    SENT = 2  # a worker has it
    RESPONDING = 3  # bytes of its response are with the client
    ENDED = 4


# Looking a member up on its class is slow where it is done for every request.
_READING = Progress.READING


class ClientRequest:
    """A request and what is needed to send it to another worker.

    `connection` is None once the client has gone or was answered by the listener itself: then the
    request only waits for its END, and what still comes for it is dropped and counted.
    """

    __slots__ = (
        "application",
        "attempt",
        "blamed",
        "body",
        "body_length",
        "connection",
        "head",
        "id",
        "is_body_complete",
        "is_body_lost",
        "is_client_gone",
        "is_queued",
        "is_suspect",
        "pool",
        "progress",
        "pull_granted",
        "pull_offset",
        "queued_at",
        "received_at",
        "received_bytes",
        "sent_at",
        "site_id",
        "slot",
        "spool",
        "worker",
    )

    def __init__(
        self,
        request_id: int,
        connection: ClientConnection,
        head: Head,
        pool: PoolBroker,
        site_id: int,
        application: str,
        now: float,
    ) -> None:
        self.id = request_id
        self.attempt = 0
        self.connection: ClientConnection | None = connection
        self.head = head
        self.pool = pool
        self.site_id = site_id
        self.application = application
        self.progress: Progress = _READING
        self.is_queued = False
        self.received_at = now
        self.queued_at = now
        self.sent_at = 0.0
        self.worker: Incarnation | None = None
        self.slot = -1
        self.body = b""
        self.body_length = 0
        self.is_body_complete = True
        self.is_body_lost = False
        self.is_client_gone = False
        self.spool: Spool | None = None
        self.pull_granted = 0
        self.pull_offset = 0
        self.received_bytes = head.size
        self.is_suspect = False
        self.blamed = 0

    def __lt__(self, other: ClientRequest) -> bool:
        return self.id < other.id

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
        )

    def release_body(self) -> None:
        """The body is not needed any more."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None
        self.body = b""

    def can_repeat(self) -> bool:
        """Whether policy and body allow a second run of a request that had begun."""
        settings = self.pool.settings
        method = self.head.method
        if settings.replay == "none":
            return False
        if method in _SAFE or (settings.replay == "idempotent" and method in _IDEMPOTENT):
            return self.is_body_held()
        return False

    def is_body_held(self) -> bool:
        """Whether every body byte can still be given to another worker."""
        return not self.is_body_lost


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_IDEMPOTENT = _SAFE | {"PUT", "DELETE", "TRACE"}
