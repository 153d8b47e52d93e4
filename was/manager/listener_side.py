"""The listener as the manager holds it: one process at a time, each with an epoch of its own.

A listener that died is replaced at once on the same sockets; only one that dies before it was ready
has to wait. Whatever it must know is sent whole at its Hello, pools and routes before sockets, so
that it accepts nothing it cannot route.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from was.ipc.descriptors import in_parts
from was.ipc.listener_control import (
    AbandonWorker,
    ActivateWorker,
    AddWorker,
    ChangeRoutes,
    ChangeSettings,
    DrainWorker,
    ListenerHello,
    ListenerWelcome,
    ReopenLogs,
    SetPools,
    SetRoutes,
    SetSockets,
    StopListener,
)
from was.ipc.messages import PROTOCOL_VERSION
from was.ipc.served import ListenerSettings, ListeningSocket, PoolQueue, SiteRoute
from was.log import log
from was.manager.control import Peer
from was.manager.handle import WorkerHandle
from was.manager.inbox import MessageArrived
from was.manager.respawn import Respawn
from was.manager.routes import listener_settings
from was.manager.server import Server
from was.manager.spare_listener import SpareListener
from was.manager.watched_process import WatchedProcess

__all__ = ["ListenerSide"]

# How long an upgrade leaves idle connections open, for a request that may be on its way, seconds.
IDLE_PATIENCE_S = 5.0


@dataclass(slots=True)
class Retiring:
    """The listener before the present one: it finishes its connections' requests and goes."""

    process: WatchedProcess
    epoch: int
    half: int
    peer: Peer | None
    deadline: float | None = None  # from the order to finish on


