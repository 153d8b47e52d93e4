"""What a program that serves URLs through the listener says, and is told (was.httpapi).

One Unix SEQPACKET connection for each request queue a program has opened, or for URLs without a
queue. A datagram's first byte says what it carries: CALL a `Call`, BATCH a batch of the request
road, as a worker's: `ToListener` from the program, `ToWorker` to it. The descriptors of files that
a batch names by `file_token` travel beside it, in the order of the tokens.

The program is trusted with nothing: who it is the kernel says, what it may is in the reservations.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

__all__ = [
    "BATCH",
    "CALL",
    "ERROR_ACCESS_DENIED",
    "ERROR_ALREADY_EXISTS",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_INVALID_PARAMETER",
    "ERROR_NOT_ENOUGH_QUOTA",
    "ERROR_NOT_READY",
    "ERROR_NOT_SUPPORTED",
    "ERROR_SHARING_VIOLATION",
    "MOST_RECEIVES",
    "AddUrl",
    "Call",
    "Moved",
    "Notice",
    "OpenQueue",
    "QueueOpened",
    "Receive",
    "RemoveUrl",
    "Replied",
    "SetQueue",
    "ShutDownQueue",
]

CALL = b"\1"
BATCH = b"\2"

# Receives that one process may have outstanding on one queue.
MOST_RECEIVES = 1024


# Win32 errors that a Replied may have.
ERROR_FILE_NOT_FOUND = 2
ERROR_ACCESS_DENIED = 5
ERROR_NOT_READY = 21
ERROR_SHARING_VIOLATION = 32
ERROR_NOT_SUPPORTED = 50
ERROR_INVALID_PARAMETER = 87
ERROR_ALREADY_EXISTS = 183
ERROR_NOT_ENOUGH_QUOTA = 1816


class _Message(msgspec.Struct, frozen=True, tag=True):
    """A message of this road. `call` numbers it: the Replied has the same."""


# ── program → listener ──────────────────────────────────────────────────────────────────────────


class OpenQueue(_Message, frozen=True):
    """HttpCreateRequestQueue: answered by QueueOpened, with the scoreboard beside, or Replied."""

    call: int
    name: str = ""  # "" = a queue that nobody else can open
    must_exist: bool = False
    gives_back: bool = False  # it heeds word 6 of its rows (was/ipc/scoreboard.py)


class SetQueue(_Message, frozen=True):
    """HttpSetRequestQueueProperty, HttpSetUrlGroupProperty: None leaves a property as it is."""

    call: int
    is_enabled: bool | None = None
    queue_length: int | None = None
    verbosity: int | None = None  # of 503 answers: 0 resets the connection
    request_queue_s: float | None = None  # the longest a request waits; 0 = for ever
    response_s: float | None = None  # the longest a response takes to begin; 0 = for ever
    connection_s: float | None = None  # of bodies and idle connections; 0 = for ever
    max_connections: int | None = None  # of clients; beyond them 503 ConnLimit


class AddUrl(_Message, frozen=True):
    """HttpAddUrlToUrlGroup, for a group that is bound to this connection's queue."""

    call: int
    url: str
    context: int = 0


class RemoveUrl(_Message, frozen=True):
    """HttpRemoveUrlFromUrlGroup; "" = every URL of this connection."""

    call: int
    url: str = ""


class Receive(_Message, frozen=True):
    """`count` more calls of HttpReceiveHttpRequest wait: so many requests may be sent."""

    count: int


class ShutDownQueue(_Message, frozen=True):
    """HttpShutdownRequestQueue: no more requests for this process; others on the queue go on."""

    call: int


Call: TypeAlias = OpenQueue | SetQueue | AddUrl | RemoveUrl | Receive | ShutDownQueue


# ── listener → program ──────────────────────────────────────────────────────────────────────────


class Replied(_Message, frozen=True):
    """How a call ended; 0 or an error, with words for people."""

    call: int
    error: int = 0
    detail: str = ""


class QueueOpened(_Message, frozen=True):
    """The queue is open; `epoch` is the listener's."""

    call: int
    epoch: int
    is_new: bool


class Moved(_Message, frozen=True):
    """Another listener takes over: open everything there as well; what is here goes on."""


Notice: TypeAlias = Replied | QueueOpened | Moved
