"""Every message between processes. Commands are imperative, notices past tense.

Two roads. *Requests* travel between listener and worker over ZeroMQ, in batches (`ToWorker`,
`ToListener`): MessagePack arrays with integer tags, because there are thousands a second. *Control*
travels over Unix sockets of type SEQPACKET, one message a datagram, descriptors beside it: between
the manager and the listener, the template and each worker.

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

A descriptor announced by `file_token` crosses the side socket `Endpoints.descriptors` as
(token, fd); whichever of the two comes first waits for the other.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

PROTOCOL_VERSION = 1

# The most body bytes in one message either way; MAXMSGSIZE (2 MiB) leaves room for a whole batch.
CHUNK_BYTES = 128 * 1024

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
    disconnected: bool  # False: answered for the worker (504)
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
    """Requests received but not started; they go to another worker. Only after StopListening."""

    requests: list[tuple[int, int]]  # (id, attempt)


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


# ── control: manager ↔ template ─────────────────────────────────────────────────────────────────


class _Control(msgspec.Struct, frozen=True, tag=True):
    """A message of the control road."""


class TemplateHello(_Control, frozen=True):
    """First message of a template process."""

    pid: int


class Isolation(msgspec.Struct, frozen=True):
    """What a process gives up before it works; was.isolation.enter takes the steps."""

    uid: int = -1  # -1: it stays who it is
    gid: int = -1
    groups: list[int] = []
    umask: int = -1
    limits: dict[str, int] = {}  # by their name in `resource`
    closed: dict[str, list[str]] = {}  # folders others may not pass: what must be reachable below
    is_restricted: bool = False  # no_new_privs
    has_sandbox: bool = False  # Landlock, where the kernel has it, with:
    readable: list[str] = []
    writable: list[str] = []
    connect_ports: list[int] | None = None
    bind_ports: list[int] | None = None


class Fork(_Control, frozen=True):
    """Be this worker: taken by the process that the template keeps ready.

    Descriptors beside it: [output log (1 and 2 of the worker), pipe of its life]. The worker itself
    connects to the control socket and says WorkerHello with a pidfd of itself.
    """

    worker_id: int
    pool: str
    home: str
    control: str  # path of the control socket
    environment: dict[str, str]
    isolation: Isolation = Isolation()


class ForkFailed(_Control, frozen=True):
    """The template could not fork."""

    worker_id: int
    error: str


# ── control: manager ↔ worker ───────────────────────────────────────────────────────────────────


class WorkerHello(_Control, frozen=True):
    """First message of a worker, before it loads anything. Descriptor: a pidfd of itself."""

    worker_id: int
    pid: int


class QueueEndpoint(msgspec.Struct, frozen=True):
    """Where one listener process takes a pool's answers."""

    epoch: int
    queue: str  # ZeroMQ endpoint, "ipc://…"
    descriptors: str  # path of the side socket


class WorkerWelcome(_Control, frozen=True):
    """What a worker is. Descriptors: [scoreboard memfd, file for stacks]."""

    worker_id: int
    pool: str
    identity: bytes  # of its DEALER
    generation: int
    home: str
    config_file: str  # the pool's reduced applicationHost.config
    threads: int
    slots: int
    endpoints: list[QueueEndpoint]
    time_scale: float = 1.0
    umask: int = -1
    may_be_held: bool = False  # the manager may stop it for a while, to keep a `cpu` limit
    is_replacement: bool = False  # it takes the place of another worker
    concurrency: int = 256  # requests that run on its event loop
    is_command_line: bool = False  # of `was run`


class SetEndpoints(_Control, frozen=True):
    """The listener processes there are now; others are dead: cancel their requests."""

    endpoints: list[QueueEndpoint]


class WorkerReady(_Control, frozen=True):
    """Applications loaded (or failed in a way that answers 500); it takes requests."""

    worker_id: int


class WorkerStartFailed(_Control, frozen=True):
    """The worker cannot serve at all and exits."""

    worker_id: int
    detail: str


class RecycleRequested(_Control, frozen=True):
    """The worker asks to be replaced; `reason` is a RecycleReason, `detail` for people."""

    worker_id: int
    reason: str
    detail: str = ""


class ConfigurationChanged(_Control, frozen=True):
    """Re-read the pool's file and the web.config files below it."""


