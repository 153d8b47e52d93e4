"""The ZeroMQ ends: what they are set to, and what a send says of the worker it is for."""

import asyncio

import pytest
import zmq

from was.ipc.channel import Context, DealerChannel, RouterChannel, Sent

WORKER = b"w" * 16


class Ends:
    """A ROUTER on a loop that runs while a test waits, and dealers that connect to it."""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.context = Context()
        self.heard = []
        self.endpoint = f"ipc://{folder}/e"
        self.router = RouterChannel(
            self.loop,
            self.context,
            self.endpoint,
            on_message=lambda identity, data, _source: self.heard.append((identity, bytes(data))),
            wants_source=lambda _identity: False,
            after_pump=lambda: None,
        )
        self.dealers = []

    def dealer(self, identity=WORKER):
        self.dealers.append(DealerChannel(self.context, self.endpoint, identity))
        return self.dealers[-1]

    def wait(self, is_so):
        async def look():
            deadline = self.loop.time() + 60.0
            while not is_so():
                assert self.loop.time() < deadline
                await asyncio.sleep(0.002)

        self.loop.run_until_complete(look())

    def close(self):
        for dealer in self.dealers:
            dealer.close(linger=False)
        self.router.close()
        self.context.close()
        self.loop.close()


@pytest.fixture
def ends(tmp_path):
    made = Ends(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (zmq.MAXMSGSIZE, 2 * 1024 * 1024),
        (zmq.SNDHWM, 256),
        (zmq.RCVHWM, 256),
        (zmq.RECONNECT_IVL, 10),
        (zmq.LINGER, 0),
    ],
)
def test_what_bounds_both_ends(ends, option, value):
    """A message of 2 MiB, 256 batches in a queue, 10 ms to the next try to connect."""
    assert ends.dealer().sock.getsockopt(option) == value
    assert ends.router._sock.getsockopt(option) == value


def test_a_send_to_nobody_is_told(ends):
    """MANDATORY: else what is for a worker that is not there would vanish."""
    assert ends.router.send(b"n" * 16, b"batch") is Sent.NOT_THERE


def test_a_worker_that_does_not_read_is_told(ends):
    """At its high-water mark nothing blocks, and the batch is the sender's still."""
    ends.dealer().send(b"hello")
    ends.wait(lambda: ends.heard)
    results = (ends.router.send(WORKER, bytes(4096)) for _ in range(20_000))
    assert next(result for result in results if result is not Sent.YES) is Sent.NOT_READING


def test_nobody_takes_a_worker_s_place(ends):
    """HANDOVER is off: who comes second under an identity hears nothing, and nobody hears him."""
    first = ends.dealer()
    first.send(b"first")
    ends.wait(lambda: ends.heard)
    second = ends.dealer()
    second.send(b"second")
    other = ends.dealer(b"o" * 16)
    other.send(b"other")
    ends.wait(lambda: len(ends.heard) > 1)
    assert ends.router.send(WORKER, b"secret") is Sent.YES
    ends.wait(first.has_message)
    assert first.receive() == b"secret"
    assert not second.has_message()
    assert ends.heard == [(WORKER, b"first"), (b"o" * 16, b"other")]
