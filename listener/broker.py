"""PoolBroker: one pool's queue, and its workers' credit.

Dispatch is by credit: a worker has as many rows in its scoreboard as requests it may hold, the
listener picks the row, and a row is free again only with the request's END or the worker's death.
So at a death the scoreboard speaks truly of every request the worker still held.

Its parts: `hearing` is what workers say, `outbox` what they are told, `quarantine` what is known of
requests that have been near deaths, `demand` the workers that are asked for. Functions of files
beside it do the rest: what workers pull (pulled_bodies.py), the clock (time_limits.py), what
becomes of a dead worker's requests (worker_deaths.py), to which pools others' go (elsewhere.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from was.ipc.channel import BATCH_BYTES, RouterChannel
from was.ipc.messages import CHUNK_BYTES, CancelRequest, ResponseWindow, StopListening
from was.ipc.served import PoolQueue
from was.listener import elsewhere, worker_deaths
from was.listener.demand import Demand
from was.listener.descriptors import DescriptorDoor
from was.listener.endings import cut
from was.listener.incarnation import Incarnation
from was.listener.ledger import Standing
from was.listener.outbox import WorkerOutbox
from was.listener.own_answers import fail
from was.listener.quarantine import Quarantine
from was.listener.queue import RequestQueue
from was.listener.request import ClientRequest, Progress
from was.listener.spool import SpoolAccount
from was.listener.worker_messages import WorkerMessages

if TYPE_CHECKING:
    from was.listener.queue_end import FileDoor, QueueEnd
    from was.listener.service import ListenerService

__all__ = ["PoolBroker"]

# Looking a member up on its class is slow where it is done for every request.
ENDED = Progress.ENDED
QUEUED = Progress.QUEUED
RESPONDING = Progress.RESPONDING
SENT = Progress.SENT


class PoolBroker:
    """A pool in the listener."""

    def __init__(self, service: ListenerService, settings: PoolQueue) -> None:
        self.service = service
        self.settings = settings
        self.queue: RequestQueue[ClientRequest] = RequestQueue(settings.queue_length)
        self.account = SpoolAccount(
            service.spool_folder, max(settings.max_spool, 1 << 20), service.spool_memory
        )
        self.router: QueueEnd | None = None
        self.door: FileDoor | None = None
        self.workers: dict[int, Incarnation] = {}
        self.by_identity: dict[bytes, Incarnation] = {}
        self._ready: list[Incarnation] = []  # those that may be given requests
        # Whether they refuse requests by their length, of which workers are asked first.
        self.refuses_by_length = True
        self.is_marked = False
        self.demand = Demand(self)
        self.quarantine = Quarantine(self)
        self.outbox = WorkerOutbox(self)
        self.hearing = WorkerMessages(self)

    @property
    def name(self) -> str:
        """The pool as people know it."""
        return self.settings.stands_for or self.settings.name

    # ── settings ────────────────────────────────────────────────────────────────────────────────

    def configure(self, settings: PoolQueue) -> None:
        """New settings, in force at once; a queue that closes answers what waits."""
        self.settings = settings
        self.queue.limit = settings.queue_length
        self.account.limit_bytes = max(settings.max_spool, 1 << 20)
        self.quarantine.configure()
        if not settings.accepting:
            for request in self.queue.drain():
                elsewhere.turn_away(self, request)
            self.demand.forget()

    def refusal(self) -> str:
        """Why a request is not taken now, "" when it is."""
        if not self.settings.accepting:
            return self.settings.refusal or "Disabled"
        return ""

    def bind(self) -> None:
        """Bind the pool's endpoint, once."""
        if self.router is not None:
            return
        endpoint = self.service.queue_endpoint(self.settings.name)
        self.router = channel = RouterChannel(
            self.service.loop,
            self.service.context,
            endpoint.queue,
            on_message=self.hearing.on_message,
            wants_source=self.hearing.wants_source,
            after_pump=self.turn,
        )
        self.door = DescriptorDoor(endpoint.descriptors, self._is_worker)
        self.service.channels.append(channel)

    def _is_worker(self, pid: int) -> bool:
        return any(worker.pid == pid for worker in self.workers.values())

    def close(self) -> None:
        """The pool is gone, or the listener leaves: nobody is left waiting."""
        self.settings = structs.replace(self.settings, accepting=False, refusal="Disabled")
        for request in self.queue.drain():
            elsewhere.turn_away(self, request)
        for worker in self.workers.values():
            for request in list(worker.outstanding.values()):
                if request.connection is not None and request.progress is RESPONDING:
                    cut(request.connection, "its pool is gone")
                else:
                    self.fail(request, 503, "Disabled")
            worker.outstanding.clear()
        self.demand.close()
        for worker in list(self.workers.values()):
            self.forget(worker)
        if self.router is not None:
            if isinstance(self.router, RouterChannel):
                self.service.channels.remove(self.router)
            self.router.close()
            self.router = None
        if self.door is not None:
            self.door.close()
            self.door = None

    # ── requests in ─────────────────────────────────────────────────────────────────────────────

    def submit(self, request: ClientRequest) -> None:
        """A request is ready for a worker: queue it; it is dispatched at the end of this turn."""
        if not self.settings.accepting:
            elsewhere.turn_away(self, request)
            return
        if request.spool is not None or request.body_length:
            request.queued_at = self.service.time()  # else it came in this very turn
            if elsewhere.find(self, request) is not None:
                elsewhere.turn_away(self, request)
                return
        if self.quarantine.keys and self.quarantine.judge(request) is Standing.QUARANTINED:
            self.quarantine.refuse(request)
            return
        request.progress = QUEUED
        if not self.queue.offer(request):
            # A burst within one turn of the loop is no full queue where there is credit for it.
            self._dispatch()
            if not self.queue.offer(request):
                self.fail(request, 503, "QueueFull")
                return
        if not self.is_marked:
            self.is_marked = True
            self.service.mark(self)

    def turn(self) -> None:
        """End of a turn of the loop: give out what waits, send what was collected."""
        self.is_marked = False
        self._dispatch()
        if self.outbox.to_flush:
            self.outbox.flush()

    # ── dispatch ────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self) -> None:
        queue = self.queue
        ready = self._ready
        quarantine = self.quarantine
        now = self.service.time()
        while True:
            # The least loaded worker that has credit.
            worker = None
            free = 0
            for candidate in ready:
                credit = len(candidate.free_slots)
                if credit > free and not candidate.is_blocked:
                    worker = candidate
                    free = credit
            if worker is None:
                break
            request = self._take_suspect() if queue.has_aside else None
            if request is None:
                request = queue.take()
                if request is None:
                    break
            if request.is_suspect or quarantine.keys:
                standing = quarantine.judge(request)
                if standing is Standing.QUARANTINED:
                    quarantine.refuse(request)
                    continue
                if standing is Standing.SUSPECT:
                    # A worker runs at most one of them.
                    if worker.suspect is not None:
                        worker = self._without_suspect()
                        if worker is None:
                            queue.set_aside(request)
                            continue
                    worker.suspect = request
            self._give(worker, request, now)
        if queue.has_waiting():
            self.demand.tell()

    def _take_suspect(self) -> ClientRequest | None:
        """One of those that wait for a worker without a suspect, if there is such a worker."""
        return None if self._without_suspect() is None else self.queue.take_aside()

    def _without_suspect(self) -> Incarnation | None:
        for worker in self._ready:
            if worker.suspect is None and worker.free_slots and not worker.is_blocked:
                return worker
        return None

    def _give(self, worker: Incarnation, request: ClientRequest, now: float) -> None:
        connection = request.connection
        assert connection is not None  # else it would have been withdrawn
        request.attempt += 1
        request.slot = worker.free_slots.pop()
        request.worker = worker
        request.quiet_since = now
        request.progress = SENT
        if request.spool is not None:
            request.pull_granted = 0
            request.pull_offset = 0
        worker.outstanding[request.id] = request
        if connection.beyond is not None:
            for item in connection.beyond.resumption():
                self.outbox.post(worker, item, len(item.state) + 320)
        out = worker.out
        if not out:
            self.outbox.to_flush.append(worker)
        out.append(request.message(connection.peer))
        # An estimate: what counts is that a batch never comes near MAXMSGSIZE.
        worker.out_bytes += len(request.body) + 2 * request.head.size
        if worker.out_bytes > BATCH_BYTES - CHUNK_BYTES:
            self.outbox.encode(worker)

    # ── workers come and go ─────────────────────────────────────────────────────────────────────

    def add_worker(self, worker: Incarnation) -> None:
        """A worker is about to connect."""
        self.bind()
        self.workers[worker.worker_id] = worker
        self.by_identity[worker.identity] = worker
        self.service.loop.add_reader(worker.pidfd, worker_deaths.on_death, self, worker)
        self.hearing.announced(worker)

    def activate(self, worker_id: int, replaces: list[int]) -> None:
        """Give the worker requests; those it replaces get none from here on, then are stopped."""
        for old in replaces:  # whatever has become of that one: the manager counts on it
            self.drain(old, graceful=True)
        worker = self.workers.get(worker_id)
        if worker is None or worker.is_dead or worker.is_faulty or worker.is_draining:
            return
        worker.is_activated = True
        worker.is_suspended = False
        if worker not in self._ready:
            self._ready.append(worker)
        self.demand.forget()
        self.turn()

    def drain(self, worker_id: int, *, graceful: bool) -> None:
        """No more requests for the worker, then StopListening on its own channel."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.is_dead:
            return
        worker.is_draining = True
        worker.is_suspended = False
        self.take_from_dispatch(worker)
        if not worker.is_stop_sent:
            worker.is_stop_sent = True
            self.outbox.post(worker, StopListening(graceful))

    def suspend(self, worker_id: int) -> bool:
        """No requests for the worker until it is activated again; False when it has something."""
        worker = self.workers.get(worker_id)
        if worker is None or worker not in self._ready or self.queue.has_waiting():
            return False
        if worker.outstanding or worker.out or worker.unsent:
            return False
        worker.is_suspended = True
        self.take_from_dispatch(worker)
        return True

    def resume_all(self) -> None:
        """There is no manager to wake anybody; its end has woken those that it had stopped."""
        for worker in list(self.workers.values()):
            if worker.is_suspended:
                self.activate(worker.worker_id, [])

    @property
    def has_ready(self) -> bool:
        """Whether any worker may be given requests."""
        return bool(self._ready)

    @property
    def has_suspended(self) -> bool:
        """Whether a worker sleeps that the manager can wake."""
        return any(worker.is_suspended for worker in self.workers.values())

    def take_from_dispatch(self, worker: Incarnation) -> None:
        """No more requests for the worker."""
        if worker in self._ready:
            self._ready.remove(worker)

    def forget(self, worker: Incarnation) -> None:
        """The worker has gone and nothing of it is left to settle."""
        worker.is_dead = True
        self.workers.pop(worker.worker_id, None)
        self.by_identity.pop(worker.identity, None)
        self.take_from_dispatch(worker)
        if worker.pidfd >= 0:
            self.service.loop.remove_reader(worker.pidfd)
        if self.door is not None:
            self.door.forget(worker.pid)
        worker.close()

    def faulty(self, worker: Incarnation, detail: str) -> None:
        """Not trusted any more: nothing it says counts, it gets nothing more, it is replaced."""
        if worker.is_faulty:
            return
        worker.is_faulty = True
        self.take_from_dispatch(worker)
        self.service.manager.faulty(worker.worker_id, detail)

    # ── the ends of requests ────────────────────────────────────────────────────────────────────

    def fail(self, request: ClientRequest, status: int, reason: str) -> None:
        """Answer for the worker, if anybody waits."""
        if request.connection is not None:
            fail(request.connection, request, status, reason)

    def client_gone(self, request: ClientRequest) -> None:
        """The client left before its answer was complete."""
        request.is_client_gone = True
        self.abandon(request)

    def abandon(self, request: ClientRequest) -> None:
        """The client needs no answer from a worker any more; one that has it owes an END."""
        self.queue.withdraw(request)
        if request.connection is not None:
            request.gone_client = request.connection.peer[0]
            request.connection = None
        if request.progress is RESPONDING:
            request.is_cut = True
        request.progress = ENDED
        request.release_body()
        self.cancel(request)

    def cancel(self, request: ClientRequest) -> None:
        """Tell the worker, if one has the request, that nobody waits for it."""
        worker = request.worker
        if worker is not None and request.id in worker.outstanding:
            cancel = CancelRequest(request.id, request.attempt, request.is_overdue)
            self.outbox.post(worker, cancel)

    def queue_again(self, request: ClientRequest) -> None:
        """Back to its place in the queue, for another worker."""
        request.worker = None
        request.is_parked = False
        request.progress = QUEUED
        if not self.settings.accepting:
            elsewhere.turn_away(self, request)
            return
        self.service.records.count("requests_taken_back")
        request.queued_at = self.service.time()  # the time it ran is not time it waited
        self.queue.give_back(request)

    def widen_window(self, request: ClientRequest, count: int) -> None:
        """The listener took `count` bytes of the response."""
        if request.worker is not None and request.id in request.worker.outstanding:
            self.outbox.post(request.worker, ResponseWindow(request.id, request.attempt, count))
