"""The worker's end of its queue: what goes back when no more is to come."""

import os
from collections import deque
from types import SimpleNamespace

import pytest
from fake_exchange import make_request

from was.ipc import codec
from was.ipc.messages import GivenBack, Response, StopListening, ToWorker
from was.ipc.scoreboard import ScoreboardWriter, make_scoreboard
from was.worker.exchange import Exchange
from was.worker.queue_client import QueueClient


class Dealer:
    """Stands for the ZeroMQ end of a channel: what is to be received."""

    def __init__(self, *items):
        self.batches = [codec.encode(ToWorker(1, list(items)))]

    def receive(self):
        return self.batches.pop() if self.batches else None


class Road:
    """Stands for a channel."""

    def __init__(self, *items):
        self.epoch = 1
        self.dealer = Dealer(*items)
        self.outbox = deque()

    def close(self, *, linger):
        pass


class Waiting:
    """A request in the inbox. Whoever looks at it gives another thread time to begin the next."""

    def __init__(self, number, channel, inbox, begun):
        self.request = SimpleNamespace(id=number, attempt=1)
        self._channel, self._inbox, self._begun = channel, inbox, begun

    @property
    def channel(self):
        if self._inbox:
            self._begun.append(self._inbox.popleft().request.id)
        return self._channel


@pytest.fixture
def client():
    ends = []

    def end(*_):
        ends.append(None)

    fd = make_scoreboard(2)
    scoreboard = ScoreboardWriter(fd)
    os.close(fd)
    yield QueueClient(
        context=None,
        scoreboard=scoreboard,
        slots=2,
        on_stop_listening=end,
        on_drained=end,
        on_fault=end,
        on_overdue=end,
        on_left_alone=end,
    )
    scoreboard.close()


def test_a_request_that_waits_is_begun_or_given_back_and_never_both(client):
    """Threads go on taking requests while those that nobody has begun go back to the listener."""
    road, begun = Road(StopListening(True)), []
    client.channels.append(road)
    client.inbox.extend(Waiting(number, road, client.inbox, begun) for number in range(7))
    client.receive()
    [given_back] = road.outbox
    assert isinstance(given_back, GivenBack)
    numbers = [number for number, _ in given_back.requests]
    assert begun == [1, 3, 5]
    assert numbers == [0, 2, 4, 6]
    assert not client.inbox


def test_who_leaves_says_so_with_what_it_gives_back(client):
    """What comes from a listener that has not told it to go, seen by a thread or not."""
    road = Road()
    client.channels.append(road)
    client.threads = SimpleNamespace(posted=lambda: None)
    exchange, late = (
        SimpleNamespace(request=SimpleNamespace(id=number, attempt=1), channel=road)
        for number in range(2)
    )
    client.give_back(exchange)
    client.start_draining()
    client.give_back(exchange)
    client.inbox.append(late)
    client.flush = lambda: None
    client.give_back_rest()
    assert road.outbox == deque(
        [GivenBack([(0, 1)]), GivenBack([(0, 1)], True), GivenBack([(1, 1)], True)]
    )


def test_requests_of_other_listeners_stay_in_order(client):
    """One listener's death or order to stop touches nothing that another one has sent."""
    road, other = Road(StopListening(True)), Road()
    client.channels += [road, other]
    for number in range(6):
        request = SimpleNamespace(id=number, attempt=1)
        channel = road if number % 3 == 0 else other
        client.inbox.append(SimpleNamespace(request=request, channel=channel))
    client.receive()
    assert road.outbox == deque([GivenBack([(0, 1), (3, 1)])])
    assert [e.request.id for e in client.inbox] == [1, 2, 4, 5]
    client.disconnect(other)
    assert not client.inbox


def test_nothing_of_a_request_follows_its_end(client):
    """An application that still runs may go on sending: the listener would shoot the worker."""
    road = Road()
    client.threads = SimpleNamespace(posted=lambda: None, posted_partial=lambda: None)
    request, cell = make_request(body_length=-1), memoryview(bytearray(8)).cast("c")
    exchange = Exchange(client, road, request, client.words, cell, 0, b"", False)
    exchange.start(Response(request.id, 1, 200, "OK", b"", -1, b"", True))
    exchange.end(b"the end", "", 0, 0)
    said = len(road.outbox)
    exchange.write(b"more")
    exchange.send_hints(b"")
    exchange.poll_body()
    assert len(road.outbox) == said == 2
