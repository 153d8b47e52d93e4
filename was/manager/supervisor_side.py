"""The supervisor of a detached server (detached.py), as the manager holds it.

Manager and supervisor start each other. One that an earlier manager left is taken over; an upgrade
has it become new code too. It is told to go when the manager is told to stop, and
then only: a manager that fails leaves it where it is.
"""

from __future__ import annotations

import os
import signal
import sys

from was.log import log
from was.manager.health import Backoff
from was.manager.server import Server
from was.manager.upgrade import same_command
from was.manager.watched_process import WatchedProcess
from was.recorded import open_recorded

__all__ = ["SupervisorSide"]

RECORD = "supervisor"
# One that died sooner than this is not replaced at once.
STEADY_S = 1.0


class SupervisorSide:
    """Starts, renews and dismisses the supervisor."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._backoff = Backoff()
        self._since = 0.0
        self._is_dismissed = False
        self.process = WatchedProcess(server, "supervisor")
        self.respawn_at: float | None = None

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to go and has not."""
        return self._is_dismissed and self.process.is_there

    def adopt(self) -> None:
        """Take over the one that is there."""
        record = self._server.files.read(RECORD)
        pidfd = open_recorded(record)
        if pidfd is not None:
            self.process.watch(record["pid"], pidfd)

    def begin(self, now: float, *, anew: bool) -> None:
        """All sites answer: have a supervisor from now on, if this server is to have one."""
        if not self._server.options.is_detached:
            return
        if not self.process.is_there:
            self._spawn(now)
        elif anew:
            self.process.kill(signal.SIGHUP)

    def _spawn(self, now: float) -> None:
        server = self._server
        self.respawn_at = None
        self._since = now
        arguments = [*server.options.programs.supervisor, "--home", str(server.home.path)]
        arguments += ["--manager", str(os.getpid()), "--"]
        arguments += [sys.executable, *same_command(sys.orig_argv[1:])]
        # Our own environment, not the clean one of the others: it starts the next manager.
        self.process.spawn(arguments, os.environ)
        server.files.write_process(RECORD, self.process.pid, {})
        log("supervisor_started", pid=self.process.pid)

    def ended(self, now: float) -> None:
        """The process has gone; another one is due."""
        if not self._is_dismissed:
            log("supervisor_died", pid=self.process.pid)
        self.process.close()
        self._server.files.remove(RECORD)
        if self._server.options.is_detached and not self._is_dismissed:
            delay_s = self._backoff.take() if now - self._since < STEADY_S else 0.0
            self.respawn_at = now + delay_s

    def tick(self, now: float) -> None:
        """Start the one that is due."""
        if self.respawn_at is not None and now >= self.respawn_at:
            self._spawn(now)

    def dismiss(self) -> None:
        """The server is told to stop: nobody is to bring it back."""
        self._is_dismissed = True
        self.respawn_at = None
        self.process.kill(signal.SIGTERM)

    def end(self) -> None:
        """The manager ends: whoever was told to go and is still there goes now."""
        if self.is_leaving:
            self.process.kill()
            self._server.files.remove(RECORD)
        self.process.close()
