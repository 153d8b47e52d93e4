"""What workers say to a pool's broker, and what of it is believed.

No field of a worker's message is trusted. What is found ill-formed leaves its request with the
worker, so that the worker's death decides its fate: only a message that is good as far as it goes
takes a request away.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from was import faults
from was.errors import IllFormedMessageError, LocalProtocolError
from was.ipc import codec
from was.ipc.channel import BATCH_BYTES
from was.ipc.messages import (
    CHUNK_BYTES,
    HELD_STATE_BYTES,
    PROTOCOL_VERSION,
    AbortResponse,
    AcknowledgeBye,
    BodyPull,
    Bye,
    ConnectionClosed,
    EarlyHints,
    GivenBack,
    HandOver,
    Hello,
    HoldSocket,
    MessagesTaken,
    Parked,
    Response,
    ResponseChunk,
    ToListenerItem,
    WatchConnection,
)
from was.listener import elsewhere, pulled_bodies
from was.listener.fate import has_started
from was.listener.incarnation import Incarnation
from was.listener.own_answers import fail
from was.listener.passed_files import file_of
from was.listener.request import ClientRequest, Progress
from was.listener.responding import give_hints, give_up, respond, respond_further

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker

__all__ = ["WorkerMessages"]

# Looking a member up on its class is slow where it is done for every request.
READING = Progress.READING
RESPONDING = Progress.RESPONDING

# A worker counts every item of a batch as 64 bytes at least. More of them take long to read.
MAX_ITEMS = BATCH_BYTES // 64

# Batches for a worker that have found no room in ZeroMQ's queue of 256.
MOST_UNREAD = 16

# Between a worker's Bye and its end; longer than it waits for an answer to that.
LAST_WORDS_S = 5.0

# Of how many whom nobody has announced the first word is kept, and how long it may be.
EARLY_WORKERS = 16
EARLY_BYTES = 256


class WorkerMessages:
    """The ears of one pool's broker."""

    def __init__(self, pool: PoolBroker) -> None:
        self._pool = pool
        self._quarantine = pool.quarantine
        self._early: dict[bytes, tuple[bytes, int]] = {}

    def announced(self, worker: Incarnation) -> None:
        """The manager has told of a worker: it may have spoken already."""
        early = self._early.pop(worker.identity, None)
        if early is not None:
            self.on_message(worker.identity, *early)

    def _keep(self, identity: bytes, data: bytes, source: int) -> None:
        """The manager's word of a worker comes by another road, and may be read after its Hello."""
        self._pool.service.records.count("messages_from_strangers")
        if len(data) <= EARLY_BYTES and identity not in self._early:
            if len(self._early) >= EARLY_WORKERS:
                del self._early[next(iter(self._early))]
            self._early[identity] = bytes(data), source

    def wants_source(self, identity: bytes) -> bool:
        """Whether the connection that a message came by is to be known: for the first one."""
        worker = self._pool.by_identity.get(identity)
        return worker is None or not worker.is_attached

    def on_message(self, identity: bytes, data: Any, source: int) -> None:  # noqa: ANN401 buffer
        """A batch from one of the workers."""
        worker = self._pool.by_identity.get(identity)
        if worker is None:
            self._keep(identity, data, source)
            return
        if worker.is_faulty:
            return
        faults.reach("listener.answered")
        try:
            batch = codec.decode_to_listener(data)
            if batch.epoch != self._pool.service.epoch:
                raise IllFormedMessageError(f"epoch {batch.epoch}")  # noqa: TRY301 one way out
            if len(batch.items) > MAX_ITEMS:
                raise IllFormedMessageError(f"{len(batch.items)} items")  # noqa: TRY301 as above
            for item in batch.items:
                kind = type(item)
                if kind is Response:
                    self._on_response(worker, item)  # type: ignore[arg-type]
                else:
                    self._on_item(worker, item, source)
        except (IllFormedMessageError, LocalProtocolError) as error:
            self._pool.faulty(worker, str(error))

    def _on_item(self, worker: Incarnation, item: ToListenerItem, source: int) -> None:
        match item:
            case Response():
                self._on_response(worker, item)
            case ResponseChunk():
                self._on_chunk(worker, item)
            case BodyPull():
                self._pull(worker, item)
            case AbortResponse():
                request = self._ended(worker, item.id, item.attempt)
                if request.connection is not None:
                    give_up(request.connection, request, item)
                else:
                    self._late_log(request, item.log, 500)
            case GivenBack():
                self._on_given_back(worker, item)
            case Parked():
                self._on_parked(worker, item)
            case EarlyHints():
                request = self._owned(worker, item.id, item.attempt)
                if request.connection is not None:
                    give_hints(request.connection, request, item)
            case WatchConnection():
                self._on_watch(worker, item)
            case Hello():
                self._on_hello(worker, item, source)
            case Bye():
                self._on_bye(worker)
            case HoldSocket():
                self._on_hold(worker, item)
            case MessagesTaken():
                request = self._owned(worker, item.id, item.attempt)
                if request.connection is not None:
                    request.connection.leave_http().messages_taken(item.count)
            case HandOver():
                request = self._owned(worker, item.id, item.attempt)
                if request.connection is not None:
                    request.connection.leave_http().hand_over(item)

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
        worker.release(request)
        worker.finished += 1
        if self._quarantine.keys:
            self._quarantine.answered(request)

    def _on_response(self, worker: Incarnation, item: Response) -> None:
        # `_owned`, spelled out: this is the one path every response takes.
        request = worker.outstanding.get(item.id)
        if request is None or request.attempt != item.attempt or request.progress is RESPONDING:
            raise IllFormedMessageError(f"request {item.id:x} is not its own, or has its response")
        fd = file_of(self._pool, worker, request, item) if item.file_token else -1
        if not item.more:
            self._end(worker, request)
        connection = request.connection
        if connection is None:
            self._drop_late(request, item, fd)
            return
        if item.more:
            request.quiet_since = self._pool.service.time()
        try:
            respond(connection, request, item, fd)
        except LocalProtocolError:
            if fd >= 0:
                os.close(fd)
            # What it wanted to say cannot be said; whoever waits gets a 502 instead.
            if request.connection is not None:
                fail(connection, request, 502, "Connection_Abandoned_By_AppPool")
            raise

    def _on_chunk(self, worker: Incarnation, item: ResponseChunk) -> None:
        request = self._owned(worker, item.id, item.attempt)
        connection = request.connection
        if connection is not None:
            if request.progress is not RESPONDING:
                raise IllFormedMessageError("a chunk before its response")
            stream = connection.stream
            if stream is not None and stream.exceeds_window(len(item.data)):
                raise IllFormedMessageError("more of a response than the window allows")
        fd = file_of(self._pool, worker, request, item) if item.file_token else -1
        if not item.more:
            self._end(worker, request)
        if request.connection is None:
            self._drop_late(request, item, fd)
            return
        request.quiet_since = self._pool.service.time()
        respond_further(request.connection, request, item, fd)

    def _on_watch(self, worker: Incarnation, item: WatchConnection) -> None:
        """The end of a request's connection is to be told; a request that is over has none.

        That is an answer to each message, and so the one way for who does not read to be owed more
        and more.
        """
        if len(worker.unsent) >= MOST_UNREAD:
            raise IllFormedMessageError("it asks again and again, and reads no answer")
        request = worker.outstanding.get(item.id)
        connection = None if request is None else request.connection
        outbox = self._pool.outbox

        def tell(by_client: bool) -> None:
            outbox.post(worker, ConnectionClosed(item.connection_id, by_client))

        if connection is None or connection.id != item.connection_id:
            tell(True)
        else:
            connection.watch(worker.worker_id, tell)

    def _on_hold(self, worker: Incarnation, item: HoldSocket) -> None:
        request = self._owned(worker, item.id, item.attempt)
        if len(item.state) > HELD_STATE_BYTES or len(item.extensions) > 256 or worker.worker_id < 0:
            raise IllFormedMessageError(f"{len(item.state)} bytes of a WebSocket's state")
        if request.connection is not None:
            request.connection.leave_http().hold(request, item)

    def _on_parked(self, worker: Incarnation, item: Parked) -> None:
        """Credit for as many others, while there are rows; it ends with the parked request."""
        for request_id, attempt in item.requests:
            # It may have ended in the moment in which the worker wrote this down.
            request = worker.outstanding.get(request_id)
            if request is None or request.attempt != attempt:
                continue
            if not request.is_parked and worker.reserve:
                request.is_parked = True
                worker.free_slots.append(worker.reserve.pop())
        self._pool.turn()

    def _drop_late(self, request: ClientRequest, item: Response | ResponseChunk, fd: int) -> None:
        """For a request whose client has gone or was answered: count, and keep the flow going."""
        if fd >= 0:
            os.close(fd)
        self._pool.service.records.count("late_messages")
        if item.more:
            request.is_cut = True
            if not request.is_overdue:
                request.quiet_since = self._pool.service.time()
        else:
            status = item.status if isinstance(item, Response) else 200
            self._late_log(request, item.log, status, item.substatus)

    def _late_log(self, request: ClientRequest, log: str, status: int, substatus: int = 0) -> None:
        # One that was answered by the listener (504) is in HTTPERR already.
        if log and request.is_client_gone:
            told = request.gone_status or status
            self._pool.service.records.request(
                request, log, told, substatus, 64, request.gone_bytes
            )

    def _on_hello(self, worker: Incarnation, item: Hello, source: int) -> None:
        if item.protocol != PROTOCOL_VERSION or item.worker_id != worker.worker_id:
            raise IllFormedMessageError(f"protocol {item.protocol} worker {item.worker_id}")
        if worker.is_attached:
            raise IllFormedMessageError("a second Hello")
        if self._pool.router is not None:
            # Of a former connection with this descriptor.
            self._pool.router.forget_disconnect(source)
        worker.source = source
        worker.is_attached = True
        self._pool.service.manager.attached(worker.worker_id)

    def _on_bye(self, worker: Incarnation) -> None:
        if worker.has_left:
            raise IllFormedMessageError("a second Bye")
        rows = worker.scoreboard.read_rows()
        if any(has_started(request, rows) for request in worker.outstanding.values()):
            raise IllFormedMessageError("Bye with requests still owed")
        worker.has_left = True
        self._leaves(worker)
        self._pool.outbox.post(worker, AcknowledgeBye())
        self._pool.service.manager.drained(worker.worker_id)
        if worker.outstanding:
            # Another listener, or SIGTERM, has told it to go while these were on their way: they
            # are given back, or its death does that.
            self._pool.service.loop.call_later(LAST_WORDS_S, self._insist, worker)

    def _insist(self, worker: Incarnation) -> None:
        if worker.outstanding and not worker.is_dead:
            self._pool.faulty(worker, "it has said Bye and keeps requests")

    def _leaves(self, worker: Incarnation) -> None:
        """It is about to end, whoever has told it to."""
        worker.is_draining = True
        self._pool.take_from_dispatch(worker)

    def _on_given_back(self, worker: Incarnation, item: GivenBack) -> None:
        # Programs give back what came for a receive that was given up meanwhile; workers, what
        # comes when they are to finish, what they were asked about first (`ask_first`), and what is
        # for an application that is no more their pool's.
        if item.is_leaving:
            self._leaves(worker)
        is_for_another = item.is_leaving or worker.is_stop_sent or worker.worker_id < 0
        rows = worker.scoreboard.read_rows()
        for request_id, attempt in item.requests:
            request = self._owned(worker, request_id, attempt)
            if request.progress is RESPONDING or has_started(request, rows):
                raise IllFormedMessageError(f"request {request_id:x} given back after it began")
            if request.connection is not None and not request.is_body_held():
                raise IllFormedMessageError(f"request {request_id:x} given back without its body")
            worker.release(request)
            if request.connection is None:
                continue
            if is_for_another:
                self._pool.queue_again(request)
            elif request.ask_first:
                self._await_body(request)
            else:
                elsewhere.give(self._pool, request)
        self._pool.turn()

    def _await_body(self, request: ClientRequest) -> None:
        """No worker refuses it by its length: the client may send its body."""
        request.ask_first = False
        request.attempt -= 1  # nobody was to run it
        request.worker = None
        if request.is_body_complete:
            self._pool.submit(request)
            return
        request.progress = READING
        assert request.connection is not None
        assert request.connection.body is not None
        request.connection.body.ask_for()
        request.connection.body.let_on()

    def _pull(self, worker: Incarnation, item: BodyPull) -> None:
        request = self._owned(worker, item.id, item.attempt)
        if item.count <= 0:
            raise IllFormedMessageError(f"a pull of {item.count} bytes")
        if request.connection is None:
            return  # the client went while the worker asked: it is told already
        if request.connection.is_upgraded:
            request.connection.leave_http().pulled(item.count)
            return
        if request.spool is None:
            raise IllFormedMessageError("a pull without a body to pull")
        if request.connection.body is not None:
            request.connection.body.ask_for()
        request.pull_granted = min(request.pull_granted + item.count, 64 * CHUNK_BYTES)
        pulled_bodies.send(request)