class StopWorker(_Control, frozen=True):
    """Sent when no listener can drain the worker: finish what runs, then exit 0."""

    drain: bool


class Ping(_Control, frozen=True):
    """Prove that the interpreter advances."""

    nonce: int


class Pong(_Control, frozen=True):
    """Answer to Ping, from a thread of the worker's own."""

    nonce: int


class PrepareSuspend(_Control, frozen=True):
    """The worker is to be stopped, being idle: its modules hear of it, then SuspendPrepared."""

    nonce: int


class SuspendPrepared(_Control, frozen=True):
    """Answer to PrepareSuspend: it may be stopped now, unless something else has come up."""

    worker_id: int
    nonce: int


class ResumeWorker(_Control, frozen=True):
    """It was stopped, or was going to be, and runs on."""


class QueryWorker(_Control, frozen=True):
    """A question for the worker's modules (GL_RSCA_QUERY)."""

    query_id: int
    function: str
    parameters: str


class WorkerAnswer(_Control, frozen=True):
    """What they say: the first that knows."""

    worker_id: int
    query_id: int
    hresult: int  # E_NOTIMPL: nobody knows
    data: bytes


class DumpStacks(_Control, frozen=True):
    """Write all threads' stacks to the worker's output."""


# ── control: manager ↔ listener ─────────────────────────────────────────────────────────────────


class ListeningSocket(msgspec.Struct, frozen=True):
    """One bound socket; its descriptor travels beside the message, in the same order."""

    ip: str
    port: int
    scheme: str


class ListenerHello(_Control, frozen=True):
    """First message of a listener.

    One that was there before this manager names its epoch and goes on to say what it holds:
    HeldSockets, a HeldWorker for each worker, then HeldEverything.
    """

    pid: int
    epoch: int = 0  # 0: it has none yet
    protocol: int = PROTOCOL_VERSION


class HeldSockets(_Control, frozen=True):
    """Sockets it accepts on. Descriptors: the same, in order."""

    sockets: list[ListeningSocket]


class HeldWorker(_Control, frozen=True):
    """A worker it knows. Descriptor: [scoreboard memfd]."""

    worker_id: int
    pool: str
    is_attached: bool
    is_activated: bool
    is_draining: bool
    is_faulty: bool


class HeldEverything(_Control, frozen=True):
    """That was all."""


class UrlReservation(msgspec.Struct, frozen=True):
    """Who may add URLs below a prefix (was.httpapi); names, or numbers."""

    url: str
    users: list[str]  # "*" = everybody
    groups: list[str]
    listen: bool = True


class ListenerSettings(msgspec.Struct, frozen=True):
    """What is one for all sites. Times in seconds, 0 = off; sizes in bytes."""

    home: str
    sockets: str  # folder of sockets
    logs: str  # folder of all logs; HTTPERR is one below it
    engine: Literal["auto", "h11", "llhttp"] = "auto"
    connection_timeout_s: float = 120.0
    header_wait_s: float = 120.0
    entity_body_s: float = 120.0
    min_bytes_per_second: int = 240
    max_field_length: int = 16384
    max_request_bytes: int = 16384
    managerless_limit_s: float = 300.0
    time_scale: float = 1.0
    server_uid: int = 0  # who administers this server, beside root
    reservations: list[UrlReservation] = []


class ListenerWelcome(_Control, frozen=True):
    """Who this listener is. It opens nothing before."""

    epoch: int
    settings: ListenerSettings
    isolation: Isolation = Isolation()


class ChangeSettings(_Control, frozen=True):
    """The configuration has changed: times and rates hold from now on, the rest stays as it is."""

    settings: ListenerSettings


class SetSockets(_Control, frozen=True):
    """Accept on exactly these from now on (descriptors beside, same order; at most 200 a message).

    `more` = further sockets follow in the next message; the set is in force with the last.
    """

    sockets: list[ListeningSocket]
    more: bool = False


class PoolRoute(msgspec.Struct, frozen=True):
    """One application's URL space."""

    path: str  # "/" or "/app"
    pool: str


class LogSettings(msgspec.Struct, frozen=True):
    """A site's logFile element."""

    enabled: bool
    directory: str
    period: str
    truncate_size: int
    local_time_rollover: bool
    fields: int  # logExtFileFlags
    custom_columns: list[str] = []
    max_line_length: int = 65536


