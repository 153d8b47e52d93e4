"""Carries out what the pools decide: here an action becomes a message, a signal or a process."""

from __future__ import annotations

import errno
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import assert_never

from was import faults
from was.ipc.listener_control import SuspendWorker
from was.ipc.worker_control import Ping, StopWorker
from was.log import log, log_exception
from was.manager.accounts import IdentityError
from was.manager.actions import (
    Action,
    Activate,
    AutoShutdown,
    Drain,
    Freeze,
    Kill,
    Note,
    Orphan,
    Publish,
    RecycleSettled,
    Report,
    SendPing,
    Spawn,
    Stop,
    Suspend,
    Thaw,
)
from was.manager.asked_stacks import when_written
from was.manager.deaths import DEATHS, Deaths
from was.manager.events import event_text
from was.manager.interpreters import InterpreterError
from was.manager.listener_side import ListenerSide
from was.manager.newcomers import Newcomers
from was.manager.orphans import Orphans
from was.manager.pool import ApplicationPool
from was.manager.pool_record import to_record
from was.manager.routes import pool_queue
from was.manager.server import Server
from was.manager.states import PoolState
from was.manager.workers import ConfigNotWrittenError, WorkerSet

__all__ = ["Performer"]

RECYCLE_FAILED = 5093

# A start that fails of these says nothing of the application.
SHORTAGES = frozenset(
    {
        errno.EAGAIN,
        errno.EDQUOT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ENOSPC,
    }
)


