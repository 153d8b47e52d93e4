"""The worker's end of its request queue: what arrives, what leaves, by credit.

Only the thread that leads (see was.worker.threads) calls `receive` and `flush`; any thread posts.
Posting appends to a deque, which keeps the order of each request's messages; the leader takes
whole deques away and sends them as one batch.
"""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.channel import BATCH_BYTES, Context, DealerChannel
from was.ipc.descriptors import ControlSocket
from was.ipc.messages import (
    CHUNK_BYTES,
    PROTOCOL_VERSION,
    AcknowledgeBye,
    BodyChunk,
    Bye,
    CancelRequest,
    ConnectionClosed,
    GivenBack,
    Hello,
    Parked,
    Request,
    Response,
    ResponseChunk,
    ResponseWindow,
    Resumed,
    StopListening,
    ToListener,
    ToListenerItem,
    ToWorkerItem,
    WatchConnection,
)
from was.ipc.scoreboard import (
    FINISHED_WORD,
    HEADER_WORDS,
    ROW_WORDS,
    ScoreboardWriter,
)
from was.ipc.worker_control import QueueEndpoint
from was.log import log
from was.worker.exchange import Exchange

if TYPE_CHECKING:
    from was.worker.connection_contexts import ConnectionContexts
    from was.worker.threads import RequestThreads

__all__ = ["Channel", "QueueClient"]

# So many items fit into a batch whatever they are: each has at most CHUNK_BYTES of body, and a
# block of fields and a log line that together are less than that.
FEW_ITEMS = BATCH_BYTES // (2 * CHUNK_BYTES)

# More of them are looked through for those that have ended.
PARKED_LIMIT = 256

# A Unix datagram of (request id, token), with the descriptor beside it.
DESCRIPTOR_NOTE = struct.Struct("=QQ")


class Channel:
    """The road to one listener process."""

    def __init__(self, context: Context, endpoint: QueueEndpoint, identity: bytes) -> None:
        self.epoch = endpoint.epoch
        self.dealer = DealerChannel(context, endpoint.queue, identity)
        self.outbox: deque[ToListenerItem] = deque()
        self.unsent: deque[bytes] = deque()
        self.is_acknowledged = False
        self._descriptors_path = endpoint.descriptors
        self._side: ControlSocket | None = None
        self._side_lock = threading.Lock()

    def pass_descriptor(self, request_id: int, token: int, fd: int) -> bool:
        """Send a duplicate of `fd` on the side socket; False when that cannot be done."""
        with self._side_lock:
            try:
                if self._side is None:
                    self._side = ControlSocket.connect(self._descriptors_path, timeout_s=1.0)
                    self._side.sock.settimeout(1.0)
                # The listener takes files only; the number of one that a module has closed may be
                # another descriptor's by now, that of the side socket itself for one.
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return False
                self._side.send(DESCRIPTOR_NOTE.pack(request_id, token), [fd])
            except OSError:
                if self._side is not None:
                    self._side.close()
                    self._side = None
                return False
            return True

    def is_there(self) -> bool:
        """Whether a listener is at the other end: for who has no manager to ask."""
        try:
            ControlSocket.connect(self._descriptors_path, timeout_s=0.2).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # it does not accept just now
        return True

    def close(self, *, linger: bool) -> None:
        """Close both roads."""
        self.dealer.close(linger=linger)
        with self._side_lock:
            if self._side is not None:
                self._side.close()
                self._side = None


