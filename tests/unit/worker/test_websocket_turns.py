"""WebSockets of one event loop: read in turns where there is much; how a close is awaited."""

import pytest
from support.frames import frame

from was.turns import Turns
from was.worker.asgi.sockets import OpenSockets
from was.worker.asgi.websocket import CLOSE_WAIT_S, LEAVE_WAIT_S, SocketSettings, WebSocketRun
from was.worker.websocket.frames import Frames

PING, PONG, BINARY = 9, 10, 2
A_TURN = 512  # frames, at most


class Timer:
    def cancel(self):
        pass


class Loop:
    """Of LoopThread what a run asks; a turn is made by the test."""

    def __init__(self):
        self.soon = []
        self.later = []
        self.loop = self
        self.turns = Turns(self.soon.append)

    def call_later(self, delay_s, function):
        self.later.append((delay_s, function))
        return Timer()

    def turn(self):
        due, self.soon[:] = list(self.soon), []
        for function in due:
            function()


class Exchange:
    """What has come of the client, and what was written to it."""

    gone = False
    is_overdue = False

    def __init__(self, data):
        self.data = data
        self.written = b""
        self.has_room = True

    def read_nowait(self, size):
        data, self.data = self.data[:size], self.data[size:]
        return data or None

    def is_writable(self):
        return self.has_room

    def ring_on_arrival(self, bell):
        assert bell is None

    def write(self, data):
        self.written += data


class Context:
    def __init__(self, exchange):
        self.exchange = exchange
        self.ends = []

    def post_completion(self, count):
        self.ends.append(count)


def _run(loop, data):
    exchange = Exchange(data)
    settings = SocketSettings(True, 1 << 20, 0.0, False)
    run = WebSocketRun(
        Context(exchange),
        exchange,
        None,
        loop,
        False,
        handshake=None,
        settings=settings,
        sockets=OpenSockets(),
        resumed=None,
    )
    run._frames = Frames([], 1 << 20)
    return run


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_a_flood_of_frames_is_read_in_turns(opcode):
    """However many bring one: each turn one of them is read a little further."""
    loop = Loop()
    runs = [_run(loop, frame(b"", opcode) * 5000 + frame(b"end", BINARY)) for _ in range(3)]
    for run in runs:
        run.has_news()
    turns = 0
    while loop.soon:
        turns += 1
        before = sum(run._frames.work for run in runs)
        for run in runs:
            run.has_news()  # news are no turn
        assert sum(run._frames.work for run in runs) == before
        loop.turn()
        assert sum(run._frames.work for run in runs) - before <= A_TURN
    assert turns > 3 * 5000 / A_TURN
    for run in runs:
        assert list(run._frames.messages) == [b"end"]
        pong = frame(b"", PONG, mask=None)
        assert run.exchange.written == (pong * 5000 if opcode == PING else b"")


def test_long_messages_are_read_at_once():
    """Slices grow as long as they are little work."""
    loop = Loop()
    run = _run(loop, frame(bytes(60_000), BINARY))
    run.has_news()
    assert len(run._frames.messages) == 1
    assert not loop.soon


def test_the_close_of_a_message_that_is_too_long_is_not_awaited_for_ever():
    """The client gets 1009, and as long to answer it as any other close."""
    loop = Loop()
    run = _run(loop, frame(bytes(2 << 20), BINARY))
    run.has_news()
    assert run.exchange.written[2:4] == b"\x03\xf1"
    assert run._frames.close_code == 1009
    run.has_news()
    assert [function for _, function in loop.later] == [run.end]


@pytest.mark.parametrize("reads", [True, False])
def test_who_does_not_answer_the_close_of_a_restart_is_waited_for_less(reads):
    """But the client that has not been sent all yet has as long as with any other close."""
    loop = Loop()
    run = _run(loop, b"")
    run.exchange.has_room = reads
    run.go_away()
    limits = dict(sorted(loop.later))
    assert list(limits) == [LEAVE_WAIT_S, CLOSE_WAIT_S]
    limits[LEAVE_WAIT_S]()
    assert run.is_over is reads
    limits[CLOSE_WAIT_S]()
    assert run.is_over
    assert run.context.ends == [0]
    run.go_away()
    assert len(loop.later) == 2
