"""A connection that leaves HTTP: bytes both ways, neither side's held without bound."""

import pytest

from was.ipc import messages as m

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.fixture
def rig(make_rig):
    return make_rig()


def upgraded(rig, rest=b"", head=UPGRADE):
    """A client and a worker that have agreed on 101."""
    client, worker = rig.client(), rig.worker()
    client.send(head + rest)
    (request,) = worker.requests()
    worker.start(request)
    worker.answer(request, b"", status=101, reason="Switching Protocols", length=-1, more=True)
    return client, worker, request


def received(worker):
    return b"".join(chunk.data for chunk in worker.chunks())


def test_101_is_for_who_asked(rig):
    """To any other request it is a fault of the worker's: 502."""
    client, worker = rig.client(), rig.worker()
    client.get()
    (request,) = worker.requests()
    worker.start(request)
    worker.answer(request, b"", status=101, length=-1, more=True)
    assert client.statuses() == [502]
    assert worker.incarnation.is_faulty


@pytest.mark.parametrize(
    ("wanted", "agreed"),
    [("WebSocket, h2c", "WebSocket"), ("a/2,websocket", "websocket"), ("b, c", "b")],
)
def test_101_names_one_protocol(rig, wanted, agreed):
    """The one that is spoken from then on, not all that the client would have liked."""
    client, _, _ = upgraded(rig, head=UPGRADE.replace(b"websocket", wanted.encode()))
    assert b"\r\nUpgrade: %b\r\n" % agreed.encode() in client.transport.sent


def test_bytes_pass_when_they_are_asked_for(rig):
    """What came with the head too, in order; at most as much as was pulled."""
    client, worker, request = upgraded(rig, b"early ")
    assert client.transport.sent.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in client.transport.sent
    client.send(b"and late")
    assert received(worker) == b""
    worker.tell(m.BodyPull(request.id, request.attempt, 8))
    assert received(worker) == b"early an"
    worker.tell(m.BodyPull(request.id, request.attempt, 100))
    assert received(worker) == b"early and late"
    worker.tell(m.ResponseChunk(request.id, request.attempt, b"answer", True))
    assert client.transport.sent.endswith(b"\r\n\r\nanswer")


def test_a_client_that_is_not_read_waits(rig):
    """Reading pauses at 64 KiB and goes on when the worker has taken them."""
    client, worker, request = upgraded(rig)
    client.send(b"x" * 65536)
    assert not client.transport.is_reading
    worker.tell(m.BodyPull(request.id, request.attempt, 65536))
    assert client.transport.is_reading
    assert len(received(worker)) == 65536


def test_the_end_of_either_side(rig):
    """The client's end is the last chunk, after its bytes; the worker's END closes."""
    client, worker, request = upgraded(rig)
    client.send(b"bye")
    client.end()
    assert not any(chunk.last for chunk in worker.chunks())
    worker.tell(m.BodyPull(request.id, request.attempt, 100))
    assert [(c.data, c.last) for c in worker.chunks()] == [(b"bye", False), (b"", True)]
    worker.tell(m.ResponseChunk(request.id, request.attempt, b"", False))
    assert client.transport.is_ended
    assert len(worker.incarnation.free_slots) == 4


def test_a_dead_worker_cuts(rig):
    """There is nobody to take the bytes."""
    client, worker, _ = upgraded(rig)
    worker.die()
    assert client.transport.is_aborted


def test_parked_requests_give_credit_back_while_they_last(rig):
    """As many further requests as rows in reserve; the row returns there with the END."""
    worker = rig.worker(reserve=2)
    clients = [rig.client() for _ in range(8)]
    for client in clients:
        client.get()
    first = worker.requests()
    assert len(first) == 4
    worker.tell(m.Parked([(r.id, r.attempt) for r in first]))
    assert len(worker.requests()) == 6
    assert len({r.slot for r in worker.requests()}) == 6
    worker.answer(first[0])
    assert len(worker.requests()) == 6  # its row went back to the reserve
    worker.answer(first[2])  # not granted: the reserve was empty
    assert len(worker.requests()) == 7
    for request in worker.requests():
        if request not in (first[0], first[2]):
            worker.answer(request)
    for request in worker.requests()[7:]:
        worker.answer(request)
    assert len(worker.incarnation.free_slots) == 4
    assert len(worker.incarnation.reserve) == 2
