"""What a pool wants done: the only things a policy decision can turn into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "Action",
    "Activate",
    "AutoShutdown",
    "Drain",
    "Freeze",
    "Kill",
    "Note",
    "Orphan",
    "Publish",
    "RecycleSettled",
    "Report",
    "SendPing",
    "Spawn",
    "Stop",
    "Suspend",
    "Thaw",
]


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker process; `replaces` is the worker whose place it takes, 0 for none.

    `runs_the_same`: only if what runs in that one runs in it too.
    """

    worker_id: int
    generation: int
    replaces: int = field(default=0, compare=False)
    runs_the_same: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Activate:
    """Let the listener give the worker requests, and none any more to those it replaces."""

    worker_id: int
    replaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Drain:
    """Let the listener take the worker out of dispatch and tell it to finish."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the worker itself to finish: the server is going, the listener has gone before."""

    worker_id: int
    drain: bool


@dataclass(frozen=True, slots=True)
class Suspend:
    """Let the listener take the worker out of dispatch, if it has nothing to do."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop the process until it is thawed: it is out of dispatch."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let the process go on, if it has been frozen."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """SIGSTOP for good: the listener takes back its requests, nobody manages it any more."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class AutoShutdown:
    """The pool has been disabled: run what its configuration names for this."""


@dataclass(frozen=True, slots=True)
class SendPing:
    """Ask the worker for a sign of life."""

    worker_id: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Publish:
    """The queue's state changed: tell the listener, write the pool's record."""


@dataclass(frozen=True, slots=True)
class Report:
    """An entry for the event log; worker_id 0 = about the pool."""

    event_id: int
    worker_id: int = 0
    fields: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Note:
    """A line for our own log."""

    event: str
    worker_id: int = 0
    fields: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class RecycleSettled:
    """A recycling that somebody may wait for has ended; `error` is empty when it did its work."""

    token: int
    error: str


Action: TypeAlias = (
    Spawn
    | Activate
    | Drain
    | Stop
    | Suspend
    | Freeze
    | Thaw
    | Kill
    | Orphan
    | AutoShutdown
    | SendPing
    | Publish
    | Report
    | Note
    | RecycleSettled
)
