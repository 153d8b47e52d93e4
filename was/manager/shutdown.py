"""Stopping: listener, workers, template, in this order, each asked, awaited, then killed.

The listener answers what it has accepted, with the workers still there; then the workers finish;
then the template, which nobody needs any more. Every step has a limit, and in the end every
descendant that is left is killed: applications' children are ours too (subreaper).
"""

from __future__ import annotations

import os
import signal
from enum import IntEnum
from typing import TYPE_CHECKING

from was.ipc.listener_control import StopListener
from was.log import log
from was.manager import process

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Shutdown"]

# Who stops the server and sees it wait is told why after so long.
SILENCE_S = 1.0
REST_LIMIT_S = 2.0
KILL_LIMIT_S = 5.0


class _Step(IntEnum):
    NOT_BEGUN = 0
    LISTENER = 1
    WORKERS = 2
    REST = 3
    OVER = 4


WAITING = {_Step.LISTENER: "requests that run", _Step.WORKERS: "workers that end"}


class Shutdown:
    """The steps of stopping, advanced after everything that happens."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._step = _Step.NOT_BEGUN
        self._was_asked = False  # the listener, to finish
        self._is_drained = False
        self._left_alone: frozenset[int] = frozenset()
        self._limit_at: float | None = None  # of the present step
        self._say_at: float | None = None  # what is waited for

    def next_deadline(self) -> float | None:
        """When `advance` has something to see."""
        return min((t for t in (self._limit_at, self._say_at) if t is not None), default=None)

    @property
    def has_begun(self) -> bool:
        """Whether the server is on its way down."""
        return self._step > _Step.NOT_BEGUN

    @property
    def is_stopping_workers(self) -> bool:
        """Whether no worker may start any more."""
        return self._step >= _Step.WORKERS

    @property
    def is_over(self) -> bool:
        """Whether nothing of ours is left."""
        return self._step is _Step.OVER

    def begin(self, now: float) -> None:
        """Stop, letting requests finish."""
        if self.has_begun:
            return
        log("manager_stopping")
        self._say_at = now + SILENCE_S
        self._say_that_it_ends()
        for pool in self._manager.pools.values():
            self._manager.performer.perform(pool, pool.recycling.wind_down())
        listener = self._manager.listener
        if not listener.is_connected and listener.retiring is None:
            self._stop_workers(now)
            return
        self._step = _Step.LISTENER
        self._limit_at = now + self._manager.shutdown_limit_s()
        if listener.retiring is not None:
            listener.retire_now(self._limit_at)
        if listener.is_connected:
            self._was_asked = True
            listener.process.kill(signal.SIGCONT)  # somebody may have stopped it
            listener.send(StopListener(drain=True))
        else:
            listener.process.kill()  # it has no client yet
        # Ours too, or a port without anybody behind it would go on taking connections.
        self._manager.sites.close()

    def at_once(self, now: float) -> None:
        """Stop without regard for requests."""
        manager = self._manager
        self._say_that_it_ends()
        manager.listener.process.kill()
        manager.listener.kill_retiring()
        manager.sites.close()  # nobody is let in to be reset in a moment
        manager.template.process.kill()
        self._end_pools(now)  # else each worker that is killed would have a successor
        self._rest(now)

    def _say_that_it_ends(self) -> None:
        self._manager.server.notifier.stopping()
        self._manager.listener.spare.dismiss()
        self._manager.upgrade.give_up()
        self._manager.processors.let_go()
        if not self._manager.failed_start:  # else nobody asked for it, and it is tried again
            self._manager.supervisor.dismiss()

    def listener_drained(self, now: float, left_alone: frozenset[int] = frozenset()) -> None:
        """The listener has nothing left, or has gone; workers stop when the one before has, too.

        `left_alone`: workers that have nothing but requests past their limits.
        """
        self._is_drained = True
        self._left_alone |= left_alone
        if self._step is _Step.LISTENER and self._manager.listener.retiring is None:
            self._stop_workers(now)

    def old_listener_ended(self, now: float) -> None:
        """The listener that an upgrade left to finish has gone."""
        if self._is_drained:
            self.listener_drained(now)

    def advance(self, now: float) -> None:
        """See whether the present step is done or its time is up."""
        if self._say_at is not None and now >= self._say_at:
            self._say_at = None
            if self._step in WAITING:
                log(
                    "manager_waiting",
                    what=WAITING[self._step],
                    at_most_s=round(self._manager.shutdown_limit_s()),
                    hint="Ctrl-C again, or `was stop --now`, ends it",
                )
        is_late = self._limit_at is not None and now >= self._limit_at
        if self._step is _Step.LISTENER and is_late:
            self._manager.listener.process.kill()
            self._manager.listener.kill_retiring()
            self._stop_workers(now)
        elif self._step is _Step.WORKERS and (is_late or self._has_no_worker()):
            self._rest(now)
        elif self._step is _Step.REST and (is_late or self._is_alone()):
            process.kill_descendants(os.getpid())
            self._step = _Step.OVER

    def _stop_workers(self, now: float) -> None:
        self._step = _Step.WORKERS
        # The pools keep each worker's own limit; this one is for a pool that miscounts.
        self._limit_at = now + self._manager.shutdown_limit_s() + KILL_LIMIT_S
        self._end_pools(now)
        if self._has_no_worker():
            self._rest(now)

    def _end_pools(self, now: float) -> None:
        for pool in self._manager.pools.values():
            actions = pool.shut_down(now, self._left_alone, drain=False)
            self._manager.performer.perform(pool, actions)

    def _has_no_worker(self) -> bool:
        # One that has not been forked yet has nothing to end, and somebody may have stopped who is
        # to do it.
        handles = self._manager.workers.handles.values()
        return all(handle.is_orphan or handle.pidfd < 0 for handle in handles)

    def _rest(self, now: float) -> None:
        manager = self._manager
        self._step = _Step.REST
        # The listener that has drained writes its logs and goes; whoever stays is killed then.
        self._limit_at = now + REST_LIMIT_S
        if not self._was_asked:
            manager.listener.process.kill()
        manager.listener.kill_retiring()
        manager.template.process.kill(signal.SIGTERM)
        manager.performer.orphans.end_all()
        for handle in manager.workers.handles.values():
            if handle.pidfd >= 0:
                handle.is_killed = True
                process.kill(handle.pidfd)

    def _is_alone(self) -> bool:
        manager = self._manager
        return (
            not manager.listener.process.is_there
            and manager.listener.retiring is None
            and not manager.template.process.is_there
            and not manager.supervisor.is_leaving
            and all(h.pidfd < 0 for h in manager.workers.handles.values())
        )
