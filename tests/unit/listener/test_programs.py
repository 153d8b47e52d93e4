"""Programs that die while a port is opened for them, and requests that they do not read."""

from was.ipc import codec
from was.ipc import listener_control as lc
from was.ipc.descriptors import ControlSocket
from was.ipc.endpoints import SocketFolder
from was.ipc.program_messages import CALL, AddUrl, RemoveUrl
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


def test_a_program_that_asks_and_does_not_read_fills_no_memory(make_rig, tmp_path):
    """A URL that no request can have is not repeated in the answer, and answers are few bytes."""
    rig = make_rig()
    program = ControlSocket.connect(str(SocketFolder(tmp_path).programs_door))
    long = "http://x:80/" + "a" * 1_000_000
    for number, call in enumerate([AddUrl(1, long), AddUrl(2, long + "/"), RemoveUrl(3, long)], 1):
        program.send(CALL + codec.encode(call))
        rig.turn()
        content, _ = program.recv()
        answer = codec.decode_notice(content[1:])
        assert (answer.call, answer.error != 0) == (number, True)
        assert len(content) < 1000
    program.close()
    rig.turn()


def test_urls_that_are_waited_for_count(make_rig, tmp_path, monkeypatch):
    """While the manager opens a port its programs may ask for no more URLs than they may have."""
    rig = make_rig()
    monkeypatch.setattr(type(rig.service.manager), "is_there", True)
    monkeypatch.setattr("was.listener.program_urls.MOST_URLS", 3)
    program = ControlSocket.connect(str(SocketFolder(tmp_path).programs_door))
    for number in range(5):
        program.send(CALL + codec.encode(AddUrl(number, f"http://127.0.0.1:9/{number}/")))
    rig.turn()
    answers = [codec.decode_notice(program.recv()[0][1:]) for _ in range(2)]
    assert [(answer.call, answer.error) for answer in answers] == [(3, 1816), (4, 1816)]
    program.close()
    rig.turn()
