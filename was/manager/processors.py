"""The processors: which ones a worker may use, and what is done about a pool over its `cpu` limit.

What can be asked of the kernel is (control_groups.py). Elsewhere the manager supervises: it adds
up what the workers use, holds those of a throttled pool with SIGSTOP for as long as it takes, and
makes those of a pool that shall give way under load nicer. A held worker is continued by the
kernel should the manager end (see `may_be_held` in worker/main.py), and pings wait for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from was.config.model import Cpu, CpuAction
from was.ipc.endpoints import home_key, pool_key
from was.log import log
from was.manager import process
from was.manager.control_groups import ControlGroup, ControlGroups, find
from was.manager.cpu_limit import (
    CpuBudget,
    CpuThrottle,
    affinity_of,
    has_budget,
    is_limited,
    nice_of,
    share_of,
)
from was.manager.cpu_time import CpuMeter
from was.manager.handle import WorkerHandle
from was.manager.performer import Performer
from was.manager.pool import ApplicationPool
from was.manager.server import Server
from was.manager.states import WorkerState
from was.manager.workers import WorkerSet

__all__ = ["Processors"]

# How often it is looked whether the kernel has held a pool, and how often that is said at most.
THROTTLE_LOOK_S = 10.0
THROTTLE_EVENT_S = 300.0
REMOVE_TRIES = 50
RECORD = "control-groups"


@dataclass(slots=True)
class _Limited:
    """A pool with a limit, as long as that is the same."""

    cpu: Cpu
    group: ControlGroup | None
    meter: CpuMeter
    budget: CpuBudget | None = None
    throttle: CpuThrottle | None = None
    throttled: int = 0  # periods, as the kernel counts them
    said_at: float | None = None
    next_at: float | None = None
    held: set[int] = field(default_factory=set[int])


class Processors:
    """What the manager does about processor time."""

    def __init__(
        self,
        server: Server,
        performer: Performer,
        workers: WorkerSet,
        pools: Mapping[str, ApplicationPool],
    ) -> None:
        self._server = server
        self._performer = performer
        self._workers = workers
        self._pools = pools
        self._limited: dict[str, _Limited] = {}
        self._groups: ControlGroups | None = None
        self._has_looked = False
        self._has_let_go = False
        self._count = os.cpu_count() or 1

    def limited_by(self, pool: str) -> str:
        """Who sees to the pool's limit: a control group, the manager, or "" without one."""
        limited = self._limited.get(pool)
        if limited is None:
            return ""
        return limited.group.by if limited.group is not None else "manager"

    # ── workers ─────────────────────────────────────────────────────────────────────────────────

    def arrived(self, handle: WorkerHandle) -> None:
        """A worker waits for its welcome: one thread, and nothing of the application yet."""
        pool = self._pools.get(handle.pool)
        if pool is None:
            return
        cpu = pool.settings.cpu
        if cpu.smp_affinitized:
            self._bind(handle, pool)
        limited = self._limited_of(pool)
        if limited is None:
            return
        if limited.group is not None:
            try:
                limited.group.add(handle.pid)
            except OSError as error:
                self._supervise(limited, pool.settings.name, str(error))
        if limited.group is None and cpu.action is CpuAction.THROTTLE_UNDER_LOAD:
            _make_nice(handle.pid, nice_of(share_of(cpu)))
        handle.may_be_held = limited.group is None and cpu.action is CpuAction.THROTTLE

    def _bind(self, handle: WorkerHandle, pool: ApplicationPool) -> None:
        wanted = affinity_of(pool.settings.cpu, os.sched_getaffinity(0))
        try:  # the kernel refuses an empty set
            os.sched_setaffinity(handle.pid, wanted)
        except OSError as error:
            self._performer.report(pool, 5058, handle.id, {"detail": str(error)})

    # ── limits ──────────────────────────────────────────────────────────────────────────────────

    def next_deadline(self) -> float | None:
        """When `tick` has something to look at."""
        if self._has_let_go:
            return None
        times = [limited.next_at for limited in self._limited.values()]
        return min((t for t in times if t is not None), default=None)

    def let_go(self) -> None:
        """The server ends: nobody is held any more."""
        self._has_let_go = True
        for name in self._limited:
            self._continue_all(name)

    def tick(self, now: float) -> None:
        """Look at the pools whose time it is."""
        if self._has_let_go:
            return
        for name in [n for n in self._limited if n not in self._pools]:
            self._forget(name)
        for name, pool in self._pools.items():
            limited = self._limited_of(pool)
            if limited is not None and limited.next_at is not None and now >= limited.next_at:
                try:
                    self._look(pool, limited, now)
                except OSError as error:
                    self._supervise(limited, name, str(error))

    def _look(self, pool: ApplicationPool, limited: _Limited, now: float) -> None:
        cpu, scaled = limited.cpu, self._server.clock.scaled
        if cpu.action is CpuAction.THROTTLE_UNDER_LOAD:
            limited.next_at = None
            return
        if limited.group is not None and cpu.action is CpuAction.THROTTLE:
            limited.next_at = now + max(0.1, scaled(THROTTLE_LOOK_S))
            throttled = limited.group.throttled()
            if throttled > limited.throttled:
                self._say_throttled(pool, limited, now)
            limited.throttled = throttled
            return
        used_s = self._used_s(pool, limited)
        share = share_of(cpu)
        if not has_budget(cpu):
            if limited.throttle is None:
                limited.throttle = CpuThrottle(now, used_s)
            is_held = limited.throttle.look(now, used_s, share=share, processors=self._count)
            limited.next_at = limited.throttle.next_at
            if is_held:
                self._say_throttled(pool, limited, now)
                self._hold(pool, limited, limited.next_at - now)
            else:
                self._continue_all(pool.settings.name)
            return
        if limited.budget is None:
            limited.budget = CpuBudget(now, used_s)
        interval_s = scaled(cpu.reset_interval_s)
        is_exceeded = limited.budget.look(
            now, used_s, share=share, processors=self._count, interval_s=interval_s
        )
        limited.next_at = limited.budget.next_at
        if is_exceeded:
            self._performer.report(pool, 5025, 0, {"action": cpu.action.value})
            if cpu.action is CpuAction.KILL_W3WP:
                self._performer.perform(pool, pool.shut_out(limited.budget.ends_at))

    def _say_throttled(self, pool: ApplicationPool, limited: _Limited, now: float) -> None:
        again_s = self._server.clock.scaled(limited.cpu.reset_interval_s or THROTTLE_EVENT_S)
        if limited.said_at is None or now >= limited.said_at + again_s:
            limited.said_at = now
            self._performer.report(pool, 5025, 0, {"action": limited.cpu.action.value})

    def _used_s(self, pool: ApplicationPool, limited: _Limited) -> float:
        if limited.group is not None:
            return limited.group.used_s()
        handles = [self._workers.handles.get(worker_id) for worker_id in pool.workers]
        return limited.meter.read({h.id: h.pid for h in handles if h is not None and h.is_alive})

    def _hold(self, pool: ApplicationPool, limited: _Limited, for_s: float) -> None:
        for worker_id, worker in pool.workers.items():
            handle = self._workers.handles.get(worker_id)
            if handle is None or not handle.is_alive or not handle.may_be_held:
                continue
            if worker.state is WorkerState.SUSPENDED:  # it is stopped already, for another reason
                continue
            worker.ping.excuse(for_s)
            if worker_id not in limited.held:
                limited.held.add(worker_id)
                process.kill(handle.pidfd, signal.SIGSTOP)

    def _continue_all(self, name: str) -> None:
        limited = self._limited.get(name)
        if limited is None:
            return
        pool = self._pools.get(name)
        for worker_id in limited.held:
            handle = self._workers.handles.get(worker_id)
            worker = None if pool is None else pool.workers.get(worker_id)
            if worker is not None and worker.state is WorkerState.SUSPENDED:
                continue
            if handle is not None and handle.is_alive and not handle.is_orphan:
                process.kill(handle.pidfd, signal.SIGCONT)
        limited.held.clear()

    # ── pools with a limit ──────────────────────────────────────────────────────────────────────

    def _limited_of(self, pool: ApplicationPool) -> _Limited | None:
        name, cpu = pool.settings.name, pool.settings.cpu
        limited = self._limited.get(name)
        if limited is not None and limited.cpu == cpu:
            return limited
        self._forget(name)
        if not is_limited(cpu):
            return None
        limited = _Limited(cpu, None, CpuMeter(), next_at=self._server.clock.monotonic())
        self._limited[name] = limited
        try:
            limited.group = self._group(name, cpu)
        except OSError as error:
            self._supervise(limited, name, str(error))
        else:
            if limited.group is None:
                may = self._server.config.web_limits.control_groups
                why = "no control group can be made" if may else "control groups are switched off"
                self._supervise(limited, name, why)
        return limited

    def _group(self, name: str, cpu: Cpu) -> ControlGroup | None:
        if not self._server.config.web_limits.control_groups:
            return None
        if not self._has_looked:
            self._has_looked = True
            self._groups = self._find_groups()
        if self._groups is None:
            return None
        group = self._groups.group(pool_key(name))
        share = share_of(cpu)
        group.set_limits(
            rate=share if cpu.action is CpuAction.THROTTLE else None,
            weight=share if cpu.action is CpuAction.THROTTLE_UNDER_LOAD else None,
            processors=self._count,
        )
        return group

    def _find_groups(self) -> ControlGroups | None:
        files = self._server.files
        name = f"was-{home_key(self._server.home.path)}"
        record = files.read(RECORD)  # of an earlier manager, which may have been started elsewhere
        parents = tuple(Path(parent) for parent in record.get("parents", ()))
        if parents and all(parent.is_dir() for parent in parents):
            return ControlGroups(record["version"], parents, name)
        ours = {os.getpid(), *process.descendants_of(os.getpid())}
        groups = find(name, ours, is_unit="INVOCATION_ID" in os.environ)
        if groups is not None:
            kept = {"version": groups.version, "parents": [str(p) for p in groups.parents]}
            files.write(RECORD, kept)
        return groups

    def _supervise(self, limited: _Limited, name: str, why: str) -> None:
        limited.group = None
        log("cpu_supervised", app_pool=name, action=limited.cpu.action.value, why=why)

    def _forget(self, name: str) -> None:
        limited = self._limited.get(name)
        if limited is None:
            return
        self._continue_all(name)
        del self._limited[name]
        if limited.group is not None and not limited.group.remove():
            with contextlib.suppress(OSError):  # workers that are about to go are still in it
                limited.group.set_limits(rate=None, weight=None, processors=self._count)

    def close(self) -> None:
        """The server has ended, its processes too: leave no group behind."""
        if not self._has_looked and self._server.files.read(RECORD):
            self._groups = self._find_groups()
        if self._groups is None:
            return
        for name in list(self._limited):
            self._forget(name)  # who is killed needs processor time to be gone
        for _ in range(REMOVE_TRIES):  # and a moment
            if self._groups.remove():
                self._server.files.remove(RECORD)
                return
            sleep(0.01)
        log("groups_left", parents=[str(parent) for parent in self._groups.parents])


def _make_nice(pid: int, nice: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        # Where sessions are scheduled as groups, niceness counts within a worker's session only.
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
