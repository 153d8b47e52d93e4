"""A WebSocket that outlives its workers: what each of them is given, and what it may cost."""

import os
import struct

import pytest
from support.frames import frame

from was.ipc import messages as m
from was.ipc.scoreboard import TAKEN_WORD
from was.ipc.served import PoolQueue
from was.listener.held_frames import close_frame

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
LIMIT = 1 << 20


@pytest.fixture
def rig(make_rig):
    return make_rig()


def accept(worker, request, state=b"state"):
    worker.start(request)
    worker.board.words[worker.board.row(request.slot) + TAKEN_WORD] = 0
    worker.tell(m.HoldSocket(request.id, request.attempt, state, "", LIMIT))
    worker.answer(request, b"", status=101, reason="Switching Protocols", length=-1, more=True)
    worker.tell(m.BodyPull(request.id, request.attempt, 1 << 20))


def held(rig, rest=b""):
    """A client and the worker that has its WebSocket."""
    client, worker = rig.client(), rig.worker()
    client.send(UPGRADE + rest)
    (request,) = worker.requests()
    accept(worker, request)
    client.transport.sent = b""
    return client, worker, request


def received(worker):
    return b"".join(chunk.data for chunk in worker.chunks())


def took(worker, request, count):
    worker.board.words[worker.board.row(request.slot) + TAKEN_WORD] = count


def hand_over(worker, request, **changes):
    worker.tell(
        m.HandOver(request.id, request.attempt, **changes),
        m.ResponseChunk(request.id, request.attempt, b"", False, "logged"),
    )


def next_worker(rig):
    """One that is there, and what it was told of the WebSocket."""
    worker = rig.worker()
    resumed = [item for item in worker.inbox if isinstance(item, m.Resumed)]
    requests = worker.requests()
    return worker, resumed, requests


ONE, TWO, THREE = frame(b"one"), frame(b"two"), frame(b"three")


def test_a_worker_is_given_whole_messages(rig):
    """Those that came with the head too; a ping is answered here, and never seen there."""
    client, worker, _ = held(rig, ONE + TWO[:3])
    assert received(worker) == ONE
    client.send(TWO[3:] + frame(b"?", 9))
    assert received(worker) == ONE + TWO
    assert client.transport.sent == b"\x8a\x01?"


def test_who_hands_over(rig):
    """What it has not taken is the next one's, with the state it left; the client sees nothing."""
    client, worker, request = held(rig)
    client.send(ONE + TWO + THREE[:4])
    worker.tell(
        m.MessagesTaken(request.id, request.attempt, 1),
        m.HoldSocket(request.id, request.attempt, b"later", "", LIMIT),
    )
    worker.incarnation.is_draining = True
    rig.pool.take_from_dispatch(worker.incarnation)
    hand_over(worker, request)
    assert len(worker.incarnation.free_slots) == 4
    client.send(THREE[4:] + frame(b"!", 9))
    heir, (resumed,), (again,) = next_worker(rig)
    assert (resumed.id, resumed.state, resumed.is_interrupted) == (again.id, b"later", False)
    assert again.id == request.id
    assert again.fields == request.fields
    accept(heir, again)
    assert received(heir) == TWO + THREE
    heir.tell(m.ResponseChunk(again.id, again.attempt, b"\x81\x02hi", True))
    assert client.transport.sent == b"\x8a\x01!\x81\x02hi"


def test_who_dies(rig):
    """What the scoreboard says was taken is given to nobody again; the rest is."""
    client, worker, request = held(rig)
    client.send(ONE + TWO + THREE)
    worker.tell(m.MessagesTaken(request.id, request.attempt, 1))
    took(worker, request, 2)
    worker.die()
    heir, (resumed,), (again,) = next_worker(rig)
    assert resumed.is_interrupted
    accept(heir, again)
    assert received(heir) == THREE
    assert client.transport.sent == b""


