"""The messages between the manager and the listener.

Control travels over Unix sockets of type SEQPACKET, one message a datagram, descriptors beside it.
Commands are imperative, notices past tense. What they tell of the configuration is in served.py.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from was.ipc.messages import PROTOCOL_VERSION
from was.ipc.served import ListenerSettings, ListeningSocket, PoolQueue, SiteRoute
from was.ipc.worker_control import Control, Isolation

# ── the manager to the listener ───────────────────────────────────────────────────────────────────


class ListenerWelcome(Control, frozen=True):
    """Who this listener is. It opens nothing before."""

    epoch: int
    settings: ListenerSettings
    isolation: Isolation = Isolation()


class ChangeSettings(Control, frozen=True):
    """The configuration has changed: times and rates hold from now on, the rest stays as it is."""

    settings: ListenerSettings


class SetSockets(Control, frozen=True):
    """Accept on exactly these from now on (descriptors beside, same order).

    `more` = further sockets follow in the next message; the set is in force with the last.
    """

    sockets: list[ListeningSocket]
    more: bool = False


class SetRoutes(Control, frozen=True):
    """The whole routing table; swapped at once."""

    sites: list[SiteRoute]


class ChangeRoutes(Control, frozen=True):
    """Sites that are new or other than they were, and the ids of those that are gone."""

    sites: list[SiteRoute]
    gone: list[int]


class SetPools(Control, frozen=True):
    """All request queues there are. A queue that is gone answers what waits in it with 503."""

    pools: list[PoolQueue]


class AddWorker(Control, frozen=True):
    """A worker will connect with this identity. Descriptors: [pidfd, scoreboard memfd]."""

    worker_id: int
    pool: str
    pid: int
    identity: bytes
    slots: int
    first_row: int = 0  # of the scoreboard: two listeners that share a worker use different rows
    reserve: int = 0  # further rows, for as many requests that are Parked


class ActivateWorker(Control, frozen=True):
    """Give the worker requests; those it replaces get no more, then StopListening."""

    worker_id: int
    replaces: list[int]


class DrainWorker(Control, frozen=True):
    """No more requests for the worker, then StopListening on its channel."""

    worker_id: int
    drain: bool = True


class SuspendWorker(Control, frozen=True):
    """No more requests for the worker until ActivateWorker, if it has none; say WorkerSuspended."""

    worker_id: int


class AbandonWorker(Control, frozen=True):
    """The worker has been stopped for good (orphaned): to the listener it has died."""

    worker_id: int


class SocketsRefused(Control, frozen=True):
    """Ports asked for by WantSockets that cannot be opened: (ip, port, reason)."""

    refused: list[tuple[str, int, str]]


class ExpectUrls(Control, frozen=True):
    """Programs had these URLs at the listener before: they will come back in a moment."""

    urls: list[str]


class ReopenLogs(Control, frozen=True):
    """Close and open the log files again (SIGUSR1). Descriptor: where its own log goes now."""


class StopListener(Control, frozen=True):
    """Stop accepting. With `drain`, answer what has begun and close idle connections first.

    Idle ones get `patience_s` to be used once more: what a client sends into a close is lost, and
    an answer can tell it that the connection closes.
    """

    drain: bool
    patience_s: float = 0.0


class QueryListener(Control, frozen=True):
    """Ask for a ListenerReport."""

    query_id: int
    with_requests: bool = False


# ── the listener to the manager ───────────────────────────────────────────────────────────────────


class ListenerHello(Control, frozen=True):
    """First message of a listener.

    One that was there before this manager names its epoch and goes on to say what it holds:
    HeldSockets, a HeldWorker for each worker, then HeldEverything.
    """

    pid: int
    epoch: int = 0  # 0: it has none yet
    protocol: int = PROTOCOL_VERSION
    is_draining: bool = False  # it accepts no more, and ends when it has answered what it has


class HeldSockets(Control, frozen=True):
    """Sockets it accepts on. Descriptors: the same, in order."""

    sockets: list[ListeningSocket]


class HeldWorker(Control, frozen=True):
    """A worker it knows. Descriptor: [scoreboard memfd]."""

    worker_id: int
    pool: str
    is_attached: bool
    is_activated: bool
    is_draining: bool
    is_faulty: bool


class HeldEverything(Control, frozen=True):
    """That was all."""


class ListenerReady(Control, frozen=True):
    """Sockets, routes and pools are in force."""

    epoch: int
    listening: int  # how many sockets


class WantSockets(Control, frozen=True):
    """Programs have URLs on these ports (ip "" = all addresses): open them, and keep them open.

    `is_whole`: no others are wanted; else they are wanted beside those asked for before. A port
    that cannot be opened is answered by SocketsRefused, all others by SetSockets.
    """

    places: list[ListeningSocket]
    is_whole: bool
    # All that programs have added: the next listener expects them.
    urls: list[str] = []  # noqa: RUF012 msgspec copies it


class DemandStart(Control, frozen=True):
    """A request waits and no worker can take it. `further`: there are workers, none has credit."""

    pool: str
    further: bool


class WorkerSuspended(Control, frozen=True):
    """Answer to SuspendWorker. Not `is_quiet`: it has a request, and stays in dispatch."""

    worker_id: int
    is_quiet: bool


class WorkerAttached(Control, frozen=True):
    """The worker's Hello came: its channel works both ways."""

    worker_id: int


class WorkerDrained(Control, frozen=True):
    """The worker said Bye: every request it had has ended."""

    worker_id: int


class WorkerFaulty(Control, frozen=True):
    """The worker sent what no worker may send; it gets nothing more. Replace it."""

    worker_id: int
    detail: str


class WorkerOverdue(Control, frozen=True):
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


class WorkerDeathSettled(Control, frozen=True):
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


class ListenerReport(Control, frozen=True):
    """Answer to QueryListener. `counters` are totals since the listener's start, by name."""

    query_id: int
    pools: list[PoolCounters]
    workers: list[WorkerCounters]
    requests: list[RequestRow]
    connections: int
    counters: dict[str, int]


class ListenerDrained(Control, frozen=True):
    """After StopListener(drain): nothing is left; the listener exits.

    Said before that where what is left has left HTTP (101): its workers have to end it.
    """

    left_alone: tuple[int, ...] = ()  # workers that have only requests past their limits


class WorkerLeftAlone(Control, frozen=True):
    """A worker that is to finish has only requests past their limits, and does not end them."""

    worker_id: int


class LogTrouble(Control, frozen=True):
    """A request log cannot be written, for whatever is said; "": all can again."""

    detail: str


class DescriptorsLost(Control, frozen=True):
    """A command came without its descriptors, for lack of room: say all again, later."""

    is_of_sockets: bool  # the command was SetSockets


ListenerToManager: TypeAlias = (
    ListenerHello
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
    | WorkerLeftAlone
    | LogTrouble
    | DescriptorsLost
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
