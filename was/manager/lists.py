"""The rows of `was list`. Keys and states are the contract's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil

from was.clock import utc_text
from was.errors import AdminError
from was.ipc.listener_control import ListenerReport
from was.ipc.messages import request_id_text
from was.manager.pool import ApplicationPool
from was.manager.states import PoolState, WorkerState

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["OF_LISTENER", "OF_MANAGER"]

Rows = list[dict[str, Any]]


def _workers(manager: Manager, report: ListenerReport | None) -> Rows:
    active = {w.worker_id: w.active for w in report.workers} if report is not None else {}
    rows: Rows = []
    for handle in manager.workers.handles.values():
        pool = manager.pools.get(handle.pool)
        worker = pool.workers.get(handle.id) if pool is not None else None
        if handle.is_orphan:
            shown = "orphaned"
        elif worker is None or not handle.pid:
            continue
        else:
            is_going = worker.state is WorkerState.FAILED
            shown = (WorkerState.STOPPING if is_going else worker.state).value
        cpu_s, private_bytes = _measure(handle.pid)
        rows.append(
            {
                "pid": handle.pid,
                "app_pool": handle.pool,
                "state": shown,
                "generation": handle.generation,
                "started": utc_text(handle.started_wall),
                "requests": handle.finished(),
                "active": active.get(handle.id, 0),
                "cpu_s": cpu_s,
                "private_bytes": private_bytes,
                "worker_id": handle.id,
            }
        )
    return rows


def _measure(pid: int) -> tuple[float, int]:
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return round(times.user + times.system, 3), int(process.memory_full_info().uss)
    except (psutil.Error, OSError):
        return 0.0, 0


def _requests(manager: Manager, report: ListenerReport | None) -> Rows:
    if report is None:
        raise AdminError("the listener does not answer")
    names = {site.id: site.name for site in manager.server.config.sites}
    pids = {handle.id: handle.pid for handle in manager.workers.handles.values()}
    return [
        {
            "id": request_id_text(row.id),
            "connection_id": row.connection_id,
            "app_pool": row.app_pool,
            "site": names.get(row.site, str(row.site)),
            "pid": pids.get(row.worker_id, 0),
            "verb": row.verb,
            "url": row.url,
            "client": row.client,
            "attempt": row.attempt,
            "state": row.state,
            "notification": row.notification,
            "module": row.module,
            "elapsed_ms": row.elapsed_ms,
        }
        for row in report.requests
    ]


def _pools(manager: Manager, report: ListenerReport | None) -> Rows:
    queued = {p.name: p.queued for p in report.pools} if report is not None else {}
    now = manager.server.clock.monotonic()
    return [
        {
            "name": name,
            "state": _shown(pool.state),
            "start_mode": pool.settings.start_mode.value,
            "workers": len(pool.workers),
            "queued": queued.get(name, 0),
            **_identity(manager, pool),
            "failures": pool.failure_count(now),
            "cpu_limited_by": manager.processors.limited_by(name),
        }
        for name, pool in manager.pools.items()
    ]


def _identity(manager: Manager, pool: ApplicationPool) -> dict[str, Any]:
    server = manager.server
    name, isolation = server.isolation.describe(pool.settings, server.config)
    return {"identity": name, "isolation": isolation}


def _shown(state: PoolState) -> str:
    return "stopped" if state in (PoolState.DISABLED, PoolState.SHUT_OUT) else state.value


def _sites(manager: Manager) -> Rows:
    return [
        {
            "name": site.name,
            "id": site.id,
            "state": "started" if manager.sites.is_started(site) else "stopped",
            "bindings": manager.sites.bindings(site),
            "apps": [application.path for application in site.applications],
        }
        for site in manager.server.config.sites
    ]


def _applications(manager: Manager) -> Rows:
    return [
        {
            "site": site.name,
            "path": application.path,
            "app_pool": application.application_pool,
            "physical_path": application.physical_path,
        }
        for site in manager.server.config.sites
        for application in site.applications
    ]


def _virtual_directories(manager: Manager) -> Rows:
    return [
        {
            "site": site.name,
            "app": application.path,
            "path": directory.path,
            "physical_path": directory.physical_path,
        }
        for site in manager.server.config.sites
        for application in site.applications
        for directory in application.virtual_directories
    ]


def _modules(manager: Manager) -> Rows:
    return [
        {"name": module.name, "image": module.image, "precondition": module.pre_condition}
        for module in manager.server.config.global_modules
    ]


# By the word of the command, with what it takes: the listener's report, or nothing but ourselves.
OF_LISTENER: dict[str, Callable[[Manager, ListenerReport | None], Rows]] = {
    "wp": _workers,
    "request": _requests,
    "apppool": _pools,
}
OF_MANAGER: dict[str, Callable[[Manager], Rows]] = {
    "site": _sites,
    "app": _applications,
    "vdir": _virtual_directories,
    "module": _modules,
}
