"""A process of ours that the manager's loop watches: its end becomes an item of the inbox."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from was.log import log
from was.manager import process
from was.manager.inbox import ChildEnded
from was.manager.server import Server

__all__ = ["WatchedProcess"]


class WatchedProcess:
    """At most one process: pid 0 and pidfd -1 while there is none, or after `close`."""

    __slots__ = ("_server", "_who", "pid", "pidfd")

    def __init__(self, server: Server, who: str) -> None:
        self._server = server
        self._who = who  # as `ChildEnded` names it
        self.pid = 0
        self.pidfd = -1

    @property
    def is_there(self) -> bool:
        """Whether there is one, as far as has been noticed."""
        return self.pidfd >= 0

    @property
    def has_ended(self) -> bool:
        """Whether there is none, noticed or not."""
        return self.pidfd < 0 or process.has_ended(self.pidfd)

    def spawn(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Start a program and watch it; it writes to our processes' own log.

        False, which is logged, when the machine has no room for a process just now.
        """
        try:
            made = process.spawn(arguments, environment, self._server.output)
        except OSError as error:
            log("process_not_made", process=self._who, error=error)
            return False
        self.watch(*made)
        return True

    def watch(self, pid: int, pidfd: int) -> None:
        """Watch a process that is there; takes over its pidfd."""
        self.pid, self.pidfd = pid, pidfd
        inbox = self._server.inbox
        self._server.loop.add_reader(pidfd, inbox.put_nowait, ChildEnded(self._who, pidfd))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it; none, or one that has gone, is no error."""
        if self.pidfd >= 0:
            process.kill(self.pidfd, number)

    def close(self) -> None:
        """Let go of it, whether it has ended or not."""
        if self.pidfd >= 0:
            self._server.loop.remove_reader(self.pidfd)
            os.close(self.pidfd)
        self.pid, self.pidfd = 0, -1
