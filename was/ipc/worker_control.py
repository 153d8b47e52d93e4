"""The messages between the manager and the template, and the manager and each worker.

Control travels over Unix sockets of type SEQPACKET, one message a datagram, descriptors beside it.
Commands are imperative, notices past tense.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

# ── control: manager ↔ template ─────────────────────────────────────────────────────────────────


class Control(msgspec.Struct, frozen=True, tag=True):
    """A message of the control road."""


class TemplateHello(Control, frozen=True):
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


class Fork(Control, frozen=True):
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
    folder: str = "/"  # the worker's current one
    program: str = ""  # an interpreter to become; "": stay the fork of the template
    virtual_environment: str = ""  # the folder of one whose packages to take


class ForkFailed(Control, frozen=True):
    """The template could not fork."""

    worker_id: int
    error: str


# ── control: manager ↔ worker ───────────────────────────────────────────────────────────────────


class WorkerHello(Control, frozen=True):
    """First message of a worker, before it loads anything. Descriptor: a pidfd of itself."""

    worker_id: int
    pid: int


class QueueEndpoint(msgspec.Struct, frozen=True):
    """Where one listener process takes a pool's answers."""

    epoch: int
    queue: str  # ZeroMQ endpoint, "ipc://…"
    descriptors: str  # path of the side socket


class WorkerWelcome(Control, frozen=True):
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
    # Marks of the programs without which it does not take that worker's place.
    programs: list[int] = []


class SetEndpoints(Control, frozen=True):
    """The listener processes there are now; others are dead: cancel their requests."""

    endpoints: list[QueueEndpoint]


class WorkerReady(Control, frozen=True):
    """Applications loaded (or failed in a way that answers 500); it takes requests.

    What runs in the worker that it replaces has not failed, unless the code has changed. Said again
    when other programs run than it said, and to a manager that takes the worker over.
    """

    worker_id: int
    programs: list[int] = []  # marks of those that run
    failed: dict[int, str] = {}  # marks of those that do not, and why


class WorkerStartFailed(Control, frozen=True):
    """The worker cannot serve at all and exits.

    Not a failure of the pool's: it could not run what the worker runs whose place it was to take.
    """

    worker_id: int
    detail: str
    is_failure: bool = True


class RecycleRequested(Control, frozen=True):
    """The worker asks to be replaced; `reason` is a RecycleReason, `detail` for people."""

    worker_id: int
    reason: str
    detail: str = ""


class ConfigurationChanged(Control, frozen=True):
    """Re-read the pool's file and the web.config files below it."""


class StopWorker(Control, frozen=True):
    """Sent when no listener can drain the worker: finish what runs, then exit 0."""

    drain: bool


class Ping(Control, frozen=True):
    """Prove that the interpreter advances."""

    nonce: int


class Pong(Control, frozen=True):
    """Answer to Ping, from a thread of the worker's own."""

    nonce: int


class PrepareSuspend(Control, frozen=True):
    """The worker is to be stopped, being idle: its modules hear of it, then SuspendPrepared."""

    nonce: int


class SuspendPrepared(Control, frozen=True):
    """Answer to PrepareSuspend: it may be stopped now, unless something else has come up."""

    worker_id: int
    nonce: int


class ResumeWorker(Control, frozen=True):
    """It was stopped, or was going to be, and runs on."""


class QueryWorker(Control, frozen=True):
    """A question for the worker's modules (GL_RSCA_QUERY)."""

    query_id: int
    function: str
    parameters: str


class WorkerAnswer(Control, frozen=True):
    """What they say: the first that knows."""

    worker_id: int
    query_id: int
    hresult: int  # E_NOTIMPL: nobody knows
    data: bytes


class TakeOutput(Control, frozen=True):
    """Print there from now on. Descriptor: the pool's log, opened anew."""


class DumpStacks(Control, frozen=True):
    """Write all threads' stacks to the worker's output."""


WorkerToManager: TypeAlias = (
    TemplateHello
    | ForkFailed
    | WorkerHello
    | WorkerReady
    | WorkerStartFailed
    | RecycleRequested
    | SuspendPrepared
    | WorkerAnswer
    | Pong
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
    | TakeOutput
    | DumpStacks
)
ManagerToTemplate: TypeAlias = Fork
