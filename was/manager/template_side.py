"""The template as the manager holds it, and the forks it has been asked for."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from was.ipc.worker_control import Fork
from was.log import log
from was.manager.control import Peer
from was.manager.respawn import Respawn
from was.manager.server import Server
from was.manager.watched_process import WatchedProcess

__all__ = ["TemplateSide"]


@dataclass(slots=True)
class _Pending:
    message: Fork
    output: int
    life: int


class TemplateSide:
    """Starts and replaces the template; asks it for workers, again when it died over it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._peer: Peer | None = None
        self._asked: dict[int, int] = {}  # worker -> the pid of the template that was asked
        self._pending: dict[int, _Pending] = {}
        self._has_old_log = False  # it began with a log that has been reopened since
        self.process = WatchedProcess(server, "template")
        self.respawn = Respawn()

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked for a worker."""
        return self._peer is not None

    def has_died_over(self, worker_id: int) -> bool:
        """Whether the template that was asked for this worker is gone, noticed or not."""
        return self._asked.get(worker_id) != self.process.pid or self.process.has_ended

    def forget(self, worker_id: int) -> None:
        """The worker has gone."""
        self._asked.pop(worker_id, None)

    def spawn(self) -> None:
        """Start a template."""
        server = self._server
        self.respawn.started()
        self._has_old_log = False
        arguments = [*server.options.programs.template]
        arguments += ["--control", server.folder.control, "--home", str(server.home.path)]
        if not self.process.spawn(arguments, server.environment):
            self.respawn.died(server.clock.monotonic())
            return
        server.files.write_process("template", self.process.pid, {})
        log("template_started", pid=self.process.pid)

    def welcome(self, peer: Peer) -> bool:
        """Take it into service, unless it is not the process we started."""
        if peer.pid != self.process.pid:
            return False
        self._peer = peer
        if self._has_old_log:
            self.reopen_log()
        self.respawn.worked()
        for worker_id in list(self._pending):
            self._send(worker_id)
        return True

    def reopen_log(self) -> None:
        """Have it write to the log that there is now; one that has not spoken might die of it."""
        self._has_old_log = self._peer is None
        if self._peer is not None:
            self.process.kill(signal.SIGUSR1)

    def fork(self, message: Fork, output: int, life: int) -> None:
        """Ask for a worker; takes over both descriptors."""
        self._pending[message.worker_id] = _Pending(message, output, life)
        self._send(message.worker_id)

    def _send(self, worker_id: int) -> None:
        if self._peer is None:
            return
        pending = self._pending[worker_id]
        self._peer.send(pending.message, [pending.output, pending.life])
        self._asked[worker_id] = self.process.pid
        # From now on only the worker holds the pipe, so its end is the worker's end. Should the
        # template die instead, the worker is asked for anew, with another pipe.
        self._forget(worker_id)

    def _forget(self, worker_id: int) -> None:
        pending = self._pending.pop(worker_id, None)
        if pending is not None:
            os.close(pending.output)
            os.close(pending.life)

    def cancel(self, worker_id: int) -> bool:
        """Take back a request that has not been sent; False when it has."""
        known = worker_id in self._pending
        self._forget(worker_id)
        return known

    def ended(self, now: float) -> None:
        """The process has gone; `respawn` says when the next one may start."""
        self.respawn.died(now)
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self.process.close()
        self._server.files.remove("template")
