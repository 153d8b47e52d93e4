"""Codec, scoreboard and control sockets: what one process says the other reads, no more."""

import asyncio
import faulthandler
import fcntl
import mmap
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc import messages as m
from was.ipc.descriptors import INLINE_BYTES, ControlLink, ControlSocket
from was.ipc.scoreboard import (
    RequestState,
    ScoreboardReader,
    ScoreboardWriter,
    hint_of,
    make_scoreboard,
)


def pair():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ControlSocket(left), ControlSocket(right)


def test_batches_come_back_as_they_were():
    """A batch of every kind of message survives the codec."""
    batch = m.ToListener(
        7,
        [
            m.Hello(1, 2, 3, 4),
            m.Response(9, 1, 200, "OK", b"A: b\r\n", 2, b"hi", False, "line"),
            m.ResponseChunk(9, 1, b"x", True),
            m.AbortResponse(9, 1),
            m.BodyPull(9, 1, 100),
            m.GivenBack([(1, 2), (3, 4)]),
            m.Bye(),
        ],
    )
    back = codec.decode_to_listener(codec.encode(batch))
    assert back.epoch == 7
    assert back.items == batch.items


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_a_message(data):
    """Bytes that are no message raise IllFormedMessageError and nothing else."""
    for decode in (codec.decode_to_listener, codec.decode_to_worker, codec.decode_to_manager):
        try:
            decode(data)
        except IllFormedMessageError:
            continue


@given(st.binary(min_size=1, max_size=300), st.integers(0, 299))
def test_a_damaged_batch_is_refused_or_a_message(noise, at):
    """Damage anywhere in a batch never raises anything but IllFormedMessageError."""
    good = codec.encode(m.ToListener(1, [m.Response(1, 1, 200, "OK", b"", 0, b"", False)]))
    cut = at % len(good)
    try:
        codec.decode_to_listener(good[:cut] + noise + good[cut + len(noise) :])
    except IllFormedMessageError:
        return


def test_a_worker_may_not_speak_as_the_listener():
    """A message of the other direction is unknown here."""
    with pytest.raises(IllFormedMessageError):
        codec.decode_to_listener(codec.encode(m.ToWorker(1, [m.StopListening(True)])))


def test_the_scoreboard_shows_what_the_writer_stored():
    """One store of the proof word is seen whole by a reader of the descriptor."""
    fd = make_scoreboard(4)
    writer = ScoreboardWriter(fd)
    row = writer.row(2)
    writer.words[row + 1] = hint_of(0x80, 3, False)
    writer.words[row] = 123456 << 11 | 2 << 3 | RequestState.STARTED
    writer.write_names(["StaticFileModule", "WsgiModule", "X"])
    reader = ScoreboardReader(os.dup(fd))
    seen = reader.read_rows()[2]
    assert (seen.id, seen.attempt, seen.state) == (123456, 2, RequestState.STARTED)
    assert (seen.notification, seen.module) == (0x80, 3)
    writer.module_cells[2][...] = b"\x09"
    assert (reader.read_rows()[2].notification, reader.read_rows()[2].module) == (0x80, 9)
    assert reader.read_names() == ["StaticFileModule", "WsgiModule", "X"]
    assert len(reader.read_rows()) == reader.rows == 4
    (begun,) = reader.read_running()
    assert (begun.id, begun.module) == (123456, 9)
    writer.words[row] = 123456 << 11 | 2 << 3 | RequestState.ENDED
    assert reader.read_running() == []
    writer.close()
    reader.close()
    os.close(fd)


def test_a_worker_cannot_cut_the_scoreboard_short():
    """The memfd is sealed: a truncation, which would kill a mapping reader, is refused."""
    fd = make_scoreboard(4)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(fd, 0)
    with pytest.raises(OSError, match="not permitted"):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(fd)


def test_children_do_not_inherit_the_mapping():
    """A forked child that touches the scoreboard dies of it, and the parent's is untouched."""
    fd = make_scoreboard(1)
    writer = ScoreboardWriter(fd)
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        try:
            writer.words[writer.row(0)] = 1
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert writer.words[writer.row(0)] == 0
    writer.close()
    os.close(fd)


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 3_000_000])
def test_control_messages_of_any_size_arrive_whole(size):
    """What exceeds a datagram travels in a memfd, and descriptors beside it keep their order."""
    left, right = pair()
    with open(os.devnull) as null, mmap.mmap(-1, 1):
        left.send(b"x" * size, [null.fileno(), left.sock.fileno()])
        content, descriptors = right.recv()
        assert content == b"x" * size
        assert os.fstat(descriptors[0]).st_rdev == os.fstat(null.fileno()).st_rdev
        assert len(descriptors) == 2
        for fd in descriptors:
            os.close(fd)
    left.close()
    assert right.recv() is None
    right.close()


def test_the_peer_is_known_by_its_credentials():
    """Who is at the other end is the kernel's word, not the peer's."""
    left, right = pair()
    assert left.peer() == (os.getpid(), os.getuid(), os.getgid())
    left.close()
    right.close()


def test_a_peer_that_does_not_read_is_given_up_before_it_fills_the_memory():
    """What waits for it is bounded in bytes, by what would be taken of it in one message."""

    async def send():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        closed = asyncio.Event()
        link = ControlLink(
            asyncio.get_running_loop(),
            ControlSocket(ours),
            lambda *_: None,
            closed.set,
            limit_bytes=500_000,
        )
        sent = 0
        while not link.is_closed:
            link.send(bytes(50_000))
            sent += 50_000
            assert sent < 20_000_000
        await asyncio.wait_for(closed.wait(), 60)
        theirs.close()

    asyncio.run(send())
