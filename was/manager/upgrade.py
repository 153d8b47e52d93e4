"""`was upgrade`: newly installed code takes over while requests go on.

First the manager becomes the new code (exec: same pid, same children) and takes over what runs
(adoption.py), with a new template. Then a new listener starts on the same sockets; once it accepts,
the old one finishes its connections' requests, with the workers serving both: each listener uses a
half of every scoreboard. Last, when the old listener has no request left, all workers are recycled.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from was.config.model import RecycleReason
from was.errors import AdminError
from was.log import log
from was.manager import kept_sockets, process
from was.manager.inbox import SIGNALS

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Upgrade", "same_command"]

# What is written before the exec, for the new code to find.
RECORD = "upgrade"
ANSWER_DELAY_S = 0.05


def same_command(arguments: list[str]) -> list[str]:
    """The manager's command line without what was for its first start only."""
    kept = list(arguments)
    if "--ready-fd" in kept:
        at = kept.index("--ready-fd")
        del kept[at : at + 2]
        kept.append("--detached")
    return kept


class Upgrade:
    """How far an upgrade is."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        # Ours, or that of a manager that was killed within one: it stays until all is done.
        self.is_under_way = bool(manager.server.files.read(RECORD))
        self.error = ""  # why the last one has failed
        self._exec_at: float | None = None
        self._has_recycled = False

    def begin(self) -> None:
        """Exec the new code, once the answer to whoever asked has left. Raises AdminError."""
        manager = self._manager
        if manager.server.options.is_command_line:
            raise AdminError("`was run` is not upgraded: stop it and start it again")
        if manager.shutdown.has_begun or not manager.is_ready or self.is_under_way:
            raise AdminError("the server is starting, stopping or being upgraded")
        if manager.server.files.trouble:  # the new code would not find what there is
            raise AdminError(manager.server.files.trouble)
        self.is_under_way = True
        self.error = ""
        log("upgrade_started")
        self._exec_at = manager.now() + ANSWER_DELAY_S
        # What has come is heard till then. What comes now waits until the new code listens to it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _exec(self) -> None:
        self._exec_at = None
        arguments = same_command(sys.orig_argv[1:])
        try:
            self._manager.server.files.write_now(RECORD, {"pid": os.getpid()})
            self._manager.sites.for_exec(keep=True)
            # Nobody is to take us for dead meanwhile.
            process.keep_lock(self._manager.server.home.lock_file, keep=True)
            inherited = kept_sockets.for_exec(self._manager.sites.sockets())
            os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **inherited})
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self.is_under_way = False
            self.error = f"the new code could not be started: {error}"
            log("upgrade_failed", error=error)
            self._manager.server.files.remove(RECORD)
            self._manager.sites.for_exec(keep=False)
            process.keep_lock(self._manager.server.home.lock_file, keep=False)

    def go_on(self) -> None:
        """The new manager is ready: start the new listener."""
        if not self.is_under_way:
            return
        if not self._manager.adoption.has_taken_over:
            self._is_over()  # nothing was taken over: all is new already
            return
        manager = self._manager
        for pool in manager.pools.values():  # their workers are to find the new listener
            manager.performer.perform(pool, pool.wake(manager.now()))
        manager.listener.hand_over()

    def successor_accepts(self, now: float) -> None:
        """The new listener is ready: the old one may finish."""
        self._manager.listener.retire(now + self._manager.shutdown_limit_s())

    def next_deadline(self) -> float | None:
        """When the new code is due, or the old listener's time is up."""
        retiring = self._manager.listener.retiring
        return self._exec_at or (None if retiring is None else retiring.deadline)

    def tick(self, now: float) -> None:
        """Become the new code, once the answer to whoever asked has left; later, end an old
        listener that does not finish."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if self._exec_at is not None:
            self._exec()
        else:
            self._manager.listener.kill_retiring()

    def old_listener_ended(self, now: float) -> None:
        """Nobody uses the old code but the workers: recycle them."""
        manager = self._manager
        retiring = manager.listener.retiring
        assert retiring is not None
        how = process.describe_end(manager.exits.pop(retiring.process.pid, None))
        log("listener_stopped", pid=retiring.process.pid, how=how)
        manager.listener.retired()
        manager.hearing.endpoints_changed()
        if not manager.shutdown.has_begun:
            manager.sites.listener_ended()
        manager.shutdown.old_listener_ended(now)
        self.recycle(now)
        if self.is_under_way and not manager.shutdown.has_begun:
            self._is_over()

    def recycle(self, now: float) -> None:
        """The old listener has gone, or has nothing but WebSockets and the like: once.

        Those end with their workers, which say so to the clients; else they would be cut when its
        time is up.
        """
        manager = self._manager
        if self.is_under_way and not self._has_recycled and not manager.shutdown.has_begun:
            self._has_recycled = True
            for pool in manager.pools.values():
                manager.performer.perform(
                    pool, pool.recycling.recycle(RecycleReason.ON_DEMAND, now)
                )

    def give_up(self) -> None:
        """The server ends: whoever starts next begins anew."""
        if self._exec_at is not None:
            self._exec_at = None
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._manager.server.files.remove(RECORD)

    def _is_over(self) -> None:
        self.is_under_way = False
        self._manager.server.files.remove(RECORD)
        log("upgrade_completed")