class Performer:
    """The hands of the pools."""

    def __init__(
        self,
        server: Server,
        listener: ListenerSide,
        workers: WorkerSet,
        pools: Mapping[str, ApplicationPool],
        deaths: Deaths,
        newcomers: Newcomers,
    ) -> None:
        self._server = server
        self._listener = listener
        self._workers = workers
        self._pools = pools
        self._deaths = deaths
        self._newcomers = newcomers
        self.orphans = Orphans(server, workers, listener, deaths)
        # Told of each pool that something has happened to.
        self.on_performed: Callable[[ApplicationPool], object] = lambda _pool: None
        self._waiters: dict[int, Callable[[str], None]] = {}
        self._last_token = 0
        self._cause = ""  # the last event of what is being done

    def new_token(self, on_settled: Callable[[str], None]) -> int:
        """A token for a recycling; `on_settled` gets its error, "" when it did its work."""
        self._last_token += 1
        self._waiters[self._last_token] = on_settled
        return self._last_token

    def perform(self, pool: ApplicationPool, actions: Sequence[Action]) -> None:
        """Do all of it, and what the doing leads to; new workers first, which take longest."""
        self._cause = ""
        left = deque(sorted(actions, key=lambda action: not isinstance(action, Spawn)))
        while left:
            left.extend(self._one(pool, left.popleft()))
        self.on_performed(pool)
        name = pool.settings.name
        is_removed = name not in self._server.config.app_pools
        self._server.files.write_pool(name, {**to_record(pool), "is_removed": is_removed})

    def _one(self, pool: ApplicationPool, action: Action) -> Sequence[Action]:
        match action:
            case Spawn():
                return self._spawn(pool, action)
            case Kill(worker_id):
                return self._kill(pool, worker_id)
            case Orphan(worker_id):
                if not self.orphans.take(pool.settings.failure, worker_id):
                    return self._kill(pool, worker_id)  # there is no process yet
            case AutoShutdown():
                self.orphans.pool_disabled(pool.settings)
            case Activate(worker_id, replaces):
                self._activate(worker_id, replaces)
            case Drain(worker_id):
                self._drain(worker_id)
            case Suspend(worker_id):
                return self._suspend(pool, worker_id)
            case Freeze(worker_id):
                self._workers.prepare_suspend(worker_id)
            case Thaw(worker_id):
                self._workers.resume(worker_id)
            case Stop(worker_id, drain):
                self._mark_draining(worker_id)
                # The server ends: one that somebody has stopped is to hear it (as from systemd).
                self._workers.signal(worker_id, signal.SIGCONT)
                self._tell_to_stop(worker_id, drain=drain)
            case SendPing(worker_id, nonce):
                peer = self._workers.handles[worker_id].peer
                if peer is not None:
                    peer.send(Ping(nonce))
            case Publish():
                self._publish(pool)
            case Report(event_id, worker_id, fields):
                self.report(pool, event_id, worker_id, fields)
            case Note(event, worker_id, fields):
                named: dict[str, object] = {"app_pool": pool.settings.name}
                if worker_id:
                    named["worker"] = worker_id
                log(event, **named, **fields)
            case RecycleSettled(token, error):
                self._settle(token, error)
            case _:
                assert_never(action)
        return ()

    def _activate(self, worker_id: int, replaces: Sequence[int]) -> None:
        faults.reach("manager.activating")
        handle = self._workers.handles[worker_id]
        if not handle.is_active:
            handle.is_active = True
            self._workers.record(handle)
        for old in replaces:
            self._mark_draining(old)
        self._listener.activate(handle, replaces)
        if not self._listener.is_connected:
            for old in replaces:
                self._tell_to_stop(old, drain=True)

    def _drain(self, worker_id: int) -> None:
        self._mark_draining(worker_id)
        if self._listener.is_connected:
            self._listener.drain(worker_id)
        else:
            self._tell_to_stop(worker_id, drain=True)

    def _settle(self, token: int, error: str) -> None:
        on_settled = self._waiters.pop(token, None)
        if on_settled is not None:
            on_settled(f"{error} ({self._cause})" if error and self._cause else error)

    def _suspend(self, pool: ApplicationPool, worker_id: int) -> Sequence[Action]:
        # A listener that is being replaced may have requests in the worker of which its successor
        # does not know.
        if self._listener.is_connected and self._listener.retiring is None:
            self._workers.handles[worker_id].is_active = False
            self._listener.send(SuspendWorker(worker_id))
            return ()
        now = self._server.clock.monotonic()
        return pool.worker_suspended(worker_id, now, is_quiet=False)

    def _programs_of(self, action: Spawn) -> Sequence[int]:
        old = self._workers.handles.get(action.replaces)
        return old.programs if old is not None and action.runs_the_same else ()

    def _spawn(self, pool: ApplicationPool, action: Spawn) -> Sequence[Action]:
        worker_id = action.worker_id
        try:
            self._workers.spawn(
                pool.settings,
                worker_id,
                action.generation,
                is_replacement=action.replaces > 0,
                programs=self._programs_of(action),
            )
            faults.reach("manager.spawned")
            trouble = self._workers.handles[worker_id].log_trouble
            if trouble:
                self.report(pool, 15000, worker_id, {"detail": trouble})
        except IdentityError as error:
            log("worker_spawn_failed", error=error, app_pool=pool.settings.name)
            self.report(pool, 5021, worker_id, {"detail": str(error)})
            follows = self._exited(pool, worker_id)
            if pool.state is PoolState.DISABLED:
                self.report(pool, 5057, worker_id, {})
            return follows
        except InterpreterError as error:
            log("worker_spawn_failed", error=error, app_pool=pool.settings.name)
            self.report(pool, 5022, worker_id, {"detail": str(error)})
            return self._exited(pool, worker_id)
        except OSError as error:
            log_exception("worker_spawn_failed", error, app_pool=pool.settings.name)
            is_config = isinstance(error, ConfigNotWrittenError)
            self.report(pool, 5189 if is_config else 5022, worker_id, {"detail": str(error)})
            return self._exited(pool, worker_id, is_counted=error.errno not in SHORTAGES)
        return ()

    def _kill(self, pool: ApplicationPool, worker_id: int) -> Sequence[Action]:
        log("worker_killed", worker=worker_id, app_pool=pool.settings.name)
        handle = self._workers.handles.get(worker_id)
        if handle is not None and handle.stacks_begin >= 0:
            when_written(self._server, handle, partial(self._workers.kill, worker_id))
            return ()
        if not self._workers.kill(worker_id):
            return ()
        self._workers.remove(self._workers.handles[worker_id])
        return self._exited(pool, worker_id)

    def _exited(
        self, pool: ApplicationPool, worker_id: int, *, is_counted: bool = True
    ) -> Sequence[Action]:
        now = self._server.clock.monotonic()
        return pool.worker_exited(
            worker_id, now, served=False, how="was never forked", is_counted=is_counted
        )

    def _mark_draining(self, worker_id: int) -> None:
        handle = self._workers.handles.get(worker_id)
        if handle is not None:
            handle.is_draining = True
            handle.is_active = False
            if handle.pid:
                self._workers.record(handle)  # its end is no failure, whoever is there to see it
            log("worker_stopping", worker=worker_id, pid=handle.pid, app_pool=handle.pool)

    def _tell_to_stop(self, worker_id: int, *, drain: bool) -> None:
        handle = self._workers.handles.get(worker_id)
        if handle is not None and handle.peer is not None:
            handle.peer.send(StopWorker(drain))

    def report(
        self, pool: ApplicationPool, event_id: int, worker_id: int, fields: Mapping[str, object]
    ) -> None:
        """An entry for the event log; that of a death waits until all is known about it."""
        handle = self._workers.handles.get(worker_id)
        about: dict[str, object] = {"app_pool": pool.settings.name}
        if handle is not None:
            about |= {"pid": handle.pid, "worker_id": worker_id}
            if event_id == 5009 and handle.is_killed:
                return  # by us, at a shutdown that waits for nobody
            if event_id in DEATHS:
                self._remember_cause(event_id, {**about, **fields})
                is_met = self._listener.is_connected
                self._deaths.report(event_id, handle, {**about, **fields}, is_met=is_met)
                return
        elif event_id == 5009:
            return  # it never was, and why is said already
        else:
            of_pool = [h for h in self._workers.handles.values() if h.pool == pool.settings.name]
            serving = [h for h in of_pool if h.is_alive and not (h.is_draining or h.is_killed)]
            about |= {"pids": [h.pid for h in serving]}
        self._remember_cause(event_id, {**about, **fields})
        self._server.events.report(event_id, **about, **fields)

    def _remember_cause(self, event_id: int, fields: Mapping[str, object]) -> None:
        """For whoever waits for a recycling: that it has failed he is told anyway."""
        if event_id != RECYCLE_FAILED:
            text = " ".join(event_text(event_id, fields).split())
            self._cause = f"event {event_id}: {text}"

    def _publish(self, pool: ApplicationPool) -> None:
        name = pool.settings.name
        about = {"held_up": True} if pool.is_held_up else {}
        log("pool_state", app_pool=name, state=pool.state.value, **about)
        self.publish_pools()

    def publish_pools(self) -> None:
        """Tell the listener the state of all queues."""
        own = [pool_queue(pool) for pool in self._pools.values()]
        self._listener.set_pools([*own, *self._newcomers.queues()])
