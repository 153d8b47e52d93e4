"""The spare listener: a process that has imported everything, connected, and waits to be one.

Most of what a new listener takes is the import of its code, and clients wait meanwhile in the
backlog. So a while after the listener is ready another one is started that is told nothing, opens
nothing, and ends with its manager. When the listener dies the spare one becomes it, and the next
spare is made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from was.ipc.listener_control import ReopenLogs
from was.manager import process
from was.manager.control import Peer
from was.manager.inbox import ChildEnded
from was.manager.server import Server

__all__ = ["SpareListener"]

# Not at once: the server's start has more urgent things to do, and many a server is a short one.
MAKE_AFTER_S = 3.0


class SpareListener:
    """At most one spare process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._peer: Peer | None = None
        self.pid = 0
        self.pidfd = -1
        self.make_at: float | None = None

    def plan(self, now: float) -> None:
        """There is a listener: it is to have a spare one."""
        if self.pid == 0 and self.make_at is None:
            self.make_at = now + MAKE_AFTER_S

    def tick(self, now: float) -> None:
        """Make it when it is time."""
        if self.make_at is None or now < self.make_at:
            return
        self.make_at = None
        server = self._server
        arguments = [*server.options.programs.listener, "--control", server.folder.control]
        arguments += ["--home", str(server.home.path), "--spare"]
        self.pid, self.pidfd = process.spawn(arguments, server.environment, server.output)
        ended = ChildEnded("listener", self.pidfd)
        server.loop.add_reader(self.pidfd, server.inbox.put_nowait, ended)

    def recognise(self, peer: Peer) -> bool:
        """Whether this is the spare one, which then has only to wait."""
        if self.pid == 0 or peer.pid != self.pid or self._peer is not None:
            return False
        peer.kind = "spare"
        self._peer = peer
        return True

    def send(self, message: ReopenLogs, descriptors: Sequence[int]) -> None:
        """Say something, if it has spoken."""
        if self._peer is not None:
            self._peer.send(message, descriptors)

    def take(self) -> tuple[int, int, Peer] | None:
        """Pid, pidfd and connection of one that can begin at once; they are the caller's now."""
        peer = self._peer
        if peer is None or process.has_ended(self.pidfd):
            return None
        peer.kind = ""
        taken = self.pid, self.pidfd, peer
        self._peer = None
        self.pid, self.pidfd = 0, -1
        return taken

    def ended(self, pidfd: int) -> bool:
        """Whether it is this one that has ended."""
        if pidfd != self.pidfd:
            return False
        self._forget()
        return True

    def dismiss(self) -> None:
        """None is needed any more."""
        self.make_at = None
        if self.pidfd >= 0:
            process.kill(self.pidfd)
            self._forget()

    def _forget(self) -> None:
        self._server.loop.remove_reader(self.pidfd)
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        os.close(self.pidfd)
        self.pid, self.pidfd = 0, -1
