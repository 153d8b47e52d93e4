"""When a worker is due for replacement: one table of pure predicates over a sample of it.

The workers of a web garden start together and share the load, so equal limits would replace them
together. Each has its limits of time and requests a little earlier, by a share of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from was.config.model import PeriodicRestart, RecycleReason

__all__ = [
    "EVENT_OF_REASON",
    "MOST_EARLY",
    "RULES",
    "SAMPLES_OVER",
    "Wear",
    "WorkerSample",
    "early_share",
]

# How many samples in a row must be over a memory limit: a peak of one request is none.
SAMPLES_OVER = 2

# The most that a limit of time or requests is brought forward, as a part of it.
MOST_EARLY = 0.1

_GOLDEN = 0.618033988749895


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """A worker at one moment. Memory in KB, 0 = not measured."""

    age_s: float
    finished: int
    active: int
    virtual_kb: int = 0
    private_kb: int = 0


@dataclass(slots=True)
class Wear:
    """How near one worker is to its replacement."""

    early: float = 0.0  # part of a limit by which it comes sooner than configured
    samples_over_memory: int = 0
    samples_over_private: int = 0
    is_scheduled: bool = False  # a time of the schedule has come
    not_before: float = 0.0  # a replacement has failed: none is tried before this time

    def due(
        self, sample: WorkerSample, limits: PeriodicRestart, scaled: Scaled
    ) -> RecycleReason | None:
        """Take a sample in; the first rule that wants this worker replaced."""
        over = 0 < limits.memory <= sample.virtual_kb
        self.samples_over_memory = self.samples_over_memory + 1 if over else 0
        over = 0 < limits.private_memory <= sample.private_kb
        self.samples_over_private = self.samples_over_private + 1 if over else 0
        return next((r for r, is_due in RULES if is_due(self, sample, limits, scaled)), None)


Scaled = Callable[[float], float]
Rule = Callable[[Wear, WorkerSample, PeriodicRestart, Scaled], bool]


def _time_is_up(w: Wear, sample: WorkerSample, limits: PeriodicRestart, scaled: Scaled) -> bool:
    return limits.time_s > 0 and sample.age_s >= scaled(limits.time_s) * (1 - w.early)


def _requests_are_up(w: Wear, sample: WorkerSample, limits: PeriodicRestart, _: Scaled) -> bool:
    return limits.requests > 0 and sample.finished >= limits.requests * (1 - w.early)


RULES: tuple[tuple[RecycleReason, Rule], ...] = (
    (RecycleReason.TIME, _time_is_up),
    (RecycleReason.REQUESTS, _requests_are_up),
    (RecycleReason.SCHEDULE, lambda w, _s, _l, _f: w.is_scheduled),
    (RecycleReason.MEMORY, lambda w, _s, _l, _f: w.samples_over_memory >= SAMPLES_OVER),
    (RecycleReason.PRIVATE_MEMORY, lambda w, _s, _l, _f: w.samples_over_private >= SAMPLES_OVER),
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


def early_share(worker_id: int, max_processes: int) -> float:
    """`Wear.early` of a worker: 0 where it is alone, spread evenly over those of a web garden.

    Multiples of the golden ratio keep any few numbers in a row far apart.
    """
    return 0.0 if max_processes == 1 else MOST_EARLY * ((worker_id * _GOLDEN) % 1.0)