@pytest.mark.parametrize("lie", [0, 1 << 60, 4])
def test_a_count_that_cannot_be(rig, lie):
    """Unknown: nothing that a worker had is given to a second one."""
    client, worker, request = held(rig)
    client.send(ONE + TWO)
    worker.tell(m.MessagesTaken(request.id, request.attempt, 1))
    took(worker, request, lie)
    worker.die()
    client.send(THREE)
    heir, _, (again,) = next_worker(rig)
    accept(heir, again)
    assert received(heir) == THREE


def test_a_message_that_was_sent_in_part(rig):
    """It begins anew for the next worker."""
    client, worker, request = held(rig)
    long = frame(b"x" * 300_000, 2)
    worker.tell(m.BodyPull(request.id, request.attempt, 1))
    client.send(long)
    assert received(worker)
    worker.die()
    heir, _, (again,) = next_worker(rig)
    accept(heir, again)
    assert received(heir) == long


def test_within_a_message_to_the_client_nobody_goes_on(rig):
    """A death cuts the connection; a worker that hands it over so is at fault."""
    client, worker, request = held(rig)
    worker.tell(m.ResponseChunk(request.id, request.attempt, b"\x81\x05he", True))
    client.send(frame(b"?", 9))
    assert client.transport.sent == b"\x81\x05he"
    worker.tell(m.ResponseChunk(request.id, request.attempt, b"llo", True))
    assert client.transport.sent == b"\x81\x05hello\x8a\x01?"
    worker.tell(m.ResponseChunk(request.id, request.attempt, b"\x81\x05he", True))
    worker.die()
    assert client.transport.is_aborted
    client, worker, request = held(rig)
    worker.tell(m.ResponseChunk(request.id, request.attempt, b"\x01\x02he", True))
    worker.tell(m.HandOver(request.id, request.attempt))
    assert worker.is_faulty
    client, worker, request = held(rig)
    worker.tell(
        m.HandOver(request.id, request.attempt),
        m.ResponseChunk(request.id, request.attempt, b"\x81\x05he", True),
        m.ResponseChunk(request.id, request.attempt, b"", False),
    )
    assert client.transport.is_aborted


def test_a_close_that_the_worker_began_stays(rig):
    """Its death ends the connection; nobody goes on with it."""
    client, worker, request = held(rig)
    worker.tell(m.ResponseChunk(request.id, request.attempt, close_frame(1000), True))
    worker.die()
    assert client.transport.is_lost


@pytest.mark.parametrize("has_worker", [True, False])
@pytest.mark.parametrize(
    ("data", "code"), [(b"\x81\x02hi", 1002), (frame(b"x" * (LIMIT + 1)), 1009)]
)
def test_bad_frames(rig, data, code, has_worker):
    """The worker, or the next one, is given a close in their stead; nothing after them counts."""
    client, worker, request = held(rig)
    if not has_worker:
        worker.die()
    client.send(ONE + data + TWO)
    if not has_worker:
        worker, _, (request,) = next_worker(rig)
        accept(worker, request)
    got = received(worker)
    assert got.startswith(ONE + b"\x88\x82")
    assert got[-2:] == struct.pack("!H", code)
    client.send(THREE)
    assert received(worker) == got


def test_nobody_comes_in_time(rig):
    """queueTimeLimit, then 1012; pings are answered until then."""
    client, worker, _ = held(rig)
    worker.die()
    rig.pass_time(29)
    client.send(frame(b"?", 9))
    assert client.transport.sent == b"\x8a\x01?"
    rig.pass_time(2)
    assert client.transport.sent == b"\x8a\x01?" + close_frame(1012, "service restart")
    assert client.transport.is_ended


def test_a_pool_that_stops(rig):
    """1012 at once, for those that wait and those that are handed over later."""
    waiting, worker, _ = held(rig)
    worker.die()
    rig.service.set_pools([PoolQueue("Pool", False)])
    assert waiting.transport.sent == close_frame(1012, "service restart")


@pytest.mark.parametrize("status", [403, 500, 200])
def test_an_answer_that_is_none(rig, status):
    """The next worker does not go on with it: 1011, never an HTTP response in a WebSocket."""
    client, worker, _ = held(rig)
    worker.die()
    heir, _, (again,) = next_worker(rig)
    heir.start(again)
    heir.answer(again, b"<html>", status=status)
    assert client.transport.sent == close_frame(1011)
    assert len(heir.incarnation.free_slots) == 4