class QueueClient:
    """All channels of a worker, and the requests it has taken."""

    threads: RequestThreads  # set once, before the first thread starts

    def __init__(
        self,
        *,
        context: Context,
        scoreboard: ScoreboardWriter,
        slots: int,
        on_stop_listening: Callable[[bool], None],
        on_drained: Callable[[], None],
        on_fault: Callable[[str], None],
        on_overdue: Callable[[Exchange], None],
        on_left_alone: Callable[[Exchange], None],
    ) -> None:
        self._context = context
        self.words = scoreboard.words
        self._cells = scoreboard.module_cells
        self.channels: list[Channel] = []
        self.inbox: deque[Exchange] = deque()
        self._exchanges: dict[int, Exchange] = {}
        self._tokens = count(1)
        self._finished = count(1)
        self._on_stop_listening = on_stop_listening
        self._on_drained = on_drained
        self._on_fault = on_fault
        self._on_overdue = on_overdue
        self._on_left_alone = on_left_alone
        self._to_park: deque[Exchange] = deque()
        self._slots = slots
        self.connections: ConnectionContexts | None = None
        # What was said of WebSockets that were held, by request; taken out by who goes on with it.
        self._resumed: dict[int, Resumed] = {}
        self._most_resumed = 64
        self._is_stopping = False
        self._is_drained_told = False

    # ── from any thread ─────────────────────────────────────────────────────────────────────────

    def ended(self, request_id: int) -> None:
        """The END of a request was posted: it leaves the table, its row stays as it is."""
        self._exchanges.pop(request_id, None)
        self.words[FINISHED_WORD] = next(self._finished)
        self.threads.posted()
        if self._is_stopping:
            self._tell_when_drained()

    def give_back(self, exchange: Exchange) -> None:
        """A request that nobody has begun is the listener's again."""
        request = exchange.request
        exchange.channel.outbox.append(GivenBack([(request.id, request.attempt)]))
        self._exchanges.pop(request.id, None)
        self.threads.posted()
        if self._is_stopping:
            self._tell_when_drained()

    def post(self, channel: Channel, item: ToListenerItem) -> None:
        """Send something that is not an END; at once, also from the leader."""
        channel.outbox.append(item)
        self.threads.posted_partial()

    def park(self, exchange: Exchange) -> None:
        """The request goes on without a thread. The listener is told when credit runs short."""
        self._to_park.append(exchange)

    def pass_descriptor(self, channel: Channel, request_id: int, fd: int) -> int:
        """Pass a descriptor aside; its token, or 0 when it could not be passed."""
        token = next(self._tokens)
        return token if channel.pass_descriptor(request_id, token, fd) else 0

    def give_up_lead(self) -> None:
        """The calling thread is about to wait for something only the leader can receive."""
        self.threads.give_up_lead()

    # ── from the leader, or before there is one ─────────────────────────────────────────────────

    def connect(self, endpoint: QueueEndpoint, identity: bytes, hello: Hello) -> Channel:
        """Open the road to one listener process."""
        channel = Channel(self._context, endpoint, identity)
        channel.outbox.append(hello)
        self.channels.append(channel)
        return channel

    def disconnect(self, channel: Channel) -> None:
        """The listener process at the other end is dead: so are its requests."""
        self.channels.remove(channel)
        for exchange in [e for e in self.inbox if e.channel is channel]:
            self.inbox.remove(exchange)
            self._exchanges.pop(exchange.request.id, None)
        for exchange in list(self._exchanges.values()):
            if exchange.channel is channel:
                exchange.cancel()
                self._on_left_alone(exchange)
        channel.close(linger=False)
        if self.connections is not None:
            self.connections.listener_gone(channel.epoch)

    def serve_contexts_of_connections(self, connections: ConnectionContexts) -> None:
        """Before the first thread starts: tell `connections` of what it watches."""
        self.connections = connections
        connections.epoch_of = self._epoch_of
        connections.watch = self._watch

    def _epoch_of(self, request: Request) -> int | None:
        exchange = self._exchanges.get(request.id)
        return None if exchange is None else exchange.channel.epoch

    def _watch(self, request: Request) -> None:
        exchange = self._exchanges.get(request.id)
        if exchange is not None:
            item = WatchConnection(request.id, request.attempt, request.connection_id)
            self.post(exchange.channel, item)

    def receive(self) -> bool:
        """Take in what has arrived, at most one batch a channel; whether there was any."""
        received = False
        for channel in self.channels:
            data = channel.dealer.receive()
            if data is None:
                continue
            received = True
            try:
                batch = codec.decode_to_worker(data)
            except IllFormedMessageError as error:
                self._on_fault(str(error))
                continue
            if batch.epoch != channel.epoch:
                self._on_fault(f"epoch {batch.epoch} on {channel.epoch}'s channel")
                continue
            inbox = self.inbox
            exchanges = self._exchanges
            words, cells = self.words, self._cells
            for item in batch.items:
                if type(item) is Request:
                    row = HEADER_WORDS + item.slot * ROW_WORDS
                    cell = cells[item.slot]
                    exchange = Exchange(
                        self, channel, item, words, cell, row, item.body, not item.pull
                    )
                    exchanges[item.id] = exchange
                    inbox.append(exchange)
                else:
                    self._apply(channel, item)
        return received

    def _apply(
        self,
        channel: Channel,
        item: ToWorkerItem,
    ) -> None:
        match item:
            case BodyChunk():
                if exchange := self._exchanges.get(item.id):
                    exchange.deliver_chunk(item.data, item.last)
            case ResponseWindow():
                if exchange := self._exchanges.get(item.id):
                    exchange.widen(item.count)
            case CancelRequest():
                if exchange := self._exchanges.get(item.id):
                    exchange.is_overdue = item.overdue
                    exchange.cancel()
                    if item.overdue:
                        self._on_overdue(exchange)
            case ConnectionClosed():
                if self.connections is not None:
                    self.connections.closed(
                        channel.epoch, item.connection_id, by_client=item.by_client
                    )
            case Resumed():
                self._keep_resumed(item)
            case StopListening():
                self._stop_listening(channel, item.drain)
            case AcknowledgeBye():
                channel.is_acknowledged = True
                self._on_drained()
            case Request():
                raise AssertionError("taken in by receive()")

    def _keep_resumed(self, item: Resumed) -> None:
        resumed = self._resumed
        resumed[item.id] = item
        if len(resumed) > self._most_resumed:
            # Requests that a module has answered before anybody asked.
            for request_id in list(resumed):
                if request_id != item.id and request_id not in self._exchanges:
                    resumed.pop(request_id, None)
            self._most_resumed = 2 * len(resumed) + 64

    def take_resumed(self, request_id: int) -> Resumed | None:
        """What the listener said of a WebSocket that it has held, once. Any thread."""
        return self._resumed.pop(request_id, None)

    def _stop_listening(self, channel: Channel, drain: bool) -> None:
        # What no thread has begun goes back: another worker takes it. Only to who asks: a listener
        # that has not does not know yet of another worker.
        given_back = [exchange for exchange in self.inbox if exchange.channel is channel]
        for exchange in given_back:
            self.inbox.remove(exchange)
            self._exchanges.pop(exchange.request.id, None)
        if given_back:
            requests = [(e.request.id, e.request.attempt) for e in given_back]
            channel.outbox.append(GivenBack(requests))
        if not self._is_stopping:
            self._on_stop_listening(drain)

    def start_draining(self) -> None:
        """After GL_STOP_LISTENING: say `on_drained` as soon as nothing is left."""
        self._is_stopping = True
        self._tell_when_drained()

    def _tell_when_drained(self) -> None:
        if not self._exchanges and not self._is_drained_told:
            self._is_drained_told = True
            self._on_drained()

    @property
    def active(self) -> int:
        """Requests taken and not ended."""
        return len(self._exchanges)

    def say_bye(self) -> None:
        """The last message on every channel."""
        for channel in self.channels:
            channel.outbox.append(Bye())
        self.threads.posted()

    def flush(self) -> bool:
        """Send what was posted; False when a listener is not reading and some is left."""
        is_empty = True
        if self._to_park:
            self._tell_parked()
        for channel in self.channels:
            outbox = channel.outbox
            if outbox:
                # Exactly as many as there are now: a thread that posts without end does not hold
                # the leader here.
                items = [outbox.popleft() for _ in range(len(outbox))]
                if len(items) <= FEW_ITEMS or _size(items) <= BATCH_BYTES:
                    channel.unsent.append(_encode(channel.epoch, items))
                else:
                    for part in _split(items):
                        channel.unsent.append(_encode(channel.epoch, part))
            unsent = channel.unsent
            while unsent:
                if not channel.dealer.send(unsent[0]):
                    is_empty = False
                    break
                unsent.popleft()
        return is_empty

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests that have come and not ended. Any thread."""
        return list(self._exchanges.values())

    def _tell_parked(self) -> None:
        """Return the threads' credit of requests that need none, when there is little left of it.

        Most have ended before, and are never mentioned.
        """
        parked = self._to_park
        if 4 * len(self._exchanges) <= 3 * self._slots:
            if len(parked) > PARKED_LIMIT:
                for exchange in [parked.popleft() for _ in range(len(parked))]:
                    if not exchange.is_ended:
                        parked.append(exchange)
            return
        told: dict[Channel, list[tuple[int, int]]] = {}
        while parked:
            exchange = parked.popleft()
            if not exchange.is_ended:
                request = exchange.request
                told.setdefault(exchange.channel, []).append((request.id, request.attempt))
        for channel, requests in told.items():
            channel.outbox.append(Parked(requests))

    def is_owed_a_turn(self) -> bool:
        """Whether more waits to be received, or was posted since the flush."""
        return any(c.outbox or c.dealer.has_message() for c in self.channels)

    def has_posts(self) -> bool:
        """Whether something waits to be flushed."""
        return any(channel.outbox for channel in self.channels)


def hello(worker_id: int, pid: int, slots: int) -> Hello:
    """The first message on a channel."""
    return Hello(PROTOCOL_VERSION, worker_id, pid, slots)


def _encode(epoch: int, items: list[ToListenerItem]) -> bytes:
    """Whatever foreign code has put into one of them, all are sent: its worker is not to die."""
    try:
        return codec.encode(ToListener(epoch, items))
    except codec.UNSENDABLE as error:
        sendable: list[ToListenerItem] = []
        for item in items:
            try:
                codec.encode(item)
            except codec.UNSENDABLE:
                number = f"{getattr(item, 'id', 0):x}"
                log("module_failed", error=f"no message can hold this: {error}", request=number)
                sendable.append(codec.cleaned(item))
            else:
                sendable.append(item)
        return codec.encode(ToListener(epoch, sendable))


def _weight(item: ToListenerItem) -> int:
    match item:
        case Response():
            return len(item.body) + len(item.block) + len(item.log) + 64
        case ResponseChunk():
            return len(item.data) + len(item.log) + 64
        case _:
            return 64


def _size(items: list[ToListenerItem]) -> int:
    return sum(map(_weight, items))


def _split(items: list[ToListenerItem]) -> list[list[ToListenerItem]]:
    parts: list[list[ToListenerItem]] = [[]]
    size = 0
    for item in items:
        weight = _weight(item)
        if parts[-1] and size + weight > BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += weight
    return parts
