"""The messages of the request road. Commands are imperative, notices past tense.

*Requests* travel between listener and worker over ZeroMQ, in batches (`ToWorker`, `ToListener`):
MessagePack arrays with integer tags, because there are thousands a second. *Control* is the other
road: see worker_control.py and listener_control.py.

Every request message carries (request id, attempt); its batch carries the listener's epoch. An
answer to anything but the current attempt is late, and dropped. The receiver of a worker's message
trusts no field of it.

The order of a request's messages, as the listener sees it:

    Request ─▶   Response(more=False)                                 the usual case: one each way
    Request ─▶   Response(more=True)  ResponseChunk(more=True)*  ResponseChunk(more=False)
    Request ─▶   Response(status=101, more=True), then bytes both ways: ResponseChunk and BodyChunk
    Request ─▶   HoldSocket  Response(status=101) …  HandOver  END, and to the next worker:
    Resumed  Request ─▶   HoldSocket  Response(status=101) …
    BodyChunk*   only after a BodyPull grants them; CancelRequest at any time after Request
    the message with more=False, or AbortResponse, is the END: it returns the slot's credit

The descriptor that a `file_token` names crosses the side socket `QueueEndpoint.descriptors`, with
(request id, token), before the message is posted: when that is here the descriptor is too.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

PROTOCOL_VERSION = 1

# The most body bytes in one message either way; MAXMSGSIZE (2 MiB) leaves room for a whole batch.
CHUNK_BYTES = 128 * 1024

# The most bytes of fields that a response may have: as many as HTTP.SYS takes of a request's.
FIELDS_BYTES = 64 * 1024

# The most characters of its reason.
REASON_LENGTH = 4096

# What a worker may send of one response before the listener acknowledges (ResponseWindow), bytes.
RESPONSE_WINDOW_BYTES = 512 * 1024

# The most that the application of a WebSocket may have kept for its successor, bytes.
HELD_STATE_BYTES = 64 * 1024


class _Data(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message of the request road."""


# ── listener → worker ───────────────────────────────────────────────────────────────────────────


class Request(_Data, frozen=True, tag=1):
    """Run this request in scoreboard row `slot`, which is its own until its END has arrived."""

    id: int
    attempt: int  # 1 on the first dispatch
    slot: int
    connection_id: int
    site_id: int
    application: str  # its path in the site: "/" or "/app", as configured
    method: str
    target: str  # as the client sent it
    path: str  # canonical, decoded
    query: str  # without "?"
    version: int  # 10 or 11
    fields: list[tuple[str, str]]  # names as sent, values latin-1
    remote_addr: str
    remote_port: int
    local_addr: str
    local_port: int
    secure: bool
    body: bytes  # all of it, or b"" when it must be pulled
    body_length: int  # bytes in all; -1 = unknown (chunked, still arriving)
    pull: bool  # the body is to be pulled with BodyPull
    # Not 0: every request with this number has the same method, target, path, query, version and
    # fields, and no body. Whoever works something out of them may keep it by the number.
    head_number: int = 0
    # The client waits to be told to send its body. A worker that would not refuse the request for
    # its length gives it back, not begun; it comes again with the body.
    ask_first: bool = False


class BodyChunk(_Data, frozen=True, tag=2):
    """Bytes of a pulled body; `last` = nothing follows."""

    id: int
    attempt: int
    data: bytes
    last: bool


class ResponseWindow(_Data, frozen=True, tag=3):
    """The worker may send `count` more bytes of this response."""

    id: int
    attempt: int
    count: int


class CancelRequest(_Data, frozen=True, tag=4):
    """The client has gone or was answered by the listener; an END is still owed."""

    id: int
    attempt: int
    overdue: bool = False  # it has passed a time limit: interrupt it, and be recycled


class StopListening(_Data, frozen=True, tag=5):
    """No request will follow. Raise GL_STOP_LISTENING, finish, then say Bye."""

    drain: bool


class AcknowledgeBye(_Data, frozen=True, tag=6):
    """The Bye has been read: everything the worker sent before it has arrived too."""


class ConnectionClosed(_Data, frozen=True, tag=7):
    """A connection that the worker watches has ended; `by_client`: the client went."""

    connection_id: int
    by_client: bool


class Resumed(_Data, frozen=True, tag=8):
    """The Request that comes next is a WebSocket that the listener has held: see HoldSocket.

    Answered with 101 it goes on, and its client sees none of that; any other answer closes it.
    """

    id: int
    state: bytes  # what its application stored last
    extensions: str  # as they were agreed upon in the handshake
    is_interrupted: bool  # its worker ended without handing it over


# ── worker → listener ───────────────────────────────────────────────────────────────────────────


