"""When a worker is due for replacement: one table of pure predicates over a sample of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from was.config.model import PeriodicRestart, RecycleReason

__all__ = ["EVENT_OF_REASON", "RULES", "WorkerSample", "due_reason"]


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """A worker at one moment. Memory in KB, 0 = not measured."""

    age_s: float
    finished: int
    active: int
    virtual_kb: int = 0
    private_kb: int = 0


Scaled = Callable[[float], float]
Rule = Callable[[WorkerSample, PeriodicRestart, Scaled], bool]


def _time_is_up(sample: WorkerSample, limits: PeriodicRestart, scaled: Scaled) -> bool:
    return limits.time_s > 0 and sample.age_s >= scaled(limits.time_s)


def _requests_are_up(sample: WorkerSample, limits: PeriodicRestart, scaled: Scaled) -> bool:
    return 0 < limits.requests <= sample.finished


RULES: tuple[tuple[RecycleReason, Rule], ...] = (
    (RecycleReason.TIME, _time_is_up),
    (RecycleReason.REQUESTS, _requests_are_up),
)

EVENT_OF_REASON: dict[RecycleReason, int] = {
    RecycleReason.TIME: 5074,
    RecycleReason.REQUESTS: 5075,
    RecycleReason.SCHEDULE: 5076,
    RecycleReason.MEMORY: 5077,
    RecycleReason.ISAPI_UNHEALTHY: 5078,
    RecycleReason.ON_DEMAND: 5079,
    RecycleReason.CONFIG_CHANGE: 5080,
    RecycleReason.PRIVATE_MEMORY: 5117,
}


def due_reason(
    sample: WorkerSample, limits: PeriodicRestart, scaled: Scaled
) -> RecycleReason | None:
    """The first rule that wants this worker replaced."""
    return next((reason for reason, is_due in RULES if is_due(sample, limits, scaled)), None)
