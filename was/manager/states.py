"""States of a worker and of a pool, and the table of what leads from one to another.

A pair (state, event) that is not in the table is a defect of the manager, not of a worker: the
pool drops late messages before they get here.
"""

from __future__ import annotations

from enum import Enum

from was.errors import LocalProtocolError

__all__ = ["DISPATCHING", "PLACED", "PoolState", "WorkerEvent", "WorkerState", "after"]


class WorkerState(Enum):
    """How far a worker process is in its life."""

    STARTING = "starting"  # asked for; not yet loaded and attached
    RUNNING = "running"  # takes requests
    SUSPENDED = "suspended"  # idle: out of dispatch, and stopped once the listener agrees
    STOPPING = "stopping"  # takes no more, finishes what it has
    FAILED = "failed"  # given up on and killed; its exit is still to come
    STOPPED = "stopped"  # exited


class WorkerEvent(Enum):
    """What may happen to a worker."""

    STARTED = "started"  # loaded and attached to its queue
    SUSPEND = "suspended"  # it has been idle for long
    RESUME = "resumed"  # somebody has work for it
    STOP = "stop"  # it is to finish and go
    CONDEMN = "condemn"  # it is to be killed
    EXITED = "exited"


class PoolState(Enum):
    """State of a pool as people see it; DISABLED and SHUT_OUT are shown as stopped."""

    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DISABLED = "disabled"  # by rapid-fail protection
    SHUT_OUT = "shut out"  # it has used up its processor time


DISPATCHING = frozenset({WorkerState.RUNNING})
PLACED = frozenset({WorkerState.STARTING, WorkerState.RUNNING, WorkerState.SUSPENDED})

_TABLE: dict[tuple[WorkerState, WorkerEvent], WorkerState] = {
    (WorkerState.STARTING, WorkerEvent.STARTED): WorkerState.RUNNING,
    (WorkerState.STARTING, WorkerEvent.STOP): WorkerState.STOPPING,
    (WorkerState.STARTING, WorkerEvent.CONDEMN): WorkerState.FAILED,
    (WorkerState.STARTING, WorkerEvent.EXITED): WorkerState.STOPPED,
    (WorkerState.RUNNING, WorkerEvent.SUSPEND): WorkerState.SUSPENDED,
    (WorkerState.RUNNING, WorkerEvent.STOP): WorkerState.STOPPING,
    (WorkerState.RUNNING, WorkerEvent.CONDEMN): WorkerState.FAILED,
    (WorkerState.RUNNING, WorkerEvent.EXITED): WorkerState.STOPPED,
    (WorkerState.SUSPENDED, WorkerEvent.RESUME): WorkerState.RUNNING,
    (WorkerState.SUSPENDED, WorkerEvent.STOP): WorkerState.STOPPING,
    (WorkerState.SUSPENDED, WorkerEvent.CONDEMN): WorkerState.FAILED,
    (WorkerState.SUSPENDED, WorkerEvent.EXITED): WorkerState.STOPPED,
    (WorkerState.STOPPING, WorkerEvent.CONDEMN): WorkerState.FAILED,
    (WorkerState.STOPPING, WorkerEvent.EXITED): WorkerState.STOPPED,
    (WorkerState.FAILED, WorkerEvent.EXITED): WorkerState.STOPPED,
}


def after(state: WorkerState, event: WorkerEvent) -> WorkerState:
    """The state that `event` leads to; raises LocalProtocolError for a pair not in the table."""
    try:
        return _TABLE[state, event]
    except KeyError:
        raise LocalProtocolError(f"a {state.value} worker cannot be {event.value}") from None