class Hello(_Data, frozen=True, tag=20):
    """First message on a queue channel."""

    protocol: int
    worker_id: int
    pid: int
    slots: int


class Response(_Data, frozen=True, tag=21):
    """Status, fields and the first body bytes, or all of them (more=False: END).

    `block` is "Name: value\\r\\n" lines without the fields the listener owns (framing, connection,
    hop-by-hop). `length` is the whole body's length, -1 = unknown. `log` is the part of the W3C
    line the worker knows ("" = do not log), meaningful on the END only.
    """

    id: int
    attempt: int
    status: int
    reason: str
    block: bytes
    length: int
    body: bytes
    more: bool
    log: str = ""
    substatus: int = 0
    win32: int = 0
    file_token: int = 0  # 0 = none; else the body goes on with this region of the descriptor
    file_offset: int = 0
    file_length: int = 0
    close: bool = False  # close the client's connection after this response


class ResponseChunk(_Data, frozen=True, tag=22):
    """More body of a response already begun; more=False: END."""

    id: int
    attempt: int
    data: bytes
    more: bool
    log: str = ""
    substatus: int = 0
    win32: int = 0
    file_token: int = 0
    file_offset: int = 0
    file_length: int = 0
    trailers: bytes = b""  # with the END of a chunked response: encoded fields after its body


class AbortResponse(_Data, frozen=True, tag=23):
    """END of a request whose response cannot be completed: cut the connection, visibly.

    When nothing was sent yet the listener answers 502, unless the worker wants a reset.
    """

    id: int
    attempt: int
    log: str = ""
    win32: int = 0
    reset: bool = False


class BodyPull(_Data, frozen=True, tag=24):
    """The worker wants up to `count` more bytes of the request body."""

    id: int
    attempt: int
    count: int


class GivenBack(_Data, frozen=True, tag=25):
    """Requests received but not started; they go to another worker.

    A worker says so after StopListening, of what was asked first, and of requests for applications
    that it does not have: another pool has them by now, or nobody. A program at any time.
    """

    requests: list[tuple[int, int]]  # (id, attempt)
    # The worker is about to end, whether this listener has told it so or somebody else.
    is_leaving: bool = False


class Bye(_Data, frozen=True, tag=26):
    """The worker's last message on this channel."""


class Parked(_Data, frozen=True, tag=27):
    """These go on without a thread of the worker, which has room for as many others."""

    requests: list[tuple[int, int]]  # (id, attempt)


class EarlyHints(_Data, frozen=True, tag=28):
    """103 for a client whose response has not begun; `block` as in Response."""

    id: int
    attempt: int
    block: bytes


class WatchConnection(_Data, frozen=True, tag=29):
    """Say ConnectionClosed when this request's connection ends; at once if it has."""

    id: int
    attempt: int
    connection_id: int


class HoldSocket(_Data, frozen=True, tag=30):
    """Keep this WebSocket when the worker ends. Before its 101; later for another state.

    From the 101 on the listener hands over whole messages of the client's, answers its pings, and
    keeps each message until it was taken (MessagesTaken).
    """

    id: int
    attempt: int
    state: bytes  # for the application that goes on with it, at most HELD_STATE_BYTES
    extensions: str  # the value of Sec-WebSocket-Extensions, "" = none
    limit_bytes: int  # of one message, as it crosses the wire


class MessagesTaken(_Data, frozen=True, tag=31):
    """The application has taken `count` more messages: nobody is given them again."""

    id: int
    attempt: int
    count: int


class HandOver(_Data, frozen=True, tag=32):
    """The END that follows is that of the request here: the WebSocket goes to another worker."""

    id: int
    attempt: int
    is_interrupted: bool = False  # its application failed as it was to let go of it


ToWorkerItem: TypeAlias = (
    Request
    | BodyChunk
    | ResponseWindow
    | CancelRequest
    | StopListening
    | AcknowledgeBye
    | ConnectionClosed
    | Resumed
)
ToListenerItem: TypeAlias = (
    Hello
    | Response
    | ResponseChunk
    | AbortResponse
    | BodyPull
    | GivenBack
    | Bye
    | Parked
    | EarlyHints
    | WatchConnection
    | HoldSocket
    | MessagesTaken
    | HandOver
)


class ToWorker(msgspec.Struct, array_like=True, gc=False):
    """One ZeroMQ message to a worker."""

    epoch: int
    items: list[ToWorkerItem]


class ToListener(msgspec.Struct, array_like=True, gc=False):
    """One ZeroMQ message to the listener."""

    epoch: int
    items: list[ToListenerItem]


def request_id_text(request_id: int) -> str:
    """A request id as people see it: X-Request-ID, `was.request_id`, REQUEST_ID, the dossiers."""
    return f"{request_id:016x}"
