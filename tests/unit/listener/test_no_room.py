"""A listener without a descriptor left: what that costs, and whom."""

import errno
import os
import resource
from contextlib import contextmanager, nullcontext

import pytest

from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.descriptors import ControlSocket
from was.ipc.served import ListeningSocket
from was.listener.commands import obey
from was.listener.descriptors import NOTE, DescriptorDoor, NoRoomError
from was.listener.program_queue import ProgramEnds


@contextmanager
def no_room():
    """This process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            os.open(os.devnull, os.O_RDONLY)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def door(tmp_path):
    found = DescriptorDoor(str(tmp_path / "door"), lambda pid: pid == os.getpid())
    yield found
    found.close()


@pytest.fixture
def worker(tmp_path, door):
    """The worker's end, and a file to pass."""
    end = ControlSocket.connect(str(tmp_path / "door"))
    fd = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    yield end, fd
    end.close()
    os.close(fd)


def names(end, fd, *tokens):
    for token in tokens:
        end.send(NOTE.pack(1, token), [fd])


def test_what_was_passed_when_there_was_no_room_is_lost_and_nothing_else(door, worker):
    """Each is told apart from what was never passed; what comes later is there."""
    end, fd = worker
    names(end, fd, 1)
    os.close(door.take(os.getpid(), 1, 1))
    names(end, fd, 2, 3)
    with no_room(), pytest.raises(NoRoomError):
        door.take(os.getpid(), 1, 3)
    names(end, fd, 4)
    os.close(door.take(os.getpid(), 1, 4))
    with pytest.raises(NoRoomError):
        door.take(os.getpid(), 1, 2)
    assert door.take(os.getpid(), 1, 2) == -1
    assert door.take(os.getpid(), 1, 5) == -1


def test_a_worker_that_cannot_be_let_in_is_let_in_later(door, worker):
    """It knocks for its first file when there is no room for its connection."""
    end, fd = worker
    names(end, fd, 1)
    with no_room(), pytest.raises(NoRoomError):
        door.take(os.getpid(), 1, 1)
    os.close(door.take(os.getpid(), 1, 1))


def test_what_is_lost_takes_no_place_for_ever(door, worker):
    """A worker's end forgets it; the next file under its name is there."""
    end, fd = worker
    names(end, fd, 1)
    os.close(door.take(os.getpid(), 1, 1))
    names(end, fd, 2, 3)
    with no_room(), pytest.raises(NoRoomError):
        door.take(os.getpid(), 1, 3)
    names(end, fd, 2)
    names(end, fd, 4)
    os.close(door.take(os.getpid(), 1, 4))
    os.close(door.take(os.getpid(), 1, 2))
    door.forget(os.getpid())


@pytest.fixture
def served(make_rig):
    """A worker, its request, and a listener that has lost what the worker passed."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()

    def take(_pid, _request_id, _token):
        raise NoRoomError

    rig.door.take = take
    client.get()
    (request,) = worker.requests()
    worker.start(request)
    return rig, worker, client, request


@pytest.mark.parametrize("more", [False, True])
def test_a_response_whose_file_is_lost_is_a_503(served, more):
    """The client is told, the worker is not blamed and goes on."""
    _, worker, client, request = served
    worker.answer(request, b"", length=9, more=more, file_token=1, file_length=9)
    assert client.statuses() == [503]
    if more:
        worker.tell(m.ResponseChunk(request.id, 1, b"", False, file_token=2, file_length=5))
    assert not worker.is_faulty
    assert len(worker.incarnation.free_slots) == 4
    client.get()
    worker.answer(worker.requests()[1])
    assert client.statuses() == [503, 200]


def test_a_response_that_has_begun_is_cut(served):
    """Its client can see that it is not whole; the worker goes on."""
    _, worker, client, request = served
    worker.answer(request, b"begun", length=9, more=True)
    worker.tell(m.ResponseChunk(request.id, 1, b"", True, file_token=2, file_length=4))
    assert client.transport.is_aborted
    worker.tell(m.ResponseChunk(request.id, 1, b"", False))
    assert not worker.is_faulty
    assert len(worker.incarnation.free_slots) == 4


@pytest.mark.parametrize("is_short", [False, True])
def test_a_program_s_file_that_is_lost_is_told_from_none(is_short):
    """Files come beside the batch that names them; the last of them may find no room."""
    ends = ProgramEnds()
    ends.is_short = is_short
    with pytest.raises(NoRoomError) if is_short else nullcontext():
        assert ends.take(1, 1, 1) == -1


def test_a_command_whose_descriptors_are_lost_is_asked_for_again(make_rig):
    """Neither a worker nor a port is taken as told, and what there is stays."""
    rig = make_rig()
    place = ListeningSocket("*", 80, "http")
    for command in (lc.AddWorker(9, "Pool", 1, b"x" * 16, 4), lc.SetSockets([place], False)):
        obey(rig.service, command, [])
    rig.turn()
    lost = [n.is_of_sockets for n in rig.notices if isinstance(n, lc.DescriptorsLost)]
    assert lost == [False, True]
    assert 9 not in rig.pool.workers
    assert not any(isinstance(n, lc.ListenerReady) for n in rig.notices)
