"""The supervisor of a detached server (detached.py), as the manager holds it.

Manager and supervisor start each other. One that an earlier manager left is taken over, and what it
keeps (kept_sockets.py); an upgrade has it become new code too. It is told to go when the manager is
told to stop, and then only: a manager that fails leaves it where it is.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable

from was.log import log
from was.manager import kept_sockets, process
from was.manager.notify import GivenSocket
from was.manager.respawn import Respawn
from was.manager.server import Server
from was.manager.upgrade import same_command
from was.manager.watched_process import WatchedProcess
from was.recorded import open_recorded

__all__ = ["SupervisorSide"]

RECORD = "supervisor"
# One that died sooner than this is not replaced at once.
STEADY_S = 1.0
# One that has just been started opens its door after a while; one that is stopped does not read.
TELL_AGAIN_S = 0.1


class SupervisorSide:
    """Starts, renews and dismisses the supervisor, and tells it what to keep."""

    def __init__(self, server: Server, sockets: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """`sockets`: those that are listened on now, by name."""
        self._server = server
        self._sockets = sockets
        self._tell_at: float | None = None
        self._since = 0.0
        self._is_dismissed = False
        self.process = WatchedProcess(server, "supervisor")
        self._respawn = Respawn()

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to go and has not."""
        return self._is_dismissed and self.process.is_there

    @property
    def is_staying(self) -> bool:
        """Whether it is there, and will start another manager after this one."""
        return self.process.is_there and not self._is_dismissed

    def adopt(self) -> None:
        """Take over the one that is there."""
        record = self._server.files.read(RECORD)
        pidfd = open_recorded(record)
        if pidfd is not None:
            self.process.watch(record["pid"], pidfd)

    def take_sockets(self, *, is_needed: bool) -> list[GivenSocket]:
        """What the one that was taken over keeps.

        `is_needed`: nobody else has them. One that does not give them then is ended, as somebody
        may have stopped it: it would keep the ports from us.
        """
        if not self.process.is_there:
            return []
        given = kept_sockets.take(self._server.folder.supervisor, is_needed=is_needed)
        if given is None and is_needed:
            process.kill_and_wait(self.process.pidfd)
        return given or []

    def sockets_changed(self) -> None:
        """It is to keep those that there are now."""
        if self.is_staying:
            self._tell_at = None
            if not kept_sockets.keep(self._server.folder.supervisor, self._sockets()):
                self._tell_at = self._server.clock.monotonic() + TELL_AGAIN_S

    def begin(self, now: float, *, anew: bool) -> None:
        """All sites answer: have a supervisor from now on, if this server is to have one."""
        if not self._server.options.is_detached:
            return
        if not self.process.is_there:
            self._spawn(now)
        elif anew:
            self.process.kill(signal.SIGHUP)
            self._tell_at = now  # what it has been told was of no use to code that keeps nothing

    def _spawn(self, now: float) -> None:
        server = self._server
        self._respawn.started()
        self._since = now
        arguments = [*server.options.programs.supervisor, "--home", str(server.home.path)]
        arguments += ["--manager", str(os.getpid()), "--"]
        arguments += [sys.executable, *same_command(sys.orig_argv[1:])]
        # Our own environment, not the clean one of the others: it starts the next manager.
        if not self.process.spawn(arguments, os.environ):
            self._respawn.died(now)
            return
        server.files.write_process(RECORD, self.process.pid, {})
        self._tell_at = now + TELL_AGAIN_S
        log("supervisor_started", pid=self.process.pid)

    def ended(self, now: float) -> None:
        """The process has gone; another one is due."""
        if not self._is_dismissed:
            log("supervisor_died", pid=self.process.pid)
        self.process.close()
        self._tell_at = None
        self._server.files.remove(RECORD)
        if self._server.options.is_detached and not self._is_dismissed:
            if now - self._since >= STEADY_S:
                self._respawn.worked()
            self._respawn.died(now)

    def next_deadline(self) -> float | None:
        """When one is to be started, or told."""
        return self._tell_at if self.process.is_there else self._respawn.at

    def tick(self, now: float) -> None:
        """Start the one that is due, tell the one that could not be told."""
        if self._respawn.at is not None and now >= self._respawn.at:
            self._spawn(now)
        if self._tell_at is not None and now >= self._tell_at:
            self.sockets_changed()

    def dismiss(self) -> None:
        """The server is told to stop: nobody is to bring it back."""
        self._is_dismissed = True
        self._respawn.at = self._tell_at = None
        self.process.kill(signal.SIGTERM)

    def end(self) -> None:
        """The manager ends: whoever was told to go and is still there goes now."""
        if self.is_leaving:
            self.process.kill()
            self._server.files.remove(RECORD)
        self.process.close()