class ListenerSide:
    """Starts, feeds and replaces the listener."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.spare = SpareListener(server)
        self._peer: Peer | None = None
        # The sites that this listener knows, by id; None: not told yet.
        self._told: dict[int, SiteRoute] | None = None
        self._settings: ListenerSettings | None = None
        self._unanswered = 0  # how often it was told its sockets, and has not said that it accepts
        self.process = WatchedProcess(server, "listener")
        self.epoch = 0
        self.is_ready = False
        self.log_trouble = ""  # what it cannot log
        self.listening = 0
        self.respawn = Respawn()
        self.half = 0  # of every scoreboard's rows
        self.retiring: Retiring | None = None

    @property
    def epochs(self) -> list[int]:
        """Of all listeners there are."""
        return [self.epoch] if self.retiring is None else [self.retiring.epoch, self.epoch]

    @property
    def has_latest_sockets(self) -> bool:
        """Whether it accepts on what it was told last, and on nothing else."""
        return self._peer is not None and self._unanswered == 0

    @property
    def is_connected(self) -> bool:
        """Whether it can be told something."""
        return self._peer is not None

    def spawn(self) -> None:
        """Start a listener of the next epoch."""
        server = self._server
        self.respawn.started()
        self.epoch = server.counters.next_epoch()
        spare = self.spare.take()
        if spare is not None:
            self.process, peer = spare
            # It said so long ago; now it is meant.
            server.inbox.put_nowait(MessageArrived(peer, ListenerHello(peer.pid), []))
        else:
            arguments = [*server.options.programs.listener, "--control", server.folder.control]
            arguments += ["--home", str(server.home.path)]
            if not self.process.spawn(arguments, server.environment):
                self.respawn.died(server.clock.monotonic())
                return
        self._record("listener")
        log("listener_started", pid=self.process.pid, epoch=self.epoch)

    def _record(self, name: str) -> None:
        """What the next manager finds it by."""
        record = {"epoch": self.epoch, "protocol": PROTOCOL_VERSION, "half": self.half}
        self._server.files.write_process(name, self.process.pid, record)

    def hand_over(self) -> None:
        """Start a successor on the same sockets; the present one goes on until that accepts."""
        if self.retiring is not None or self._peer is None:
            return
        self._peer.kind = "retiring"
        self.retiring = Retiring(self.process, self.epoch, self.half, self._peer)
        self._record("retiring")
        self.process, self._peer = WatchedProcess(self._server, "listener"), None
        self.is_ready = False
        self.half = 1 - self.half
        self.spawn()

    def retire(self, deadline: float) -> None:
        """The successor accepts: the old listener is told to finish."""
        old = self.retiring
        if old is not None and old.deadline is None:
            old.deadline = deadline
            self._tell_to_retire(old)

    def _tell_to_retire(self, old: Retiring) -> None:
        if old.peer is not None:
            old.peer.send(StopListener(drain=True, patience_s=IDLE_PATIENCE_S))

    def retire_now(self, deadline: float) -> None:
        """The server ends: the old listener is to finish, whether there is a successor or not."""
        old = self.retiring
        if old is not None:
            old.deadline = deadline if old.deadline is None else min(deadline, old.deadline)
            if old.peer is not None:
                old.process.kill(signal.SIGCONT)
                old.peer.send(StopListener(drain=True))

    def retired(self) -> None:
        """The old listener has gone."""
        old, self.retiring = self.retiring, None
        assert old is not None
        old.process.close()
        if old.peer is not None:
            old.peer.close()
        self._server.files.remove("retiring")
        self._remove_endpoints(old.epoch)

    def adopt(self, pid: int, pidfd: int, epoch: int, half: int) -> None:
        """Take over the listener of an earlier manager; takes over its pidfd too."""
        self.process.watch(pid, pidfd)
        self.epoch, self.half = epoch, half

    def adopt_retiring(
        self, pid: int, pidfd: int, epoch: int, half: int, peer: Peer | None
    ) -> None:
        """The same for one that an earlier manager has replaced, or was about to replace.

        `peer` is None for one that has not spoken yet.
        """
        if peer is not None:
            peer.kind = "retiring"
            peer.trust()
        process = WatchedProcess(self._server, "listener")
        process.watch(pid, pidfd)
        self.retiring = Retiring(process, epoch, half, peer)
        self.half = 1 - half

    def recognise_retiring(self, peer: Peer) -> bool:
        """Whether this is the one that was taken over, and had not spoken yet."""
        old = self.retiring
        if old is None or old.process.pid != peer.pid or old.peer is not None:
            return False
        peer.kind = "retiring"
        peer.trust()
        old.peer = peer
        if old.deadline is not None:
            self._tell_to_retire(old)
        return True

    def welcome(self, peer: Peer) -> bool:
        """Greet it, unless it is not the process we started."""
        if peer.pid != self.process.pid or self._peer is not None:
            return False
        server = self._server
        self._peer = peer
        self._told = None
        self._unanswered = 0
        self._settings = settings = self._current_settings()
        self.send(ListenerWelcome(self.epoch, settings, server.isolation.listener(server.config)))
        return True

    def _current_settings(self) -> ListenerSettings:
        server = self._server
        settings = listener_settings(
            server.config,
            home=str(server.home.path),
            sockets=str(server.folder.path),
            logs=str(server.home.logs),
            engine=server.options.engine,
            time_scale=server.time_scale,
            server_uid=os.geteuid(),
        )
        return msgspec.structs.replace(settings, log_to_output=server.options.log_to_output)

    def change_settings(self) -> None:
        """The configuration is another: what of it is for all sites."""
        settings = self._current_settings()
        if settings != self._settings:
            self._settings = settings
            self.send(ChangeSettings(settings))

    def send(self, message: Any, descriptors: Sequence[int] = ()) -> None:  # noqa: ANN401 any of ours
        """Say something; without a listener it is lost, and said again at the next Hello."""
        if self._peer is not None:
            self._peer.send(message, descriptors)

    def _send_retiring(self, message: Any, descriptors: Sequence[int] = ()) -> None:  # noqa: ANN401
        if self.retiring is not None and self.retiring.peer is not None:
            self.retiring.peer.send(message, descriptors)

    def reopen_logs(self) -> None:
        """Whoever is or will be a listener writes to the files that there are now."""
        message, output = ReopenLogs(), [self._server.output]
        self.send(message, output)
        self._send_retiring(message, output)
        self.spare.send(message, output)

    def abandon(self, worker_id: int) -> None:
        """A worker has been stopped for good: whichever listener has requests in it, takes them."""
        self.send(AbandonWorker(worker_id))
        self._send_retiring(AbandonWorker(worker_id))

    def activate(self, worker: WorkerHandle, replaces: Sequence[int] = ()) -> None:
        """Every listener gives it requests, and no more to those that it replaces."""
        self.activate_in_retiring(worker)
        for worker_id in replaces:
            self._send_retiring(DrainWorker(worker_id))
        self.send(ActivateWorker(worker.id, list(replaces)))

    def activate_in_retiring(self, worker: WorkerHandle) -> None:
        """The old listener may give it what waits there, once they are connected."""
        if self.retiring is not None and self.retiring.epoch in worker.attached:
            self._send_retiring(ActivateWorker(worker.id, []))

    def drain(self, worker_id: int) -> None:
        """No more requests for the worker from any listener; it is told to finish."""
        self._send_retiring(DrainWorker(worker_id))
        self.send(DrainWorker(worker_id))

    def set_pools(self, pools: list[PoolQueue]) -> None:
        """All queues there are."""
        self.send(SetPools(pools))

    def set_routes(self, sites: list[SiteRoute], *, whole: bool = False) -> None:
        """All sites there are: it is told what is new to it, or all if `whole`."""
        if self._peer is None:
            return
        told, self._told = self._told, {site.id: site for site in sites}
        if told is None or whole:
            self.send(SetRoutes(sites))
            return
        changed = [site for site in sites if told.get(site.id) != site]
        gone = [site_id for site_id in told if site_id not in self._told]
        if changed or gone:
            self.send(ChangeRoutes(changed, gone))

    def sockets_lost(self) -> None:
        """It had no room for what it was told last; those that it had it has."""
        self._unanswered -= 1

    def set_sockets(self, sockets: Iterable[tuple[ListeningSocket, int]]) -> None:
        """All sockets there are, in as many messages as the kernel's limit asks for."""
        for part, more in in_parts(sockets):
            self.send(SetSockets([s for s, _ in part], more), [fd for _, fd in part])
        if self._peer is not None:
            self._unanswered += 1

    def announce(self, worker: WorkerHandle) -> None:
        """Tell it of a worker that will connect."""
        if self._peer is None or worker.is_announced or worker.pidfd < 0:
            return
        worker.is_announced = True
        self.send(_announcement(worker, self.half), [worker.pidfd, worker.scoreboard_fd])

    def announce_to_retiring(self, worker: WorkerHandle) -> None:
        """Those that it has may die, and its requests are not to wait for its end."""
        old = self.retiring
        if old is not None and old.peer is not None:
            worker.epochs.insert(0, old.epoch)
            self._send_retiring(
                _announcement(worker, old.half), [worker.pidfd, worker.scoreboard_fd]
            )

    def ready(self, epoch: int, listening: int) -> None:
        """It accepts connections."""
        if epoch == self.epoch:
            self._unanswered -= 1
            self.is_ready = True
            self.listening = listening
            self.respawn.worked()

    def ended(self, now: float) -> None:
        """The process has gone; `respawn` says when the next one may start."""
        self.respawn.died(now)
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self.process.close()
        self.is_ready = False
        self.log_trouble = ""
        self.listening = 0
        self._server.files.remove("listener")
        self._remove_endpoints(self.epoch)

    def _remove_endpoints(self, epoch: int) -> None:
        for pool in self._server.config.app_pools:
            endpoint = self._server.folder.queue_endpoint(pool, epoch)
            for path in (endpoint.queue.removeprefix("ipc://"), endpoint.descriptors):
                Path(path).unlink(missing_ok=True)

    def kill_retiring(self) -> None:
        """SIGKILL the one that was to finish."""
        if self.retiring is not None:
            self.retiring.process.kill()


def _announcement(worker: WorkerHandle, half: int) -> AddWorker:
    """What a listener that has this half of every scoreboard must know of a worker."""
    return AddWorker(
        worker.id,
        worker.pool,
        worker.pid,
        worker.identity,
        worker.slots,
        first_row=half * (worker.slots + worker.reserve),
        reserve=worker.reserve,
    )