class SiteRoute(msgspec.Struct, frozen=True):
    """One site as the listener sees it."""

    id: int
    name: str
    started: bool
    bindings: list[tuple[str, str]]  # (scheme, bindingInformation with the real port)
    applications: list[PoolRoute]
    log: LogSettings
    connection_timeout_s: float = 120.0
    max_connections: int = 4294967295
    max_url_segments: int = 32


class SetRoutes(_Control, frozen=True):
    """The whole routing table; swapped at once."""

    sites: list[SiteRoute]


class ChangeRoutes(_Control, frozen=True):
    """Sites that are new or other than they were, and the ids of those that are gone."""

    sites: list[SiteRoute]
    gone: list[int]


class PoolQueue(msgspec.Struct, frozen=True):
    """One pool's request queue. Times in seconds, 0 = off; sizes in bytes."""

    name: str
    accepting: bool  # False: answer 503 with `refusal`
    refusal: Literal["", "AppOffline", "Disabled", "AppShutdown"] = ""
    queue_length: int = 1000
    time_limit_s: float = 110.0
    idle_time_limit_s: float = 0.0
    queue_time_limit_s: float = 30.0
    replay: Literal["none", "safe", "idempotent"] = "safe"
    max_replays: int = 1
    poison_crashes: int = 2
    commit_buffer: int = 65536
    body_spool: int = 65536
    max_spool: int = 1 << 30
    response_spool: int = 262144
    streaming: bool = False
    max_processes: int = 1
    demand_start: bool = True
    tcp_level: bool = False  # loadBalancerCapabilities=TcpLevel: cut instead of 503
    uid: int = -1  # who may reach the queue's folder; -1 = the listener's own
    gid: int = -1
    failure_interval_s: float = 300.0  # the window in which deaths are remembered


class SetPools(_Control, frozen=True):
    """All request queues there are. A queue that is gone answers what waits in it with 503."""

    pools: list[PoolQueue]


class AddWorker(_Control, frozen=True):
    """A worker will connect with this identity. Descriptors: [pidfd, scoreboard memfd]."""

    worker_id: int
    pool: str
    pid: int
    identity: bytes
    slots: int
    first_row: int = 0  # of the scoreboard: two listeners that share a worker use different rows
    reserve: int = 0  # further rows, for as many requests that are Parked


class ActivateWorker(_Control, frozen=True):
    """Give the worker requests; those it replaces get no more, then StopListening."""

    worker_id: int
    replaces: list[int]


class DrainWorker(_Control, frozen=True):
    """No more requests for the worker, then StopListening on its channel."""

    worker_id: int
    drain: bool = True


class SuspendWorker(_Control, frozen=True):
    """No more requests for the worker until ActivateWorker, if it has none; say WorkerSuspended."""

    worker_id: int


class AbandonWorker(_Control, frozen=True):
    """The worker has been stopped for good (orphaned): to the listener it has died."""

    worker_id: int


class SocketsRefused(_Control, frozen=True):
    """Ports asked for by WantSockets that cannot be opened: (ip, port, reason)."""

    refused: list[tuple[str, int, str]]


class ExpectUrls(_Control, frozen=True):
    """Programs had these URLs at the listener before: they will come back in a moment."""

    urls: list[str]


class ReopenLogs(_Control, frozen=True):
    """Close and open the log files again (SIGUSR1)."""


class StopListener(_Control, frozen=True):
    """Stop accepting. With `drain`, answer what has begun and close idle connections first.

    Idle ones get `patience_s` to be used once more: what a client sends into a close is lost, and
    an answer can tell it that the connection closes.
    """

    drain: bool
    patience_s: float = 0.0


class QueryListener(_Control, frozen=True):
    """Ask for a ListenerReport."""

    query_id: int
    with_requests: bool = False


class ListenerReady(_Control, frozen=True):
    """Sockets, routes and pools are in force."""

    epoch: int
    listening: int  # how many sockets


class WantSockets(_Control, frozen=True):
    """Programs have URLs on these ports (ip "" = all addresses): open them, and keep them open.

    `is_whole`: no others are wanted; else they are wanted beside those asked for before. A port
    that cannot be opened is answered by SocketsRefused, all others by SetSockets.
    """

    places: list[ListeningSocket]
    is_whole: bool
    urls: list[str] = []  # all that programs have added: the next listener expects them


class DemandStart(_Control, frozen=True):
    """A request waits and no worker can take it. `further`: there are workers, none has credit."""

    pool: str
    further: bool


