"""The worker's end of its request queue: what arrives, what leaves, by credit.

Only the thread that leads (see threads/request_threads.py) calls `receive` and `flush`; any thread
posts. Posting appends to a deque, which keeps the order of each request's messages; the leader
takes whole deques away and sends them as one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.messages import (
    AcknowledgeBye,
    BodyChunk,
    Bye,
    CancelRequest,
    ConnectionClosed,
    GivenBack,
    Hello,
    Parked,
    Request,
    ResponseWindow,
    Resumed,
    StopListening,
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
from was.worker.batches import encode_batches
from was.worker.channel import Channel
from was.worker.exchange import Exchange

if TYPE_CHECKING:
    from was.ipc.channel import Context
    from was.ipc.worker_control import QueueEndpoint
    from was.worker.interfaces.connection_contexts import ConnectionContexts
    from was.worker.threads.request_threads import RequestThreads

__all__ = ["QueueClient"]

# More of them are looked through for those that have ended.
PARKED_LIMIT = 256


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
        given_back = GivenBack([(request.id, request.attempt)], self._is_stopping)
        exchange.channel.outbox.append(given_back)
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
        self._take_back(channel)
        for exchange in list(self._exchanges.values()):
            if exchange.channel is channel:
                exchange.cancel()
                self._on_left_alone(exchange)
        channel.close(linger=False)
        if self.connections is not None:
            self.connections.listener_gone(channel.epoch)

    def _take_back(self, channel: Channel) -> list[Exchange]:
        """The channel's requests that no thread has begun: they are not this worker's any more.

        Other threads begin some meanwhile: one popleft makes each theirs or ours.
        """
        taken: list[Exchange] = []
        others: list[Exchange] = []
        with suppress(IndexError):
            while True:
                exchange = self.inbox.popleft()
                (taken if exchange.channel is channel else others).append(exchange)
        self.inbox.extendleft(reversed(others))
        for exchange in taken:
            self._exchanges.pop(exchange.request.id, None)
        return taken

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
        requests = [(e.request.id, e.request.attempt) for e in self._take_back(channel)]
        if requests:
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

    def give_back_rest(self) -> None:
        """After the last thread has ended: what came too late for them, from any listener."""
        for channel in self.channels:
            requests = [(e.request.id, e.request.attempt) for e in self._take_back(channel)]
            if requests:
                channel.outbox.append(GivenBack(requests, is_leaving=True))
        self.flush()

    def say_bye(self) -> None:
        """The last message on every channel, but for what is given back."""
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
                channel.unsent += encode_batches(channel.epoch, items)
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
