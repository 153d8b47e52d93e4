"""What of a pool outlives its manager: written after each decision, restored by the next manager.

Times are of the monotonic clock, which all processes of one boot share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from was.config.model import AppPool
from was.manager.health import PingWatch
from was.manager.pool import ApplicationPool
from was.manager.record import Worker
from was.manager.states import PoolState, WorkerState
from was.manager.wear import Wear, early_share

__all__ = ["AdoptedWorker", "fingerprint", "restore", "to_record"]


@dataclass(frozen=True, slots=True)
class AdoptedWorker:
    """A worker of an earlier manager, as its listener knows it."""

    id: int
    generation: int
    started_at: float
    finished: int
    is_draining: bool


def fingerprint(settings: AppPool) -> str:
    """Tells whether a pool's settings are still the ones its workers were started with."""
    content = msgspec.json.encode(settings, order="deterministic", enc_hook=dict)
    return hashlib.sha256(content).hexdigest()[:16]


# By pool: a state is recorded after each decision, settings change once in a while.
_fingerprints: dict[str, tuple[AppPool, str]] = {}


def _fingerprint_of(settings: AppPool) -> str:
    known = _fingerprints.get(settings.name)
    if known is None or known[0] is not settings:
        known = _fingerprints[settings.name] = settings, fingerprint(settings)
    return known[1]


def to_record(pool: ApplicationPool) -> dict[str, Any]:
    """The pool's state, as JSON has it."""
    return {
        "state": pool.state.value,
        "settings": _fingerprint_of(pool.settings),
        "generation": pool.places.generation,
        "wanted": pool.places.wanted,
        "resume_at": pool.availability.resume_at,
        "trial_until": pool.availability.trial_until,
        "stale": {str(w.id): w.stale for w in pool.workers.values() if w.stale},
        "failures": [list(failure) for failure in pool.availability.failures.to_record()],
    }


def restore(
    pool: ApplicationPool,
    record: Mapping[str, Any],
    workers: Iterable[AdoptedWorker],
    now: float,
) -> None:
    """Go on with a pool where an earlier manager was; `tick` then does what is left to do."""
    available, places = pool.availability, pool.places
    interval_s = pool.settings.process_model.ping_interval_s
    limit_s = pool.settings.process_model.shutdown_time_limit_s
    stale = record.get("stale", {})
    available.state = PoolState(record["state"])
    available.resume_at = record.get("resume_at")
    available.trial_until = record.get("trial_until")
    available.failures.restore((at, who, settled, c) for at, who, settled, c in record["failures"])
    places.generation = record["generation"]
    for found in workers:
        places.machine.workers.add(found.id)
        pool.workers[found.id] = Worker(
            id=found.id,
            generation=found.generation,
            started_at=found.started_at,
            deadline=now + pool.scaled(limit_s) if found.is_draining else None,
            replaces=0,
            ping=PingWatch(now + pool.scaled(interval_s)),
            state=WorkerState.STOPPING if found.is_draining else WorkerState.RUNNING,
            is_loaded=True,
            is_attached=True,
            has_served=found.finished > 0,
            stale="" if found.is_draining else stale.get(str(found.id), ""),
            finished=found.finished,
            idle_since=now,
            wear=Wear(early_share(found.id, pool.max_processes)),
        )
    running = sum(1 for w in pool.workers.values() if w.state is WorkerState.RUNNING)
    places.wanted = max(min(record["wanted"], pool.max_processes), running)
    if available.state is PoolState.STOPPING and not pool.workers:
        available.state = PoolState.STOPPED
    if not available.is_accepting:
        places.wanted = 0
