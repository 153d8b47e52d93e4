"""Files on their way to clients: by sendfile(2), on a real socket beside the rig's transport."""

import os
import socket

import pytest

from was.ipc import messages as m


@pytest.fixture
def sent(make_rig, tmp_path):
    """A rig, a worker, its request, what is logged of it, and the client's end of a socket."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    client.transport.fileno = ours.fileno
    lines = []
    rig.service.records.request = lambda request, line, *rest: lines.append((line, *rest))
    client.get()
    (request,) = worker.requests()
    worker.start(request)
    yield rig, worker, client, request, lines, theirs
    ours.close()
    theirs.close()


def give(rig, worker, request, tmp_path, *, more, size=1 << 20):
    path = tmp_path / "file"
    path.write_bytes(b"f" * size)
    rig.door.passed[1] = os.open(path, os.O_RDONLY)
    worker.answer(
        request,
        b"",
        status=206,
        length=size,
        more=more,
        log="" if more else "line",
        file_token=1,
        file_length=size,
    )


@pytest.mark.parametrize("more", [False, True])
def test_a_client_that_leaves_while_a_file_is_sent_is_nobodys_failure(sent, tmp_path, more):
    """The line has what was answered, and 64 (the client has gone); nothing blames the pool."""
    rig, worker, client, request, lines, theirs = sent
    give(rig, worker, request, tmp_path, more=more)
    assert theirs.recv(10) == b"f" * 10
    theirs.close()
    for _ in range(20):
        rig.turn()
    assert client.transport.is_lost
    if more:
        assert [type(item) for item in worker.inbox] == [m.Request, m.CancelRequest]
        worker.tell(m.AbortResponse(request.id, 1, "line", 64))
    ((line, status, _, win32, _),) = lines
    assert (line, status, win32) == ("line", 206, 64)
    assert rig.service.records.counters["connections_cut"] == 0
    assert rig.service.records.counters["httperr_Connection_Abandoned_By_AppPool"] == 0


def test_a_file_that_becomes_shorter_is_a_cut(sent, tmp_path):
    """The client sees it, and the pool's log says why."""
    rig, worker, client, request, _, theirs = sent
    give(rig, worker, request, tmp_path, more=False)
    os.truncate(tmp_path / "file", 1000)
    got = 0
    theirs.settimeout(0.05)
    while not client.transport.is_aborted:
        rig.turn()
        try:
            got += len(theirs.recv(1 << 20))
        except TimeoutError:
            continue
    assert got < 1 << 20
    assert rig.service.records.counters["connections_cut"] == 1
