"""Everything that can happen to the manager, and the one queue all of it goes through."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import Any, TypeAlias

from was.ipc.codec import ToManager
from was.manager.control import Peer

__all__ = [
    "SIGNALS",
    "SIGNALS_OF_OTHERS",
    "AdminAsked",
    "ChildEnded",
    "FilesTouched",
    "HelloLost",
    "Inbox",
    "Item",
    "MessageArrived",
    "PeerFaulty",
    "PeerGone",
    "SignalArrived",
    "TimeCame",
]


# Those that end or stop a process by default, and that other servers take as orders: gunicorn's and
# uWSGI's "new code", "one worker more". Not SIGTTOU: who hears it while he writes to the terminal
# would write, and hear it, for ever.
SIGNALS_OF_OTHERS = frozenset({signal.SIGUSR2, signal.SIGTTIN})

# What the manager listens to.
SIGNALS = SIGNALS_OF_OTHERS | frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGCHLD,
    }
)


@dataclass(frozen=True, slots=True)
class SignalArrived:
    """The manager got a signal."""

    number: int


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A process said something. The descriptors belong to whoever handles it."""

    peer: Peer
    message: ToManager
    descriptors: list[int]


@dataclass(frozen=True, slots=True)
class PeerFaulty:
    """A process said what is no message."""

    peer: Peer
    detail: str


@dataclass(frozen=True, slots=True)
class PeerGone:
    """A process closed its control connection."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A pidfd fired: "listener", "template", "supervisor" or a worker's id."""

    who: str
    pidfd: int
    worker_id: int = 0


@dataclass(frozen=True, slots=True)
class HelloLost:
    """A worker ended before it said who it is."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class TimeCame:
    """The earliest deadline has passed."""


@dataclass(frozen=True, slots=True)
class FilesTouched:
    """Something happened in a folder that a file of the configuration is in."""


@dataclass(frozen=True, slots=True)
class AdminAsked:
    """A request of the command line; the future takes the answer."""

    request: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]


Item: TypeAlias = (
    SignalArrived
    | MessageArrived
    | PeerFaulty
    | PeerGone
    | ChildEnded
    | HelloLost
    | TimeCame
    | FilesTouched
    | AdminAsked
)
Inbox: TypeAlias = "asyncio.Queue[Item]"
