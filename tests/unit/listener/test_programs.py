"""Programs that die while a port is opened for them, and requests that they do not read."""

from was.ipc import codec
from was.ipc import listener_control as lc
from was.ipc.descriptors import ControlSocket
from was.ipc.endpoints import SocketFolder
from was.ipc.program_messages import CALL, AddUrl
from was.listener.request import Progress
from was.listener.unread import UNREAD_S, UnreadRequests


def test_a_port_is_not_kept_for_who_died_while_it_was_opened(make_rig, tmp_path, monkeypatch):
    """The manager is told that nobody wants it any more."""
    rig = make_rig()
    monkeypatch.setattr(type(rig.service.manager), "is_there", True)
    program = ControlSocket.connect(str(SocketFolder(tmp_path).programs_door))
    program.send(CALL + codec.encode(AddUrl(1, "http://127.0.0.1:9/")))
    rig.turn()

    def wanted() -> list[int]:
        told = [notice for notice in rig.notices if isinstance(notice, lc.WantSockets)]
        return [place.port for place in told[-1].places]

    assert wanted() == [9]
    program.close()
    rig.turn()
    assert wanted() == []


def test_what_is_not_read_is_taken_back_and_the_next_has_it(make_rig):
    """Not before it is late, and not in the moment in which that is said."""
    rig = make_rig()
    unread = UnreadRequests(rig.pool)
    stopped = rig.worker()
    client = rig.client()
    client.get()
    (request,) = stopped.requests()
    other = rig.worker()
    workers = [stopped.incarnation, other.incarnation]
    assert unread.take_back(0.0, workers) == []
    assert unread.take_back(UNREAD_S, workers) == [stopped.incarnation]
    assert other.requests() == []
    unread.take_back(UNREAD_S + 0.1, workers)
    rig.turn()
    (again,) = other.requests()
    assert (again.id, again.attempt) == (request.id, request.attempt + 1)
    # The one who had it owes an end of what it had, and has no other request until then.
    assert stopped.incarnation.outstanding[request.id].progress is Progress.ENDED
    stopped.answer(request)
    assert client.statuses() == []
    other.answer(again)
    assert client.statuses() == [200]
    assert not stopped.is_faulty
    assert stopped.incarnation.outstanding == {}


def test_what_was_begun_in_that_very_moment_stays(make_rig):
    """The program has written STARTED before it could see that the request was withdrawn."""
    rig = make_rig()
    unread = UnreadRequests(rig.pool)
    slow = rig.worker()
    client = rig.client()
    client.get()
    (request,) = slow.requests()
    other = rig.worker()
    for now in (0.0, UNREAD_S):
        unread.take_back(now, [slow.incarnation])
    slow.start(request)
    unread.take_back(UNREAD_S + 0.1, [slow.incarnation])
    rig.turn()
    assert other.requests() == []
    slow.answer(request)
    assert client.statuses() == [200]
