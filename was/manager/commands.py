"""Answers to the command line. Keys and states are the contract's.

{"command": …} -> {"ok": true, "result": …} or {"ok": false, "error": one line, "kind": …}.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil

import was
from was.config.model import RecycleReason, Site
from was.errors import AdminError
from was.ipc.listener_control import ListenerReport
from was.ipc.messages import request_id_text
from was.ipc.worker_control import WorkerAnswer
from was.manager.inbox import AdminAsked
from was.manager.pool import ApplicationPool
from was.manager.states import DISPATCHING, PoolState, WorkerState

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["answer"]

Result = Callable[[Any], None]
Rows = list[dict[str, Any]]

_UNKNOWN = "unknown_object"
_STATE = "wrong_state"
_FAILED = "failed"
_USAGE = "usage"


class _RefusedError(AdminError):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def answer(manager: Manager, asked: AdminAsked) -> None:
    """Answer now or when what was asked for has happened."""

    def settle(reply: dict[str, Any]) -> None:
        if not asked.answer.done():
            asked.answer.set_result(reply)

    def succeeded(result: object) -> None:
        settle({"ok": True, "result": result})

    def failed(text: str, kind: str = _FAILED) -> None:
        settle({"ok": False, "error": text, "kind": kind})

    try:
        _answer(manager, asked.request, succeeded, failed)
    except _RefusedError as error:
        failed(str(error), error.kind)
    except AdminError as error:
        failed(str(error))
    except Exception as error:
        failed(f"{type(error).__name__}: {error}")
        raise


def _answer(
    manager: Manager, request: dict[str, Any], done: Result, failed: Callable[[str], None]
) -> None:
    command = request.get("command")
    if command == "status":
        manager.queries.ask(lambda report: done(_status(manager, report)))
    elif command == "list":
        _list(manager, str(request.get("object", "")), done)
    elif command == "recycle":
        _recycle(manager, request, done, failed)
    elif command == "query":
        _query(manager, request, done, failed)
    elif command in ("start", "stop"):
        _start_or_stop(manager, request, command == "start")
        done(None)
    elif command == "reload":
        errors = manager.reloading.reload()
        if errors:
            raise _RefusedError(_FAILED, "; ".join(errors))
        done({"warnings": list(manager.server.config.warnings)})
    elif command == "upgrade":
        manager.upgrade.begin()
        done(None)
    elif command == "reopen_logs":
        manager.reopen_logs()
        done(None)
    elif command == "shutdown":
        done(None)
        now = manager.server.clock.monotonic()
        if request.get("drain", True):
            manager.shutdown.begin(now)
        else:
            manager.shutdown.at_once(now)
    else:
        raise _RefusedError(_USAGE, f"unknown command '{command}'")


def _status(manager: Manager, report: ListenerReport | None) -> dict[str, Any]:
    server = manager.server
    return {
        "state": "running",
        "home": str(server.home.path),
        "manager_pid": os.getpid(),
        "listener_pid": manager.listener.process.pid,
        "template_pid": manager.template.process.pid,
        "supervisor_pid": manager.supervisor.process.pid or None,
        "uptime_s": round(server.clock.wall() - manager.started_wall, 3),
        "version": was.__version__,
        "is_ready": manager.is_ready,
        "is_stopping": manager.shutdown.has_begun,
        "is_upgrading": manager.upgrade.is_under_way,
        "config": {
            "state": "failed" if manager.reloading.errors else "ok",
            "since": _utc(manager.reloading.since),
            "errors": manager.reloading.errors,
        },
        "sites": len(server.config.sites),
        "app_pools": len(manager.pools),
        "workers": sum(1 for h in manager.workers.handles.values() if h.pid),
        "problems": [*problems(manager), *_problems_of_listener(manager, report)],
        "events_dropped": server.events.dropped,
        "dossiers_dropped": manager.deaths.dossiers.dropped,
    }


def problems(manager: Manager) -> list[str]:
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
    return [*found, *_log_problems(manager)]


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


def _utc(wall: float) -> str:
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ── lists ───────────────────────────────────────────────────────────────────────────────────────


def _list(manager: Manager, what: str, done: Result) -> None:
    asked = manager.queries.ask
    match what.rstrip("s") if what != "vdirs" else "vdir":
        case "wp":
            asked(lambda report: done(_workers(manager, report)))
        case "request":
            asked(lambda report: done(_requests(manager, report)), with_requests=True)
        case "apppool":
            asked(lambda report: done(_pools(manager, report)))
        case "site":
            done([_site(manager, site) for site in manager.server.config.sites])
        case "app":
            done(_applications(manager))
        case "vdir":
            done(_virtual_directories(manager))
        case "module":
            done(
                [
                    {"name": m.name, "image": m.image, "precondition": m.pre_condition}
                    for m in manager.server.config.global_modules
                ]
            )
        case _:
            raise _RefusedError(_USAGE, f"there is no list of '{what}'")


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
                "started": _utc(handle.started_wall),
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
        raise _RefusedError(_FAILED, "the listener does not answer")
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


def _site(manager: Manager, site: Site) -> dict[str, Any]:
    return {
        "name": site.name,
        "id": site.id,
        "state": "started" if manager.sites.is_started(site) else "stopped",
        "bindings": manager.sites.bindings(site),
        "apps": [application.path for application in site.applications],
    }


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


# ── orders ──────────────────────────────────────────────────────────────────────────────────────


def _pool(manager: Manager, name: object) -> ApplicationPool:
    wanted = str(name or "").lower()  # as IIS: no two differ in case alone
    pool = next((pool for n, pool in manager.pools.items() if n.lower() == wanted), None)
    if pool is None:
        raise _RefusedError(_UNKNOWN, f"there is no application pool '{name or ''}'")
    return pool


def _recycle(
    manager: Manager, request: dict[str, Any], done: Result, failed: Callable[[str], None]
) -> None:
    pool = _pool(manager, request.get("apppool"))
    if not pool.is_accepting:
        raise _RefusedError(_STATE, f"application pool '{pool.settings.name}' is stopped")
    now = manager.server.clock.monotonic()
    token = 0
    if request.get("wait"):
        token = manager.performer.new_token(lambda error: failed(error) if error else done(None))
    manager.performer.perform(pool, pool.recycle(RecycleReason.ON_DEMAND, now, token))
    if not token:
        done(None)


def _query(
    manager: Manager, request: dict[str, Any], done: Result, failed: Callable[[str], None]
) -> None:
    """GL_RSCA_QUERY in one worker."""
    pid = request.get("pid")
    handle = next((h for h in manager.workers.handles.values() if pid and h.pid == pid), None)
    pool = None if handle is None else manager.pool_of(handle.id)
    worker = None if handle is None or pool is None else pool.workers.get(handle.id)
    if handle is None or worker is None:
        raise _RefusedError(_UNKNOWN, f"there is no worker process {pid or ''}")
    if worker.state is WorkerState.SUSPENDED:
        raise _RefusedError(_STATE, f"worker process {pid} is suspended")

    def answered(answer: WorkerAnswer | None) -> None:
        if answer is None:
            failed(f"worker process {pid} does not answer")
        else:
            text = answer.data.decode("utf-8", "backslashreplace")
            done({"hresult": answer.hresult, "data": text})

    function, parameters = str(request.get("function", "")), str(request.get("parameters", ""))
    manager.worker_queries.ask(handle, function, parameters, answered)


def _start_or_stop(manager: Manager, request: dict[str, Any], start: bool) -> None:
    what, name = str(request.get("object", "")), request.get("name")
    if what == "apppool":
        pool = _pool(manager, name)
        now = manager.server.clock.monotonic()
        if not start and not pool.is_accepting:
            raise _RefusedError(_STATE, f"application pool '{name}' is stopped already")
        if start and pool.is_accepting:
            raise _RefusedError(_STATE, f"application pool '{name}' is started already")
        manager.performer.perform(pool, pool.start(now) if start else pool.stop(now))
    elif what == "site":
        wanted = str(name or "").lower()
        sites = manager.server.config.sites
        site = next((s for s in sites if s.name.lower() == wanted), None)
        if site is None:
            raise _RefusedError(_UNKNOWN, f"there is no site '{name or ''}'")
        if manager.sites.is_started(site) == start:
            word = "started" if start else "stopped"
            raise _RefusedError(_STATE, f"site '{name}' is {word} already")
        error = manager.sites.set_started(site, started=start)
        if error:
            raise _RefusedError(_FAILED, error)
    else:
        raise _RefusedError(_USAGE, f"'{what}' cannot be started or stopped")
