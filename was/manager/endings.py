"""Processes that end, fail to start, or are given up on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc import worker_control as wc
from was.log import log
from was.manager import process
from was.manager.states import WorkerState

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Endings"]

# A worker whose control connection has broken ends by itself, or has failed.
LINK_LOST_LIMIT_S = 1.0


class Endings:
    """What the end of a process leads to."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def child_ended(self, who: str, pidfd: int, worker_id: int) -> None:
        """A pidfd fired."""
        now = self._manager.now()
        self._manager.reap()
        if who == "listener":
            self._listener_ended(pidfd, now)
        elif who == "template":
            if pidfd == self._manager.template.process.pidfd:
                if not self._manager.shutdown.has_begun:
                    log("template_died", pid=self._manager.template.process.pid)
                self._manager.template.ended(now)
        elif who == "supervisor":
            if pidfd == self._manager.supervisor.process.pidfd:
                self._manager.supervisor.ended(now)
        else:
            handle = self._manager.workers.handles.get(worker_id)
            if handle is not None and handle.pidfd == pidfd:
                handle.has_ended = True
                handle.exit = self._manager.exits.pop(handle.pid, None)
                self._worker_ended(worker_id, process.describe_end(handle.exit), now)
        self._manager.drop_empty_pools()

    def _worker_ended(
        self, worker_id: int, how: str, now: float, *, is_counted: bool = True
    ) -> None:
        handle = self._manager.workers.handles.get(worker_id)
        pool = self._manager.pool_of(worker_id)
        if handle is None:
            return
        if handle.is_orphan:
            self._manager.deaths.ended(handle)
            self._manager.performer.orphans.ended(handle, how)
            return
        served = handle.finished() > 0
        is_well = how == "exit 0" or (handle.is_adopted and how == "unknown")
        event = "worker_exited" if handle.is_draining and is_well else "worker_died"
        log(event, worker=worker_id, pid=handle.pid, app_pool=handle.pool, how=how)
        if pool is not None and handle.is_draining and not handle.is_killed and not is_well:
            self._manager.performer.report(pool, 5009, worker_id, {"how": how})
        self._manager.deaths.ended(handle)
        if pool is not None:
            worker = pool.workers.get(worker_id)  # none: it was to be orphaned before it was there
            if worker is not None and worker.state is WorkerState.STARTING:
                self._manager.awaited.discard(handle.pool)
            actions = pool.worker_exited(
                worker_id, now, served=served, how=how, is_counted=is_counted
            )
            self._manager.performer.perform(pool, actions)
        self._manager.workers.remove(handle)
        self._manager.check_ready()

    def next_deadline(self) -> float | None:
        """When the first worker that has lost its connection should have ended."""
        handles = self._manager.workers.handles.values()
        times = [h.link_lost_at for h in handles if h.link_lost_at is not None]
        return min(times) + LINK_LOST_LIMIT_S if times else None

    def tick(self, now: float) -> None:
        """Give up on workers that have lost their connection and live on."""
        for handle in list(self._manager.workers.handles.values()):
            if handle.link_lost_at is not None and now >= handle.link_lost_at + LINK_LOST_LIMIT_S:
                handle.link_lost_at = None
                if not handle.is_draining:
                    self.fail_worker(handle.id, 5011)

    def hello_lost(self, worker_id: int) -> None:
        """A worker ended before it said who it is, or before it was forked."""
        handle = self._manager.workers.handles.get(worker_id)
        pool = self._manager.pool_of(worker_id)
        if handle is None or handle.pid or pool is None:
            return
        if (
            self._manager.template.has_died_over(worker_id)
            and not handle.is_condemned
            and not self._manager.shutdown.has_begun
        ):
            try:
                self._manager.workers.fork(handle, pool.settings)  # it died before it forked
            except OSError as error:
                self.fork_failed(worker_id, str(error))
            return
        self._worker_ended(
            worker_id,
            "ended before its first message; the log of its pool says why",
            self._manager.now(),
        )

    def fork_failed(self, worker_id: int, error: str) -> None:
        """The template could not fork, or be asked to."""
        log("worker_spawn_failed", worker=worker_id, error=error)
        # The machine has no room for a process: none of the application's has been run.
        how = f"could not be forked: {error}"
        self._worker_ended(worker_id, how, self._manager.now(), is_counted=False)

    def fail_worker(
        self, worker_id: int, event_id: int, *, is_counted: bool = True, **fields: object
    ) -> None:
        """A worker is not to be trusted, or cannot start: its pool gives it up, once."""
        pool = self._manager.pool_of(worker_id)
        if pool is None or worker_id not in pool.workers:
            return
        if pool.workers[worker_id].state is WorkerState.FAILED:
            return  # what still lies in its sockets says nothing new
        if pool.workers[worker_id].state is WorkerState.STARTING:
            self._manager.awaited.discard(pool.settings.name)
            log("worker_start_failed", worker=worker_id, app_pool=pool.settings.name, **fields)
        else:
            log("worker_faulty", worker=worker_id, app_pool=pool.settings.name, **fields)
        now = self._manager.now()
        self._manager.performer.perform(
            pool, pool.worker_failed(worker_id, now, event_id, is_counted=is_counted, **fields)
        )
        self._manager.check_ready()

    def worker_left_alone(self, worker_id: int) -> None:
        """One that is to end has only requests past their limits, and cannot end them itself."""
        pool = self._manager.pool_of(worker_id)
        worker = None if pool is None else pool.workers.get(worker_id)
        # A listener that is being replaced may have others in it, of which this one knows nothing.
        if pool is None or worker is None or self._manager.listener.retiring is not None:
            return
        if worker.state is WorkerState.STOPPING:
            detail = "it had only requests past their time limits, and could not end them"
            actions = pool.worker_failed(worker_id, self._manager.now(), 5013, detail=detail)
            self._manager.performer.perform(pool, actions)

    def _listener_ended(self, pidfd: int, now: float) -> None:
        retiring = self._manager.listener.retiring
        if retiring is not None and pidfd == retiring.process.pidfd:
            self._manager.upgrade.old_listener_ended(now)
            return
        if pidfd != self._manager.listener.process.pidfd:
            self._manager.listener.spare.ended(pidfd)
            return
        end = self._manager.exits.pop(self._manager.listener.process.pid, None)
        expected = self._manager.shutdown.has_begun
        log(
            "listener_stopped" if expected else "listener_died",
            pid=self._manager.listener.process.pid,
            how=process.describe_end(end),
        )
        self._manager.listener.ended(now)
        self._manager.queries.listener_gone()
        for pool in self._manager.pools.values():  # their workers are to find the next listener
            self._manager.performer.perform(pool, pool.wake(now))
        for handle in self._manager.workers.handles.values():
            if handle.is_draining and handle.peer is not None:
                handle.peer.send(wc.StopWorker(drain=True))
        self._manager.shutdown.listener_drained(now)
