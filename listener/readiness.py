"""Who could not serve a request now: pure, over what the listener knows of each pool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["PoolFacts", "not_ready"]


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """One pool as the listener knows it."""

    name: str
    accepting: bool
    refusal: str  # why it does not accept: "Disabled" (an administrator stopped it), "AppOffline"
    demand_start: bool  # its first worker starts at its first request
    held_up: bool  # a worker is wanted, and does not start
    has_worker: bool  # one that may be given requests
    queued: int
    queue_length: int


def not_ready(pools: Iterable[PoolFacts], *, has_manager: bool) -> list[dict[str, str]]:
    """A line for each pool that should serve and cannot; a stopped one need not."""
    found: list[dict[str, str]] = []
    for pool in pools:
        reason = _reason(pool, has_manager=has_manager)
        if reason:
            found.append({"app_pool": pool.name, "reason": reason})
    return found


def _reason(pool: PoolFacts, *, has_manager: bool) -> str:
    if not pool.accepting:
        if pool.refusal == "AppOffline":
            return "disabled after a series of failures"
        if pool.refusal == "AppShutdown":
            return "it has used up its processor time"
        return ""
    if not pool.has_worker:
        if not pool.demand_start:
            return "no worker is ready"
        if not has_manager:
            return "it has no worker, and there is no manager to start one"
        if pool.held_up:
            return "it cannot start a worker"
    if 0 < pool.queue_length <= pool.queued:
        return "its queue is full"
    return ""
