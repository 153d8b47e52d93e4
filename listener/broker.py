"""PoolBroker: one pool's queue, its workers' credit, and what becomes of a dead worker's requests.

Dispatch is by credit: a worker has as many rows in its scoreboard as requests it may hold, the
listener picks the row, and a row is free again only with the request's END or the worker's death.
So at a death the scoreboard speaks truly of every request the worker still held.

The order when a worker dies (DESIGN, section 5): the pidfd has fired; no more sends; read its queue
until its connection is seen to end, at most SETTLE_S; read the scoreboard; only then take back.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from msgspec import structs

from was.errors import IllFormedMessageError, LocalProtocolError
from was.ipc import codec
from was.ipc.channel import BATCH_BYTES, RouterChannel, Sent
from was.ipc.messages import (
    CHUNK_BYTES,
    PROTOCOL_VERSION,
    AbortResponse,
    AcknowledgeBye,
    BodyChunk,
    BodyPull,
    Bye,
    CancelRequest,
    GivenBack,
    Hello,
    InFlight,
    PoolQueue,
    Response,
    ResponseChunk,
    ResponseWindow,
    StopListening,
    ToListenerItem,
    ToWorker,
    ToWorkerItem,
)
from was.ipc.scoreboard import RequestState, Row
from was.listener.descriptors import DescriptorDoor
from was.listener.fate import Fate, decide_fate, take_blame
from was.listener.incarnation import Incarnation
from was.listener.queue import RequestQueue
from was.listener.request import ClientRequest, Progress
from was.listener.spool import SpoolAccount

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.service import ListenerService

__all__ = ["PoolBroker"]

# Looking a member up on its class is slow where it is done for every request.
ENDED = Progress.ENDED
QUEUED = Progress.QUEUED
RESPONDING = Progress.RESPONDING
SENT = Progress.SENT

SETTLE_S = 0.05
SETTLE_STEP_S = 0.002
FURTHER_S = 0.05
READ_AHEAD_BYTES = 64 * 1024
RETRY_SEND_S = 0.005
MAX_FILE_OFFSET = (1 << 63) - 1
# A worker's connection ends with its process. If it has ended and this much later the pidfd has not
# fired, the worker lives on and what it said last is lost (a message beyond MAXMSGSIZE, say).
CONNECTION_LOST_S = 1.0


class PoolBroker:
    """A pool in the listener."""

    def __init__(self, service: ListenerService, settings: PoolQueue) -> None:
        self._service = service
        self.settings = settings
        self.queue: RequestQueue[ClientRequest] = RequestQueue(settings.queue_length)
        self.account = SpoolAccount(service.spool_folder, max(settings.max_spool, 1 << 20))
        self._router: RouterChannel | None = None
        self._door: DescriptorDoor | None = None
        self.workers: dict[int, Incarnation] = {}
        self._by_identity: dict[bytes, Incarnation] = {}
        self._ready: list[Incarnation] = []  # those that may be given requests
        self._to_flush: list[Incarnation] = []
        self._is_demanded = False
        self._further_timer: asyncio.TimerHandle | None = None
        self.is_marked = False

    # ── settings ────────────────────────────────────────────────────────────────────────────────

    def configure(self, settings: PoolQueue) -> None:
        """New settings, in force at once; a queue that closes answers what waits."""
        self.settings = settings
        self.queue.limit = settings.queue_length
        self.account.limit_bytes = max(settings.max_spool, 1 << 20)
        if not settings.accepting:
            for request in self.queue.drain():
                self._fail(request, 503, settings.refusal or "Disabled")
            self._is_demanded = False

    def refusal(self) -> str:
        """Why a request is not taken now, "" when it is."""
        if not self.settings.accepting:
            return self.settings.refusal or "Disabled"
        return ""

    def bind(self) -> None:
        """Bind the pool's endpoint, once."""
        if self._router is not None:
            return
        endpoint = self._service.queue_endpoint(self.settings.name)
        self._router = RouterChannel(
            self._service.loop,
            self._service.context,
            endpoint.queue,
            on_message=self._on_message,
            wants_source=self._wants_source,
            after_pump=self.turn,
        )
        self._door = DescriptorDoor(endpoint.descriptors, self._is_worker)
        self._service.channels.append(self._router)

    def _is_worker(self, pid: int) -> bool:
        return any(worker.pid == pid for worker in self.workers.values())

    def close(self) -> None:
        """The pool is gone, or the listener leaves: nobody is left waiting."""
        self.settings = structs.replace(self.settings, accepting=False, refusal="Disabled")
        for request in self.queue.drain():
            self._fail(request, 503, "Disabled")
        for worker in self.workers.values():
            for request in list(worker.outstanding.values()):
                if request.connection is not None and request.progress is RESPONDING:
                    request.connection.abort("its pool is gone")
                else:
                    self._fail(request, 503, "Disabled")
            worker.outstanding.clear()
        if self._further_timer is not None:
            self._further_timer.cancel()
            self._further_timer = None
        for worker in list(self.workers.values()):
            self._forget(worker)
        if self._router is not None:
            self._service.channels.remove(self._router)
            self._router.close()
            self._router = None
        if self._door is not None:
            self._door.close()
            self._door = None

    # ── requests in ─────────────────────────────────────────────────────────────────────────────

    def submit(self, request: ClientRequest) -> None:
        """A request is ready for a worker: queue it; it is dispatched at the end of this turn."""
        if not self.settings.accepting:
            self._fail(request, 503, self.settings.refusal or "Disabled")
            return
        if request.spool is not None or request.body_length:
            request.queued_at = self._service.time()  # else it came in this very turn
        request.progress = QUEUED
        if not self.queue.offer(request):
            self._fail(request, 503, "QueueFull")
            return
        if not self.is_marked:
            self.is_marked = True
            self._service.mark(self)

    def turn(self) -> None:
        """End of a turn of the loop: give out what waits, send what was collected."""
        self.is_marked = False
        self._dispatch()
        if self._to_flush:
            self._flush()

    # ── dispatch ────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self) -> None:
        queue = self.queue
        ready = self._ready
        now = self._service.time()
        held_back: list[ClientRequest] | None = None
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
            request = queue.take()
            if request is None:
                break
            if request.is_suspect and worker.suspect is not None:
                # A worker runs at most one request that has seen a death.
                worker = self._without_suspect()
                if worker is None:
                    if held_back is None:
                        held_back = []
                    held_back.append(request)
                    continue
            self._give(worker, request, now)
        if held_back:
            for request in held_back:
                queue.give_back(request)
        if queue.has_waiting():
            self._demand()

    def _without_suspect(self) -> Incarnation | None:
        for worker in self._ready:
            if worker.suspect is None and worker.free_slots and not worker.is_blocked:
                return worker
        return None

    def _give(self, worker: Incarnation, request: ClientRequest, now: float) -> None:
        connection = request.connection
        if connection is None:
            return
        request.attempt += 1
        request.slot = worker.free_slots.pop()
        request.worker = worker
        request.sent_at = now
        request.progress = SENT
        if request.spool is not None:
            request.pull_granted = 0
            request.pull_offset = 0
        if request.is_suspect:
            worker.suspect = request
        worker.outstanding[request.id] = request
        out = worker.out
        if not out:
            self._to_flush.append(worker)
        out.append(request.message(connection.peer))
        # An estimate: what counts is that a batch never comes near MAXMSGSIZE.
        worker.out_bytes += len(request.body) + 2 * request.head.size
        if worker.out_bytes > BATCH_BYTES - CHUNK_BYTES:
            self._encode(worker)

    def _post(self, worker: Incarnation, item: ToWorkerItem, size: int = 64) -> None:
        if worker.is_dead:
            return
        if worker.out_bytes + size > BATCH_BYTES - CHUNK_BYTES:
            self._encode(worker)
        if not worker.out:
            self._to_flush.append(worker)
        worker.out.append(item)
        worker.out_bytes += size
        if not self.is_marked:
            self.is_marked = True
            self._service.mark(self)

    def _encode(self, worker: Incarnation) -> None:
        if worker.out:
            worker.unsent.append(codec.encode(ToWorker(self._service.epoch, worker.out)))
            worker.out = []
            worker.out_bytes = 0

    def _flush(self) -> None:
        workers, self._to_flush = self._to_flush, []
        for worker in workers:
            self._encode(worker)
            self._send_unsent(worker)

    def _send_unsent(self, worker: Incarnation) -> None:
        router = self._router
        unsent = worker.unsent
        if router is None or worker.is_dead:
            unsent.clear()
            return
        while unsent:
            result = router.send(worker.identity, unsent[0])
            if result is Sent.YES:
                del unsent[0]
                continue
            # Not reading, or not connected though its pidfd has not fired: no more dispatch, keep
            # everything, and look again soon. Its death, if it is one, settles the rest.
            worker.is_blocked = True
            if not worker.is_retrying:
                worker.is_retrying = True
                self._service.loop.call_later(RETRY_SEND_S, self._unblock, worker)
            return
        if worker.is_blocked:
            worker.is_blocked = False
            self.turn()

    def _unblock(self, worker: Incarnation) -> None:
        worker.is_retrying = False
        if not worker.is_dead and worker.is_blocked:
            self._send_unsent(worker)

    # ── demand ──────────────────────────────────────────────────────────────────────────────────

    def _demand(self) -> None:
        """A request waits without credit: have the manager start a worker, or a further one."""
        if not self.settings.demand_start:
            return
        if not self._ready:
            if not self._is_demanded:
                self._is_demanded = True
                self._service.demand(self.settings.name, further=False)
        elif self._further_timer is None and len(self.workers) < self.settings.max_processes:
            self._further_timer = self._service.loop.call_later(FURTHER_S, self._demand_further)

    def _demand_further(self) -> None:
        self._further_timer = None
        oldest = self.queue.peek()
        if oldest is None or not self._ready or len(self.workers) >= self.settings.max_processes:
            return
        if self._service.loop.time() - oldest.queued_at >= FURTHER_S * 0.9:
            self._service.demand(self.settings.name, further=True)
        self._further_timer = self._service.loop.call_later(FURTHER_S, self._demand_further)

    def renew_demand(self) -> None:
        """The manager has lost or given up a start: if requests still wait, ask again."""
        self._is_demanded = False
        if self.queue.has_waiting():
            self._demand()

    # ── workers come and go ─────────────────────────────────────────────────────────────────────

    def add_worker(self, worker: Incarnation) -> None:
        """A worker is about to connect."""
        self.bind()
        self.workers[worker.worker_id] = worker
        self._by_identity[worker.identity] = worker
        self._service.loop.add_reader(worker.pidfd, self._on_death, worker)

    def activate(self, worker_id: int, replaces: list[int]) -> None:
        """Give the worker requests; those it replaces get none from here on, then are stopped."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.is_dead or worker.is_faulty:
            return
        worker.is_activated = True
        if worker not in self._ready:
            self._ready.append(worker)
        self._is_demanded = False
        for old in replaces:
            self.drain(old, graceful=True)
        self.turn()

    def drain(self, worker_id: int, *, graceful: bool) -> None:
        """No more requests for the worker, then StopListening on its own channel."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.is_dead:
            return
        worker.is_draining = True
        if worker in self._ready:
            self._ready.remove(worker)
        if not worker.is_stop_sent:
            worker.is_stop_sent = True
            self._post(worker, StopListening(graceful))

    def _forget(self, worker: Incarnation) -> None:
        self.workers.pop(worker.worker_id, None)
        self._by_identity.pop(worker.identity, None)
        if worker in self._ready:
            self._ready.remove(worker)
        if worker.pidfd >= 0:
            self._service.loop.remove_reader(worker.pidfd)
        if self._door is not None:
            self._door.forget(worker.pid)
        worker.close()

    # ── what workers say ────────────────────────────────────────────────────────────────────────

    def _wants_source(self, identity: bytes) -> bool:
        worker = self._by_identity.get(identity)
        return worker is not None and not worker.is_attached

    def _on_message(self, identity: bytes, data: Any, source: int) -> None:  # noqa: ANN401 buffer
        worker = self._by_identity.get(identity)
        if worker is None:
            self._service.count("messages_from_strangers")
            return
        if worker.is_faulty:
            return
        try:
            batch = codec.decode_to_listener(data)
            if batch.epoch != self._service.epoch:
                raise IllFormedMessageError(f"epoch {batch.epoch}")  # noqa: TRY301 one way out
            for item in batch.items:
                kind = type(item)
                if kind is Response:
                    self._on_response(worker, item)  # type: ignore[arg-type]
                else:
                    self._on_item(worker, item, source)
        except (IllFormedMessageError, LocalProtocolError) as error:
            self._faulty(worker, str(error))

    def _on_item(self, worker: Incarnation, item: ToListenerItem, source: int) -> None:
        match item:
            case Response():
                self._on_response(worker, item)
            case ResponseChunk():
                self._on_chunk(worker, item)
            case BodyPull():
                self._on_pull(worker, item)
            case AbortResponse():
                request = self._ended(worker, item.id, item.attempt)
                if request.connection is not None:
                    request.connection.on_abort(request, item)
                else:
                    self._late_log(request, item.log, 500)
            case GivenBack():
                self._on_given_back(worker, item)
            case Hello():
                self._on_hello(worker, item, source)
            case Bye():
                self._on_bye(worker)

    def _owned(self, worker: Incarnation, request_id: int, attempt: int) -> ClientRequest:
        request = worker.outstanding.get(request_id)
        if request is None or request.attempt != attempt:
            raise IllFormedMessageError(f"request {request_id:x} attempt {attempt} is not its own")
        return request

    def _ended(self, worker: Incarnation, request_id: int, attempt: int) -> ClientRequest:
        """The END of a request: its row is free again."""
        request = self._owned(worker, request_id, attempt)
        self._end(worker, request)
        return request

    def _end(self, worker: Incarnation, request: ClientRequest) -> None:
        del worker.outstanding[request.id]
        worker.free_slots.append(request.slot)
        worker.finished += 1
        if worker.suspect is request:
            worker.suspect = None

    # What is found ill-formed leaves its request with the worker, so that the worker's death
    # decides its fate: only a message that is good as far as it goes takes a request away.

    def _on_response(self, worker: Incarnation, item: Response) -> None:
        if item.more or item.file_token:
            self._on_longer_response(worker, item)
            return
        # _owned and _end, spelled out: this is the one path every small response takes.
        request = worker.outstanding.pop(item.id, _NOBODY)
        connection = request.connection
        if request.attempt != item.attempt or request.progress is RESPONDING:
            if request is not _NOBODY:
                worker.outstanding[item.id] = request
            raise IllFormedMessageError(f"request {item.id:x} is not its own, or has its response")
        worker.free_slots.append(request.slot)
        worker.finished += 1
        if worker.suspect is request:
            worker.suspect = None
        if connection is None:
            self._drop_late(request, item, -1)
            return
        self._respond(connection, request, item, -1)

    def _on_longer_response(self, worker: Incarnation, item: Response) -> None:
        request = self._owned(worker, item.id, item.attempt)
        if request.progress is RESPONDING:
            raise IllFormedMessageError("a second response")
        fd = self._take_file(worker, item) if item.file_token else -1
        if not item.more:
            self._end(worker, request)
        if request.connection is None:
            self._drop_late(request, item, fd)
            return
        self._respond(request.connection, request, item, fd)

    def _respond(
        self, connection: ClientConnection, request: ClientRequest, item: Response, fd: int
    ) -> None:
        try:
            connection.on_response(request, item, fd)
        except LocalProtocolError:
            if fd >= 0:
                os.close(fd)
            # What it wanted to say cannot be said; whoever waits gets a 502 instead.
            if request.connection is not None:
                connection.fail(request, 502, "Connection_Abandoned_By_AppPool")
            raise

    def _on_chunk(self, worker: Incarnation, item: ResponseChunk) -> None:
        request = self._owned(worker, item.id, item.attempt)
        connection = request.connection
        if connection is not None and request.progress is not RESPONDING:
            raise IllFormedMessageError("a chunk before its response")
        fd = self._take_file(worker, item) if item.file_token else -1
        if not item.more:
            self._end(worker, request)
        if connection is None:
            self._drop_late(request, item, fd)
            return
        connection.on_chunk(request, item, fd)

    def _take_file(self, worker: Incarnation, item: Response | ResponseChunk) -> int:
        """The descriptor that goes with a message.

        The worker passed it before it posted the message, so it is there already: nothing waits.
        """
        assert self._door is not None
        fd = self._door.take(worker.pid, item.id, item.file_token)
        if fd < 0:
            raise IllFormedMessageError(f"descriptor {item.file_token} did not come")
        offset, length = item.file_offset, item.file_length
        if offset < 0 or length < 0 or offset + length > MAX_FILE_OFFSET:
            os.close(fd)
            raise IllFormedMessageError(f"{length} bytes at {offset} of a file")
        return fd

    def _drop_late(self, request: ClientRequest, item: Response | ResponseChunk, fd: int) -> None:
        """For a request whose client has gone or was answered: count, and keep the flow going."""
        if fd >= 0:
            os.close(fd)
        self._service.count("late_messages")
        if not item.more:
            self._late_log(request, item.log, item.status if isinstance(item, Response) else 200)

    def _late_log(self, request: ClientRequest, log: str, status: int) -> None:
        # One that was answered by the listener (504) is in HTTPERR already.
        if log and request.is_client_gone:
            self._service.log_request(request, log, status, 0, 64, 0)

    def _on_hello(self, worker: Incarnation, item: Hello, source: int) -> None:
        if item.protocol != PROTOCOL_VERSION or item.worker_id != worker.worker_id:
            raise IllFormedMessageError(f"protocol {item.protocol} worker {item.worker_id}")
        if worker.is_attached:
            raise IllFormedMessageError("a second Hello")
        if self._router is not None:
            self._router.forget_disconnect(source)  # of a former connection with this descriptor
        worker.source = source
        worker.is_attached = True
        self._service.attached(worker.worker_id)

    def _on_bye(self, worker: Incarnation) -> None:
        if worker.outstanding:
            raise IllFormedMessageError("Bye with requests still owed")
        if worker.has_left:
            raise IllFormedMessageError("a second Bye")
        worker.has_left = True
        worker.is_draining = True
        if worker in self._ready:
            self._ready.remove(worker)
        self._post(worker, AcknowledgeBye())
        self._service.drained(worker.worker_id)

    def _on_given_back(self, worker: Incarnation, item: GivenBack) -> None:
        if not worker.is_stop_sent:
            raise IllFormedMessageError("requests given back without StopListening")
        rows = worker.scoreboard.read_rows()
        for request_id, attempt in item.requests:
            request = self._owned(worker, request_id, attempt)
            if request.progress is RESPONDING or _has_started(request, rows):
                raise IllFormedMessageError(f"request {request_id:x} given back after it began")
            if request.connection is not None and not request.is_body_held():
                raise IllFormedMessageError(f"request {request_id:x} given back without its body")
            self._end(worker, request)
            worker.finished -= 1
            if request.connection is not None:
                self._queue_again(request)
        self.turn()

    def _faulty(self, worker: Incarnation, detail: str) -> None:
        """Not trusted any more: nothing it says counts, it gets nothing more, it is replaced."""
        if worker.is_faulty:
            return
        worker.is_faulty = True
        if worker in self._ready:
            self._ready.remove(worker)
        self._service.faulty(worker.worker_id, detail)

    # ── request bodies that are pulled ──────────────────────────────────────────────────────────

    def _on_pull(self, worker: Incarnation, item: BodyPull) -> None:
        request = self._owned(worker, item.id, item.attempt)
        if item.count <= 0:
            raise IllFormedMessageError(f"a pull of {item.count} bytes")
        if request.connection is None:
            return  # the client went while the worker asked: it is told already
        if request.spool is None:
            raise IllFormedMessageError("a pull without a body to pull")
        request.pull_granted = min(request.pull_granted + item.count, 64 * CHUNK_BYTES)
        self._send_body(request)

    def body_arrived(self, request: ClientRequest) -> None:
        """More of a streamed body came."""
        if request.pull_granted > 0:
            # The worker has waited for it: the time that it may take begins again.
            request.sent_at = self._service.time()
        self._send_body(request)

    def _send_body(self, request: ClientRequest) -> None:
        """Send as much of the body as the worker has asked for and has come."""
        worker, spool = request.worker, request.spool
        if worker is None or spool is None or worker.is_dead:
            return
        while request.pull_granted > 0:
            left = spool.size - request.pull_offset
            if left <= 0 and not request.is_body_complete:
                break
            piece = spool.read(request.pull_offset, min(CHUNK_BYTES, request.pull_granted))
            request.pull_offset += len(piece)
            request.pull_granted -= len(piece)
            is_last = request.is_body_complete and request.pull_offset >= spool.size
            self._post(
                worker, BodyChunk(request.id, request.attempt, piece, is_last), len(piece) + 64
            )
            if is_last:
                request.pull_granted = 0
        if request.is_body_complete or request.connection is None:
            return
        left = spool.size - request.pull_offset
        if left == 0 and spool.size >= self.settings.max_spool:
            # More than may be kept: what the worker has read is let go, and with it the right to
            # run the request a second time.
            spool.restart()
            request.pull_offset = 0
            request.is_body_lost = True
        if left <= READ_AHEAD_BYTES:
            request.connection.body_pulled()

    def unread_body(self, request: ClientRequest) -> int:
        """Bytes that have come and that the worker has not asked for."""
        return request.spool.size - request.pull_offset if request.spool is not None else 0

    def widen_window(self, request: ClientRequest, count: int) -> None:
        """The listener took `count` bytes of the response."""
        if request.worker is not None and request.id in request.worker.outstanding:
            self._post(request.worker, ResponseWindow(request.id, request.attempt, count))

    # ── the ends of requests ────────────────────────────────────────────────────────────────────

    def _fail(self, request: ClientRequest, status: int, reason: str) -> None:
        if request.connection is not None:
            request.connection.fail(request, status, reason)

    def client_gone(self, request: ClientRequest) -> None:
        """The client left before its answer was complete."""
        request.is_client_gone = True
        self.abandon(request)

    def abandon(self, request: ClientRequest) -> None:
        """The client needs no answer from a worker any more; one that has it owes an END."""
        self.queue.withdraw(request)
        request.connection = None
        request.progress = ENDED
        request.release_body()
        worker = request.worker
        if worker is not None and request.id in worker.outstanding:
            self._post(worker, CancelRequest(request.id, request.attempt, request.is_client_gone))

    def _queue_again(self, request: ClientRequest) -> None:
        """Back to its place in the queue, for another worker."""
        request.worker = None
        request.progress = QUEUED
        if not self.settings.accepting:
            self._fail(request, 503, self.settings.refusal or "Disabled")
            return
        self._service.count("requests_taken_back")
        request.queued_at = self._service.time()  # the time it ran is not time it waited
        self.queue.give_back(request)

    def expire(self, now: float) -> None:
        """Time limits of waiting and running requests; called ten times a second."""
        settings = self.settings
        scaled = self._service.scaled
        if settings.queue_time_limit_s > 0:
            limit = scaled(settings.queue_time_limit_s)
            for request in self.queue.waiting_since(now - limit):
                self.queue.withdraw(request)
                self._fail(request, 503, "Timer_AppPool")
        self._look_for_lost(now)
        if settings.time_limit_s <= 0:
            return
        limit = scaled(settings.time_limit_s)
        for worker in list(self.workers.values()):
            late = [
                request
                for request in worker.outstanding.values()
                if request.progress is SENT and now - request.sent_at > limit
            ]
            if late:
                self._time_out(worker, late)

    def _look_for_lost(self, now: float) -> None:
        """Workers whose connection has ended though they live: what they sent last is lost."""
        router = self._router
        if router is None:
            return
        router.read_disconnects()
        for worker in list(self.workers.values()):
            if worker.is_dead or worker.is_faulty or worker.has_left or worker.source < 0:
                continue
            if worker.lost_at:
                if now - worker.lost_at > CONNECTION_LOST_S:
                    self._faulty(worker, "its connection ended")
            elif router.has_disconnected(worker.source):
                worker.lost_at = now

    def _time_out(self, worker: Incarnation, late: list[ClientRequest]) -> None:
        """504 for what has run too long; a request that has not even begun waits on."""
        rows = worker.scoreboard.read_rows()
        for request in late:
            if request.connection is None or not _has_started(request, rows):
                continue
            if request.pull_granted > 0 and not request.is_body_complete:
                continue  # the worker waits for the client
            self._service.count("requests_timed_out")
            request.connection.fail(request, 504, "Timer_Response")

    # ── death ───────────────────────────────────────────────────────────────────────────────────

    def _on_death(self, worker: Incarnation) -> None:
        """(1) The pidfd has fired. (2) No more sends. (3) Read on until its connection ended."""
        if worker.is_dead:
            return
        self._service.loop.remove_reader(worker.pidfd)
        worker.is_dead = True
        worker.out = []
        worker.out_bytes = 0
        worker.unsent.clear()
        if worker in self._ready:
            self._ready.remove(worker)
        self._settle_later(worker, self._service.loop.time() + SETTLE_S)

    def _settle_later(self, worker: Incarnation, deadline: float) -> None:
        router = self._router
        if router is None:
            return
        ended = not worker.outstanding or worker.is_faulty
        if not ended and worker.source >= 0:
            router.read_disconnects()
            ended = router.has_disconnected(worker.source)
        router.pump()
        if not ended and self._service.loop.time() < deadline:
            self._service.loop.call_later(SETTLE_STEP_S, self._settle_later, worker, deadline)
            return
        # One pump takes at most 64 messages: what the connection left behind is all read first.
        while router.has_message():
            router.pump()
        self._settle(worker)

    def _settle(self, worker: Incarnation) -> None:
        """(4) Read the scoreboard. (5) Decide each request's fate, then act."""
        rows = worker.scoreboard.read_rows()
        held = list(worker.outstanding.values())
        worker.outstanding.clear()
        started = [request for request in held if _has_started(request, rows)]
        take_blame(worker.suspect, started)
        facts: list[InFlight] = []
        for request in held:
            fate = decide_fate(request, has_started=request in started)
            facts.append(self._carry_out(request, fate, request in started))
        finished = worker.finished
        self._forget(worker)
        self._service.settled(worker.worker_id, facts, finished)
        if not self._ready:
            self._is_demanded = False
        self.turn()

    def _carry_out(self, request: ClientRequest, fate: Fate, has_started: bool) -> InFlight:
        connection = request.connection
        state = "responding" if request.progress is RESPONDING else "sent"
        if state == "sent" and has_started:
            state = "started"
        fact = InFlight(
            request.id,
            request.head.method,
            request.head.target[:2048],
            connection.peer[0] if connection is not None else "",
            state,
            fate.value,
        )
        match fate:
            case Fate.NOBODY_WAITS:
                pass
            case Fate.AGAIN:
                self._queue_again(request)
            case Fate.CUT:
                assert connection is not None
                connection.abort("its worker died")
            case Fate.BAD_GATEWAY:
                self._service.count("requests_failed")
                request.worker = None
                self._fail(request, 502, "Connection_Abandoned_By_AppPool")
            case Fate.POISONED:
                self._service.count("requests_poisoned")
                request.worker = None
                self._fail(request, 502, "Poisoned")
        return fact


class _Nobody:
    """Stands in for a request the worker does not have: its attempt fits no message."""

    attempt = -1
    connection = None
    progress = SENT


_NOBODY: Any = _Nobody()


def _has_started(request: ClientRequest, rows: list[Row]) -> bool:
    """The proof: the row the request was given says that this attempt of it began."""
    if not 0 <= request.slot < len(rows):
        return True  # no proof against it
    row = rows[request.slot]
    return (
        row.id == request.id
        and row.attempt == request.attempt & 0xFF
        and row.state >= RequestState.STARTED
    )
