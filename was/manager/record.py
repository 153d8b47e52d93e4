"""A worker as the policy sees it: plain state, no process behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from was.manager.health import PingWatch
from was.manager.states import WorkerState
from was.manager.wear import Wear

__all__ = ["Worker"]


@dataclass(slots=True)
class Worker:
    """One worker as the policy sees it. `replaces` is the worker whose place it is to take."""

    id: int
    generation: int
    started_at: float
    deadline: float | None
    replaces: int
    ping: PingWatch
    state: WorkerState = WorkerState.STARTING
    is_loaded: bool = False
    is_attached: bool = False
    has_served: bool = False
    stale: str = ""  # why it must be replaced; "" = it need not be
    finished: int = 0
    idle_since: float = 0.0
    wear: Wear = field(default_factory=Wear)
