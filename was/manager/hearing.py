"""What the processes say, and who may say what.

A peer is recognised by its first message and the pid the kernel vouches for; what does not fit is
its fault, and it is treated accordingly.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from was import faults
from was.config.model import RecycleReason
from was.ipc import listener_control as lc
from was.ipc import worker_control as wc
from was.ipc.codec import ToManager
from was.log import log
from was.manager.control import Peer
from was.manager.handle import WorkerHandle

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Hearing"]

# So much of a worker's own words is written down: they may be millions.
MAX_TEXT = 2048

# When a listener that had no room for descriptors is told again; it may take longer to get some.
TELL_AGAIN_S = 1.0


class Hearing:
    """The manager's ears."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._is_to_tell_again = False

    def hear(self, peer: Peer, message: ToManager, descriptors: list[int]) -> None:
        """One message."""
        if isinstance(message, wc.WorkerHello) and peer.kind != "worker":
            self._worker_hello(peer, message, descriptors)
            return
        for fd in descriptors:
            os.close(fd)
        if peer.kind == "worker":  # whatever it says that it is besides
            self._hear_worker(peer, message)
        elif isinstance(message, wc.TemplateHello):
            self._greet(peer, "template", self._manager.template.welcome(peer))
            self._manager.check_ready()
        elif isinstance(message, lc.ListenerHello):
            self._listener_hello(peer)
        elif peer.kind == "listener":
            self._hear_listener(message)
        elif peer.kind == "retiring":
            self._hear_retiring(message)
        elif isinstance(message, wc.ForkFailed) and peer.kind == "template":
            self._manager.endings.fork_failed(message.worker_id, message.error)
        else:
            self.peer_faulty(peer, f"{type(message).__name__} from nobody we know")

    def _listener_hello(self, peer: Peer) -> None:
        listener = self._manager.listener
        if listener.spare.recognise(peer) or listener.recognise_retiring(peer):
            return  # its time has not come, or is over
        self._greet(peer, "listener", listener.welcome(peer))
        if peer.kind == "listener":
            self._tell_listener_all()

    def _greet(self, peer: Peer, kind: str, is_ours: bool) -> None:
        if is_ours:
            peer.kind = kind
            if kind == "listener":
                peer.trust()
        else:
            log("admin_error", error=f"pid {peer.pid} says that it is our {kind}, and is not")
            peer.close()

    def greet_adopted(self, peer: Peer) -> None:
        """The listener of an earlier manager is ours now: tell it everything."""
        self._greet(peer, "listener", self._manager.listener.welcome(peer))
        self._tell_listener_all()
        for worker_id in self._manager.adoption.unactivated:
            self._manager.listener.send(lc.ActivateWorker(worker_id, []))

    def _hear_listener(self, message: ToManager) -> None:
        now = self._manager.now()
        match message:
            case lc.ListenerReady(epoch, listening):
                self._manager.listener.ready(epoch, listening)
                if self._manager.listener.has_latest_sockets:
                    self._manager.sites.listener_let_go()
                    self._manager.reloading.listener_follows(now)
                self.endpoints_changed()
                self._manager.upgrade.successor_accepts(now)
                self._manager.check_ready()
            case lc.WantSockets():
                self._manager.sites.want(message)
            case lc.DemandStart(name, further):
                pool = self._manager.pools.get(name)
                if pool is not None:
                    self._manager.performer.perform(pool, pool.demand(now, further=further))
            case lc.WorkerAttached(worker_id):
                self._attached(worker_id, now)
            case lc.WorkerSuspended(worker_id, is_quiet):
                pool = self._manager.pool_of(worker_id)
                if pool is not None:
                    self._manager.performer.perform(
                        pool, pool.worker_suspended(worker_id, now, is_quiet=is_quiet)
                    )
            case lc.WorkerDrained(worker_id):
                log("worker_drained", worker=worker_id)
            case lc.WorkerFaulty(worker_id, detail):
                self._manager.endings.fail_worker(worker_id, 5127, detail=detail)
            case lc.WorkerOverdue(worker_id):
                self._manager.overdue.told(worker_id, message, by_listener=True)
            case lc.WorkerDeathSettled(worker_id, requests, _):
                self._settled(worker_id, requests, now)
            case lc.ListenerReport():
                self._manager.queries.listener_answered(message)
            case lc.LogTrouble(detail):
                if detail:
                    self._manager.server.events.report(15002, detail=detail)
                self._manager.listener.log_trouble = detail
            case lc.DescriptorsLost(is_of_sockets):
                if is_of_sockets:
                    self._manager.listener.sockets_lost()
                if not self._is_to_tell_again:
                    self._is_to_tell_again = True
                    self._manager.server.loop.call_later(TELL_AGAIN_S, self._tell_again)
            case lc.WorkerLeftAlone(worker_id):
                self._manager.endings.worker_left_alone(worker_id)
            case lc.ListenerDrained(left_alone):
                self._manager.shutdown.listener_drained(now, frozenset(left_alone))
            case _:
                self._manager.listener.process.kill()

    def _hear_retiring(self, message: ToManager) -> None:
        """What a listener that finishes has to say of its workers; the rest is its successor's."""
        told = (
            lc.DemandStart,
            lc.WorkerFaulty,
            lc.WorkerOverdue,
            lc.WorkerDeathSettled,
            lc.WorkerDrained,
        )
        if isinstance(message, told):
            self._hear_listener(message)
        elif isinstance(message, lc.WorkerAttached):
            self._attached_to_retiring(message.worker_id)
        elif isinstance(message, lc.ListenerDrained):
            self._manager.upgrade.recycle(self._manager.now())

    def _hear_worker(self, peer: Peer, message: ToManager) -> None:
        now = self._manager.now()
        worker_id = peer.worker_id
        pool = self._manager.pool_of(worker_id)
        if pool is None:
            return
        match message:
            case wc.WorkerReady(_, programs, failed):
                handle = self._manager.workers.handles.get(worker_id)
                if handle is not None:
                    handle.programs, handle.failed_programs = programs, failed
                self._manager.performer.perform(pool, pool.worker_loaded(worker_id, now))
                self._manager.check_ready()
            case wc.WorkerStartFailed(_, detail, is_failure):
                self._manager.endings.fail_worker(
                    worker_id, 5059, is_counted=is_failure, detail=detail[:MAX_TEXT]
                )
            case wc.RecycleRequested(_, reason, detail):
                known = {r.value: r for r in RecycleReason}
                why = known.get(reason, RecycleReason.ON_DEMAND)
                self._manager.performer.perform(
                    pool, pool.recycling.worker_asks(worker_id, why, now, detail[:MAX_TEXT])
                )
            case lc.WorkerOverdue():
                self._manager.overdue.told(worker_id, message, by_listener=False)
            case wc.Pong(nonce):
                pool.pong(worker_id, nonce, now)
            case wc.SuspendPrepared(_, nonce):
                self._manager.workers.suspend(worker_id, nonce)
            case wc.WorkerAnswer():
                self._manager.queries.worker_answered(worker_id, message)
            case _:
                self.peer_faulty(peer, f"{type(message).__name__} from a worker")

    def _worker_hello(self, peer: Peer, hello: wc.WorkerHello, descriptors: list[int]) -> None:
        handle = self._manager.workers.welcome(
            peer, hello, descriptors, self._manager.listener.epochs
        )
        self._greet(peer, "worker", handle is not None)
        if handle is None:
            return
        if handle.is_adopted:
            self._announce(handle)
            pool = self._manager.pool_of(handle.id)
            if pool is not None:
                self._manager.performer.perform(pool, pool.came_back(handle.id))
        else:
            log("worker_spawned", worker=handle.id, pid=handle.pid, app_pool=handle.pool)
        if handle.is_condemned:
            self._manager.workers.kill(handle.id)
        elif handle.is_draining and self._manager.shutdown.is_stopping_workers:
            peer.send(wc.StopWorker(drain=True))  # it was not there when the others were told

    def worker_arrived(self, handle: WorkerHandle) -> None:
        """A new worker, before its welcome."""
        self._manager.processors.arrived(handle)
        if self._is_of_use(handle):
            self._manager.listener.announce_to_retiring(handle)
        self._announce(handle)

    def _announce(self, handle: WorkerHandle) -> None:
        if self._is_of_use(handle):
            self._manager.listener.announce(handle)

    def _is_of_use(self, handle: WorkerHandle) -> bool:
        is_leaving = handle.is_draining and self._manager.shutdown.is_stopping_workers
        return not (handle.is_condemned or is_leaving)

    def _tell_listener_all(self) -> None:
        self._manager.performer.publish_pools()
        self._manager.sites.publish_routes()
        self._manager.sites.publish_expected()
        for handle in self._manager.workers.handles.values():
            handle.is_announced = False
            if not handle.is_draining and not handle.is_condemned:
                self._manager.listener.announce(handle)
        self._manager.sites.publish_sockets()

    def _tell_again(self) -> None:
        """The listener had no room for some of it; what it has it does not take twice."""
        self._is_to_tell_again = False
        if self._manager.listener.is_connected and not self._manager.shutdown.has_begun:
            self._tell_listener_all()

    def endpoints_changed(self) -> None:
        """Tell the workers which listeners there are."""
        listener, folder = self._manager.listener, self._manager.server.folder
        for handle in self._manager.workers.handles.values():
            # A listener that has not spoken to this manager yet was told of no new workers.
            epochs = [e for e in listener.epochs if e == listener.epoch or e in handle.epochs]
            if handle.peer is not None and handle.epochs != epochs:
                handle.epochs = epochs
                endpoints = [folder.queue_endpoint(handle.pool, epoch) for epoch in epochs]
                handle.peer.send(wc.SetEndpoints(endpoints))

    def _attached(self, worker_id: int, now: float) -> None:
        handle = self._manager.workers.handles.get(worker_id)
        pool = self._manager.pool_of(worker_id)
        if handle is None or pool is None:
            return
        handle.attached.add(self._manager.listener.epoch)
        if handle.is_active:  # it ran under an earlier listener
            faults.reach("manager.activating")
            self._manager.listener.send(lc.ActivateWorker(worker_id, []))
        self._manager.performer.perform(pool, pool.worker_attached(worker_id, now))
        self._manager.check_ready()

    def _attached_to_retiring(self, worker_id: int) -> None:
        handle = self._manager.workers.handles.get(worker_id)
        retiring = self._manager.listener.retiring
        if handle is not None and retiring is not None:
            handle.attached.add(retiring.epoch)
            if handle.is_active:
                self._manager.listener.activate_in_retiring(handle)

    def _settled(self, worker_id: int, requests: Sequence[lc.InFlight], now: float) -> None:
        self._manager.deaths.settled(worker_id, requests)
        pool = self._manager.pools.get(self._manager.workers.pool_of(worker_id))
        if pool is None:
            return
        clients = frozenset(r.client for r in requests if r.state in ("started", "responding"))
        waiting = any(r.fate == "dispatched again" for r in requests)
        self._manager.performer.perform(
            pool, pool.death_settled(worker_id, now, clients, has_waiting=waiting)
        )

    def peer_faulty(self, peer: Peer, detail: str) -> None:
        """A process said what it may not say, or what is no message."""
        if peer.kind == "worker":
            self._manager.endings.fail_worker(peer.worker_id, 5127, detail=detail)
        elif peer.kind == "listener":
            log("listener_error", error=detail)
            self._manager.listener.process.kill()
        elif peer.kind == "template":
            self._manager.template.process.kill()
        else:
            log("admin_error", error=f"pid {peer.pid} on the control socket: {detail}")
            peer.close()

    def peer_gone(self, peer: Peer) -> None:
        """A process closed its control connection."""
        handle = (
            self._manager.workers.handles.get(peer.worker_id) if peer.kind == "worker" else None
        )
        if handle is not None:
            # A death closes the connection a moment before the pidfd fires; give it that moment.
            handle.link_lost_at = self._manager.now()
            self._manager.queries.worker_gone(handle.id)
        elif peer.kind == "listener" and peer.pid == self._manager.listener.process.pid:
            self._manager.listener.process.kill()
        elif peer.kind == "retiring":
            self._manager.listener.kill_retiring()
        elif peer.kind == "spare":
            self._manager.listener.spare.dismiss()
        elif peer.kind == "template" and peer.pid == self._manager.template.process.pid:
            self._manager.template.process.kill()
