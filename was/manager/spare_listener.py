"""The spare listener: a process that has imported everything, connected, and waits to be one.

Most of what a new listener takes is the import of its code, and clients wait meanwhile in the
backlog. So a while after the listener is ready another one is started that is told nothing, opens
nothing, and ends with its manager. When the listener dies the spare one becomes it, and the next
spare is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from was.ipc.listener_control import ReopenLogs
from was.manager.control import Peer
from was.manager.server import Server
from was.manager.watched_process import WatchedProcess

__all__ = ["SpareListener"]

# Not at once: the server's start has more urgent things to do, and many a server is a short one.
MAKE_AFTER_S = 3.0


class SpareListener:
    """At most one spare process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._peer: Peer | None = None
        self._process = WatchedProcess(server, "listener")
        self.make_at: float | None = None

    def plan(self, now: float) -> None:
        """There is a listener: it is to have a spare one."""
        if self.make_at is None and not self._process.is_there:
            self.make_at = now + MAKE_AFTER_S

    def tick(self, now: float) -> None:
        """Make it when it is time."""
        if self.make_at is None or now < self.make_at:
            return
        self.make_at = None
        server = self._server
        arguments = [*server.options.programs.listener, "--control", server.folder.control]
        arguments += ["--home", str(server.home.path), "--spare"]
        self._process.spawn(arguments, server.environment)

    def recognise(self, peer: Peer) -> bool:
        """Whether this is the spare one, which then has only to wait."""
        if peer.pid != self._process.pid or self._peer is not None:
            return False
        peer.kind = "spare"
        self._peer = peer
        return True

    def send(self, message: ReopenLogs, descriptors: Sequence[int]) -> None:
        """Say something, if it has spoken."""
        if self._peer is not None:
            self._peer.send(message, descriptors)

    def take(self) -> tuple[WatchedProcess, Peer] | None:
        """One that can begin at once, and its connection; they are the caller's now."""
        process, peer = self._process, self._peer
        if peer is None or process.has_ended:
            return None
        peer.kind = ""
        self._process, self._peer = WatchedProcess(self._server, "listener"), None
        return process, peer

    def ended(self, pidfd: int) -> bool:
        """Whether it is this one that has ended."""
        if pidfd != self._process.pidfd:
            return False
        self._forget()
        return True

    def dismiss(self) -> None:
        """None is needed any more."""
        self.make_at = None
        self._process.kill()
        self._forget()

    def _forget(self) -> None:
        self._process.close()
        if self._peer is not None:
            self._peer.close()
            self._peer = None