class WorkerSuspended(_Control, frozen=True):
    """Answer to SuspendWorker. Not `is_quiet`: it has a request, and stays in dispatch."""

    worker_id: int
    is_quiet: bool


class WorkerAttached(_Control, frozen=True):
    """The worker's Hello came: its channel works both ways."""

    worker_id: int


class WorkerDrained(_Control, frozen=True):
    """The worker said Bye: every request it had has ended."""

    worker_id: int


class WorkerFaulty(_Control, frozen=True):
    """The worker sent what no worker may send; it gets nothing more. Replace it."""

    worker_id: int
    detail: str


class WorkerOverdue(_Control, frozen=True):
    """A request has passed a time limit, and its worker is to be replaced.

    The worker says so when it has interrupted the request, or tries to; the listener when the
    request has not ended some time later. So it may come twice, and from the listener again.
    """

    worker_id: int
    request_id: int
    attempt: int
    method: str
    url: str
    client: str
    is_responding: bool  # it is idleTimeLimit that has passed


class InFlight(msgspec.Struct, frozen=True):
    """One request that a death met, and its fate."""

    id: int
    method: str
    url: str
    client: str
    state: str  # "sent", "started", "responding"
    fate: str  # "dispatched again", "502", "cut", "poisoned"
    attempt: int = 0
    notification: str = ""  # where it was, as far as the scoreboard tells
    module: str = ""
    library: str = ""  # the foreign library it was in: entry point and (the end of) its path


class WorkerDeathSettled(_Control, frozen=True):
    """After a death: all the worker's requests have been taken back or answered."""

    worker_id: int
    requests: list[InFlight]
    finished: int  # requests it had finished in its life


class RequestRow(msgspec.Struct, frozen=True):
    """One line of `was list requests`."""

    id: int
    connection_id: int
    app_pool: str
    site: int
    worker_id: int  # 0: still queued
    verb: str
    url: str
    client: str
    attempt: int
    state: str
    notification: str
    module: str
    elapsed_ms: int


class WorkerCounters(msgspec.Struct, frozen=True):
    """What the listener knows of a worker."""

    worker_id: int
    finished: int
    active: int
    attached: bool


class PoolCounters(msgspec.Struct, frozen=True):
    """What the listener knows of a pool."""

    name: str
    queued: int
    active: int
    spool_bytes: int


class ListenerReport(_Control, frozen=True):
    """Answer to QueryListener. `counters` are totals since the listener's start, by name."""

    query_id: int
    pools: list[PoolCounters]
    workers: list[WorkerCounters]
    requests: list[RequestRow]
    connections: int
    counters: dict[str, int]


class ListenerDrained(_Control, frozen=True):
    """After StopListener(drain): nothing is left; the listener exits."""


ToManager: TypeAlias = (
    TemplateHello
    | ForkFailed
    | WorkerHello
    | WorkerReady
    | WorkerStartFailed
    | RecycleRequested
    | SuspendPrepared
    | WorkerAnswer
    | Pong
    | ListenerHello
    | HeldSockets
    | HeldWorker
    | HeldEverything
    | ListenerReady
    | WantSockets
    | DemandStart
    | WorkerAttached
    | WorkerSuspended
    | WorkerDrained
    | WorkerFaulty
    | WorkerOverdue
    | WorkerDeathSettled
    | ListenerReport
    | ListenerDrained
)
ManagerToListener: TypeAlias = (
    ListenerWelcome
    | SetSockets
    | ChangeSettings
    | SetRoutes
    | ChangeRoutes
    | SetPools
    | AddWorker
    | ActivateWorker
    | DrainWorker
    | SuspendWorker
    | AbandonWorker
    | SocketsRefused
    | ExpectUrls
    | ReopenLogs
    | StopListener
    | QueryListener
)
ManagerToWorker: TypeAlias = (
    WorkerWelcome
    | SetEndpoints
    | ConfigurationChanged
    | StopWorker
    | Ping
    | PrepareSuspend
    | ResumeWorker
    | QueryWorker
    | DumpStacks
)
ManagerToTemplate: TypeAlias = Fork


def request_id_text(request_id: int) -> str:
    """A request id as people see it: X-Request-ID, `was.request_id`, REQUEST_ID, the dossiers."""
    return f"{request_id:016x}"