def test_a_resumption_that_kills(rig):
    """As for any request that had begun: poison after two deaths that are laid to it, 1011."""
    client, worker, _ = held(rig)
    worker.die()
    for _ in range(3):
        heir, _, (again,) = next_worker(rig)
        heir.start(again)
        heir.die()
    assert client.transport.sent == close_frame(1011)


def test_a_resumption_that_hangs(rig):
    """timeLimit holds until it has answered 101."""
    client, worker, _ = held(rig)
    worker.die()
    heir, _, (again,) = next_worker(rig)
    heir.start(again)
    rig.pass_time(112)
    assert client.transport.sent == close_frame(1011)
    heir.answer(again, b"late")


def test_many_deaths(rig):
    """At messages of its own: the fourth. After a minute with one worker it begins anew."""
    client, worker, request = held(rig)
    for _ in range(6):
        client.send(ONE)
        took(worker, request, 1)
        rig.pass_time(61)
        worker.die()
        worker, _, (request,) = next_worker(rig)
        accept(worker, request)
    for _ in range(2):
        client.send(ONE)
        took(worker, request, 1)
        worker.die()
        assert client.transport.sent == b""
        worker, _, (request,) = next_worker(rig)
        accept(worker, request)
    client.send(ONE)
    took(worker, request, 1)
    worker.die()
    assert client.transport.sent == close_frame(1011)


def test_many_sockets_go_on_at_once(rig):
    """None of them is a suspect for having been open at a death."""
    worker = rig.worker()
    clients = [rig.client() for _ in range(4)]
    for client in clients:
        client.send(UPGRADE)
    for request in worker.requests():
        accept(worker, request)
    worker.die()
    _, resumed, again = next_worker(rig)
    assert len(resumed) == len(again) == 4


def test_what_a_socket_may_cost(rig):
    """A client whose messages nobody takes is read no more; one whose message fills the memory
    of all is closed with 1013."""
    client, worker, request = held(rig)
    message = frame(b"x" * 1000)
    for _ in range(70):
        client.send(message)
    assert not client.transport.is_reading
    assert rig.service.spool_memory.held_bytes < 80_000
    worker.tell(m.MessagesTaken(request.id, request.attempt, 60))
    assert client.transport.is_reading
    worker.tell(m.MessagesTaken(request.id, request.attempt, 10))
    assert rig.service.spool_memory.held_bytes == len(b"state")
    rig.service.spool_memory.limit_bytes = 100_000
    client.send(frame(b"x" * 150_000)[:90_000])
    assert b"\x88\x82" not in received(worker)[-20:]
    client.send(frame(b"x" * 150_000)[90_000:110_000])
    assert received(worker).endswith(struct.pack("!H", 1013))
    assert rig.service.spool_memory.held_bytes < 100


def test_a_flood_of_pings(rig):
    """Who does not read the answers is given few of them, and the last one when it has."""
    client, _, _ = held(rig)
    client.connection.pause_writing()
    for number in range(1000):
        client.send(frame(b"%0100d" % number, 9))
    stream = client.connection.stream
    assert sum(map(len, stream._segments)) < 20_000
    client.connection.resume_writing()
    client.connection.resume_writing()
    assert client.transport.sent.endswith(b"%0100d" % 999)


@pytest.mark.parametrize(
    "make",
    [
        lambda number, at: m.MessagesTaken(number, at, 2),
        lambda number, at: m.MessagesTaken(number, at, -1),
        lambda number, at: m.HoldSocket(number, at, b"x" * 65537, "", LIMIT),
        lambda number, at: m.Response(number, at, 101, "", b"", -1, b"", True),
    ],
)
def test_what_no_worker_may_say(rig, make):
    """It is replaced; the WebSocket waits for its death, and goes on."""
    client, worker, request = held(rig)
    client.send(ONE)
    worker.tell(make(request.id, request.attempt))
    assert worker.is_faulty
    worker.die()
    heir, resumed, again = next_worker(rig)
    assert len(resumed) == len(again) == 1
    accept(heir, again[0])
    assert client.transport.sent == b""


