"""IWebSocketContext over an exchange of the test's: who waits for whom."""

import threading
from types import SimpleNamespace

import pytest

from was.worker.interfaces.hresult import HResultError
from was.worker.websocket.frames import Frames
from was.worker.websocket.interface import WebSocketContext
from was.worker.websocket.whole_frames import PING, PONG, TEXT, frame

LIMIT_S = 10


def masked(first: int, payload: bytes) -> bytes:
    """A frame of a client whose mask is zero."""
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


class Exchange:
    """What the client says is in `said`; it takes something once `takes` is set."""

    gone = False

    def __init__(self):
        self.said, self.sent, self.takes = [], [], False
        self.waits = threading.Event()

    def ring_on_arrival(self, ring):
        self.ring = ring

    def expect_upgraded(self):
        pass

    def has_news(self):
        return bool(self.said)

    def read_nowait(self, _size):
        return self.said.pop(0) if self.said else None

    def is_writable(self):
        if not self.takes:
            self.waits.set()
        return self.takes

    def write(self, data):
        self.sent.append(data)


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def socket(exchange):
    return WebSocketContext(SimpleNamespace(), exchange, Frames([], 1 << 20))


def run(call, *args) -> tuple[threading.Thread, list]:
    """A thread that makes the call, and what comes of it."""
    came: list = []

    def work():
        try:
            came.append(call(*args))
        except HResultError as error:
            came.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, came


@pytest.mark.parametrize("before", [b"", masked(PING, b"p")])
def test_what_a_client_says_is_read_while_it_takes_nothing(exchange, socket, before):
    """A thread that waited for the client to read kept the other one from reading."""
    writer, _ = run(socket.write_fragment, b"out", True)
    assert exchange.waits.wait(LIMIT_S)
    exchange.said.append(before + masked(TEXT, b"in"))
    reader, came = run(socket.read_fragment, 10)
    reader.join(LIMIT_S)
    assert [fragment.data for fragment in came] == [b"in"]
    exchange.takes = True
    exchange.ring()
    writer.join(LIMIT_S)
    pong = [frame(PONG, b"p")] if before else []
    assert exchange.sent == [frame(TEXT, b"out"), *pong]


def test_a_client_that_takes_nothing_cannot_have_answers_pile_up(exchange, socket):
    """Reading waits, too, when there are many."""
    writer, _ = run(socket.write_fragment, b"out")
    assert exchange.waits.wait(LIMIT_S)
    exchange.said.extend(masked(PING, b"%d" % number) for number in range(1000))
    exchange.said.append(masked(TEXT, b"in"))
    reader, came = run(socket.read_fragment, 10)
    reader.join(0.2)
    assert len(exchange.said) > 900
    exchange.takes = True
    exchange.ring()
    for thread in (reader, writer):
        thread.join(LIMIT_S)
    assert came[0].data == b"in"
    assert len(exchange.sent) == 1001
