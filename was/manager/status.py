"""The server's state, and what is wrong with it, as the command line shows them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import was
from was.clock import utc_text
from was.ipc.listener_control import ListenerReport
from was.manager.pool import ApplicationPool
from was.manager.states import DISPATCHING, PoolState, WorkerState

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["status"]

_TEXT_LIMIT = 1000  # of what a worker says


def status(manager: Manager, report: ListenerReport | None) -> dict[str, Any]:
    """The answer to `was status`; `report` is None when the listener says nothing."""
    server = manager.server
    return {
        "state": "running",
        "home": str(server.home.path),
        "manager_pid": os.getpid(),
        "listener_pid": manager.listener.process.pid,
        "template_pid": manager.template.process.pid,
        "supervisor_pid": manager.supervisor.process.pid or None,
        "uptime_s": round(server.clock.monotonic() - manager.started_at, 3),
        "version": was.__version__,
        "is_ready": manager.is_ready,
        "is_stopping": manager.shutdown.has_begun,
        "is_upgrading": manager.upgrade.is_under_way,
        "upgrade_error": manager.upgrade.error or None,
        "config": {
            "state": "failed" if manager.reloading.errors else "ok",
            "since": utc_text(manager.reloading.since),
            "errors": manager.reloading.errors,
        },
        "sites": len(server.config.sites),
        "app_pools": len(manager.pools),
        "workers": sum(1 for h in manager.workers.handles.values() if h.pid),
        "problems": [*_problems(manager), *_problems_of_listener(manager, report)],
        "events_dropped": server.events.dropped,
        "dossiers_dropped": manager.deaths.dossiers.dropped,
    }


def _problems(manager: Manager) -> list[str]:
    """One line for each thing that should serve and cannot, or write down and cannot.

    A stopped pool or site need not.
    """
    found: list[str] = []
    if manager.shutdown.has_begun:
        found.append("the server is stopping")
    if not manager.listener.is_ready:
        found.append("the listener is not ready")
    if not manager.template.is_connected:
        found.append("the template is not ready")
    found += manager.sites.refused.values()
    for name, pool in manager.pools.items():
        if pool.state is PoolState.DISABLED:
            found.append(f"application pool '{name}' is disabled after a series of failures")
        elif pool.state is PoolState.SHUT_OUT:
            found.append(f"application pool '{name}' has used up its processor time")
        elif pool.is_accepting and pool.is_always_running and not _has_running(pool):
            found.append(f"application pool '{name}' has no worker that is ready")
        elif pool.is_held_up:
            found.append(f"application pool '{name}' cannot start a worker; the log says why")
    return [*found, *_failed_programs(manager), *_log_problems(manager)]


def _failed_programs(manager: Manager) -> list[str]:
    """Applications that run in no worker of their pool."""
    handles = [h for h in manager.workers.handles.values() if h.is_alive and not h.is_draining]
    running = {(h.pool, mark) for h in handles for mark in h.programs}
    failed = {(h.pool, mark): why for h in handles for mark, why in h.failed_programs.items()}
    return [why[:_TEXT_LIMIT] for key, why in failed.items() if key not in running]


def _problems_of_listener(manager: Manager, report: ListenerReport | None) -> list[str]:
    """What only the listener could say."""
    if report is None:
        return ["the listener does not answer"] if manager.listener.is_ready else []
    return [
        f"the queue of application pool '{counters.name}' is full"
        for counters in report.pools
        if (pool := manager.pools.get(counters.name)) is not None
        and pool.is_accepting
        and 0 < pool.settings.queue_length <= counters.queued
    ]


def _log_problems(manager: Manager) -> list[str]:
    """All is served, and not all is written down."""
    troubles = {h.pool: h.log_trouble for h in manager.workers.handles.values() if h.log_trouble}
    found = [f"the log of pool '{name}' cannot be opened: {why}" for name, why in troubles.items()]
    if manager.listener.log_trouble:
        found.append(manager.listener.log_trouble)
    if manager.server.files.trouble:
        found.append(manager.server.files.trouble)
    if manager.server.events.is_failing:
        found.append("the event log cannot be written")
    return found


def _has_running(pool: ApplicationPool) -> bool:
    serving = DISPATCHING | {WorkerState.SUSPENDED}
    return any(worker.state in serving for worker in pool.workers.values())