def test_what_is_no_websocket_is_not_read_as_one(rig):
    """One was to be held, and came to nothing; the next body on its connection is a body."""
    client, worker = rig.client(), rig.worker()
    client.send(UPGRADE)
    worker.tell(m.HoldSocket(worker.requests()[0].id, 1, b"state", "", LIMIT))
    worker.tell(m.AbortResponse(worker.requests()[0].id, 1))
    client.get()
    request = worker.requests()[1]
    worker.answer(request, b"", length=-1, more=True)
    worker.tell(m.ResponseChunk(request.id, 1, b"hello", True))  # as a frame, "h" is a close
    worker.tell(m.ResponseChunk(request.id, 1, b"", False))
    assert client.statuses() == [502, 200]
    assert client.transport.sent.endswith(b"5\r\nhello\r\n0\r\n\r\n")
    assert client.transport.is_ended


def test_what_is_held_late_or_in_vain(rig):
    """After the 101 it is too late; with another answer than 101 nothing is held."""
    client, worker = rig.client(), rig.worker()
    client.send(UPGRADE)
    (request,) = worker.requests()
    worker.start(request)
    worker.tell(m.HoldSocket(request.id, request.attempt, b"state", "", LIMIT))
    worker.answer(request, b"no", status=403)
    assert client.statuses() == [403]
    assert client.transport.is_ended
    client = rig.client()
    client.send(UPGRADE)
    request = worker.requests()[-1]
    worker.start(request)
    worker.answer(request, b"", status=101, reason="", length=-1, more=True)
    worker.tell(m.HoldSocket(request.id, request.attempt, b"state", "", LIMIT))
    assert worker.is_faulty


def test_a_client_that_ends(rig):
    """Its end is told to whoever has the WebSocket, after what it said; a reset to nobody."""
    client, worker, _ = held(rig)
    worker.die()
    client.send(ONE)
    client.end()
    heir, _, (again,) = next_worker(rig)
    accept(heir, again)
    assert [(c.data, c.last) for c in heir.chunks()] == [(ONE, False), (b"", True)]
    heir.die()
    client.leave()
    _, resumed, _ = next_worker(rig)
    assert resumed == []


def test_a_listener_that_leaves(rig):
    """No worker will come: those that wait get 1012 at once, others when they are handed over."""
    waiting, worker, _ = held(rig)
    worker.die()
    heir, _, (again,) = next_worker(rig)
    rig.service.is_draining = True
    waiting.connection.shut_down()
    assert waiting.transport.sent == close_frame(1012, "service restart")
    heir.answer(again, b"", status=101, length=-1, more=True)


def passed_file(rig, tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    rig.door.passed[7] = os.open(tmp_path / "file", os.O_RDONLY)
    return rig.door.passed[7]


def is_open(fd):
    return os.path.exists(f"/proc/self/fd/{fd}")


def test_a_file_in_the_hand_over_is_a_fault_and_closed(rig, tmp_path):
    """A descriptor that was passed in vain is not the listener's for ever."""
    _, worker, request = held(rig)
    fd = passed_file(rig, tmp_path)
    last = m.ResponseChunk(request.id, request.attempt, b"", False, file_token=7, file_length=7)
    worker.tell(m.HandOver(request.id, request.attempt), last)
    assert worker.is_faulty
    assert not is_open(fd)


@pytest.mark.parametrize("is_held", [False, True])
def test_a_file_in_a_101_is_a_fault_and_closed(rig, tmp_path, is_held):
    """Nothing of it could be sent to anybody."""
    client, worker = rig.client(), rig.worker()
    client.send(UPGRADE)
    (request,) = worker.requests()
    if is_held:
        worker.tell(m.HoldSocket(request.id, request.attempt, b"", "", LIMIT))
    fd = passed_file(rig, tmp_path)
    worker.answer(request, b"", status=101, length=-1, more=True, file_token=7, file_length=7)
    assert worker.is_faulty
    assert not is_open(fd)
