"""A held WebSocket whose client sends the smallest frames does not have the loop for itself."""

import struct

from support.frames import frame
from support.turning_loop import Loop

from was.ipc import messages as m
from was.listener.slices import SHORT_SLICE_BYTES
from was.turns import Turns

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING, BINARY, CLOSE = 9, 2, 8
MANY = 20_000


def _held(make_rig):
    """A rig, its loop, the worker, a client with a held WebSocket, and its request."""
    rig = make_rig()
    loop = Loop()
    rig.service.turns = Turns(loop.call_soon)
    worker, client = rig.worker(), rig.client()
    client.send(UPGRADE)
    (request,) = worker.requests()
    worker.tell(
        m.HoldSocket(request.id, request.attempt, b"", "", 1 << 20),
        m.Response(request.id, request.attempt, 101, "", b"", -1, b"", True),
    )
    return rig, loop, worker, client, request


def test_a_flood_of_pings_is_read_a_slice_a_turn(make_rig):
    """What follows is read all the same, and the client waits meanwhile."""
    _, loop, worker, client, request = _held(make_rig)
    worker.tell(m.BodyPull(request.id, request.attempt, 1 << 20))
    client.connection.data_received(frame(b"", PING) * MANY + frame(b"after", BINARY))
    turns = 0
    while not worker.chunks():
        assert not client.transport.is_reading
        loop.turn()
        worker.tell()
        turns += 1
    assert turns >= MANY * 6 // SHORT_SLICE_BYTES
    assert b"".join(chunk.data for chunk in worker.chunks()) == frame(b"after", BINARY)
    loop.turn()
    assert client.transport.is_reading
    client.leave()


def test_messages_of_no_bytes_fill_what_is_kept(make_rig):
    """Nobody takes them: of a flood of them few are kept, the rest is not even looked at."""
    rig, loop, worker, client, request = _held(make_rig)
    before = rig.service.spool_memory.held_bytes
    flood = frame(b"", BINARY, mask=bytes(4)) * MANY
    client.connection.data_received(flood)
    for _ in range(100):
        loop.turn()
    held = client.connection.beyond.held
    assert held.is_full
    assert len(held._units) < 2000
    assert rig.service.spool_memory.held_bytes - before < 1 << 17
    assert not client.transport.is_reading
    # The worker takes them all in the end, and each is there.
    got = b""
    while len(got) < len(flood):
        worker.tell(m.BodyPull(request.id, request.attempt, 1 << 16))
        data = b"".join(chunk.data for chunk in worker.chunks())[len(got) :]
        got += data
        if data:
            worker.tell(m.MessagesTaken(request.id, request.attempt, len(data) // 6))
        loop.turn()
    assert got == flood
    assert rig.service.spool_memory.held_bytes == before
    loop.turn()
    assert client.transport.is_reading
    client.leave()


def test_the_end_of_what_a_client_sends_comes_behind_its_frames(make_rig):
    """Also where they wait for their turn."""
    _, loop, worker, client, request = _held(make_rig)
    worker.tell(m.BodyPull(request.id, request.attempt, 1 << 20))
    client.connection.data_received(frame(b"", PING) * MANY + frame(b"after", BINARY))
    client.end()
    while not worker.chunks():
        loop.turn()
        worker.tell()
    worker.tell()
    assert [chunk.last for chunk in worker.chunks()] == [False, True]
    client.leave()


def test_a_client_whose_worker_closes_is_read_until_its_own_close(make_rig):
    """What nobody will take holds it up no more, and is not kept either."""
    rig, loop, worker, client, request = _held(make_rig)
    worker.tell(m.BodyPull(request.id, request.attempt, 1 << 20))
    message = frame(bytes(100_000), BINARY)
    client.connection.data_received(message)
    assert not client.transport.is_reading
    close = frame(struct.pack("!H", 1009), CLOSE, mask=None)
    worker.tell(m.ResponseChunk(request.id, request.attempt, close, True))
    assert client.transport.is_reading
    held_bytes = rig.service.spool_memory.held_bytes
    client.connection.data_received(message)
    assert rig.service.spool_memory.held_bytes == held_bytes
    answer = frame(struct.pack("!H", 1009), CLOSE)
    client.connection.data_received(answer)
    for _ in range(10):
        loop.turn()
        worker.tell()
    assert b"".join(chunk.data for chunk in worker.chunks()) == message + answer
    client.leave()
