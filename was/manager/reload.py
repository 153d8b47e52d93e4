"""What a new configuration changes for pools that run. Pure.

As in IIS, most settings of a pool take hold only in a new worker process, so a change of them
recycles the pool; the queue's limits, rapid-fail protection and the like are applied as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from was.config.model import AppPool, Failure, ServerConfig

__all__ = ["PoolChanges", "compare_pools", "needs_recycle", "needs_restart"]


@dataclass(frozen=True, slots=True)
class PoolChanges:
    """Names of pools, by what must be done with each."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    recycled: tuple[str, ...]


def compare_pools(old: Mapping[str, AppPool], new: ServerConfig) -> PoolChanges:
    """The difference between the pools there are and those of a new configuration."""
    return PoolChanges(
        added=tuple(name for name in new.app_pools if name not in old),
        removed=tuple(name for name in old if name not in new.app_pools),
        recycled=tuple(
            name
            for name, pool in new.app_pools.items()
            if name in old and needs_recycle(old[name], pool)
        ),
    )


def needs_recycle(old: AppPool, new: AppPool) -> bool:
    """Whether running workers must be replaced to follow the change."""
    return _bound_at_start(old) != _bound_at_start(new)


def _bound_at_start(pool: AppPool) -> AppPool:
    """The pool with every setting that is applied live set to one and the same value."""
    blank = AppPool(name=pool.name)
    return replace(
        pool,
        queue_length=blank.queue_length,
        auto_start=blank.auto_start,
        start_mode=blank.start_mode,
        requests=blank.requests,
        process_model=replace(
            pool.process_model,
            max_processes=1,
            log_event_on_process_model=blank.process_model.log_event_on_process_model,
        ),
        recycling=replace(
            pool.recycling,
            log_event_on_recycle=blank.recycling.log_event_on_recycle,
            disallow_overlapping_rotation=False,
            disallow_rotation_on_config_change=False,
        ),
        failure=Failure(
            orphan_worker_process=pool.failure.orphan_worker_process,
            orphan_action_exe=pool.failure.orphan_action_exe,
            orphan_action_params=pool.failure.orphan_action_params,
        ),
        file="",
        line=0,
    )


def needs_restart(started: ServerConfig, now: ServerConfig) -> list[str]:
    """A line for each setting that stays as it was when the server started."""
    found: list[str] = []
    if started.identities.listener != now.identities.listener:
        found.append("identities/@listener")
    if started.web_limits.control_groups != now.web_limits.control_groups:
        found.append("webLimits/@controlGroups")
    return [f"{name}: in force after the next `was restart`" for name in found]
