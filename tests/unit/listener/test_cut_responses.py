"""A worker that says no more: the client sees a cut, unless it has been given everything."""

import pytest

from was.ipc import messages as m

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def silence_worker(rig, worker, request, how):
    if how == "dies":
        worker.die()
    elif how == "gives up":
        worker.tell(m.AbortResponse(request.id, 1, "", 0))
    else:
        worker.start(request)
        rig.pass_time(30)


HOW = ["dies", "gives up", "says nothing"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("method", "status", "length", "body"),
    [
        ("HEAD", 200, -1, b""),
        ("HEAD", 200, 99, b""),
        ("GET", 304, 7, b""),
        ("GET", 200, 5, b"hello"),
    ],
)
def test_a_response_that_is_whole_without_its_end_is_no_cut(
    make_rig, how, method, status, length, body
):
    """Nothing is missing for the client: the connection goes on, and the request behind is run."""
    rig = make_rig(idle_time_limit_s=10.0)
    worker, client = rig.worker(), rig.client()
    client.send(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method.encode() + NEXT)
    (request,) = worker.requests()
    worker.answer(request, body, status=status, length=length, more=True)
    silence_worker(rig, worker, request, how)
    assert not client.transport.is_aborted
    other = rig.worker()
    (following,) = (worker.requests() + other.requests())[1:]
    (worker if following in worker.requests() else other).answer(following)
    assert client.statuses() == [status, 200]
    assert rig.service.records.counters["connections_cut"] == 0
    assert rig.service.records.counters["httperr_Connection_Abandoned_By_AppPool"] == (
        how != "says nothing"
    )


@pytest.mark.parametrize("is_first", [True, False])
def test_a_cut_that_would_look_like_an_end_is_a_reset(make_rig, is_first):
    """To HTTP/1.0 the end of the stream ends the body; but an answer before it is not lost."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    if not is_first:
        client.send(NEXT)
        worker.answer(worker.requests()[-1])
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    worker.answer(worker.requests()[-1], b"some", length=-1, more=True)
    worker.tell(m.AbortResponse(worker.requests()[-1].id, 1, "", 0))
    assert client.transport.is_aborted
    assert client.transport.is_reset is is_first


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("length", [-1, 6])
def test_a_response_that_is_not_whole_is_cut(make_rig, how, length):
    """Its client must not take it for whole: no last chunk, no following response."""
    rig = make_rig(idle_time_limit_s=10.0)
    worker, client = rig.worker(), rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + NEXT)
    (request,) = worker.requests()
    worker.answer(request, b"hello", length=length, more=True)
    silence_worker(rig, worker, request, how)
    assert client.transport.is_aborted
    assert b"0\r\n\r\n" not in client.transport.sent
    assert client.statuses() == [200]


def test_a_whole_response_on_its_way_to_a_slow_client_outlives_its_worker(make_rig):
    """What the client has not read yet is with the listener, and so is what it does next."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    (request,) = worker.requests()
    client.connection.pause_writing()
    worker.answer(request, b"hello", more=True)
    worker.die()
    assert b"hello" not in client.transport.sent
    client.connection.resume_writing()
    assert client.transport.sent.endswith(b"hello")
    assert not client.transport.is_aborted
    other = rig.worker()
    client.send(NEXT)
    (following,) = other.requests()
    other.answer(following)
    assert client.statuses() == [200, 200]


def test_a_client_that_takes_nothing_is_logged_once(make_rig):
    """Timer_MinBytesPerSecond in HTTPERR, and no second line that lays the cut to the worker."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    (request,) = worker.requests()
    client.connection.pause_writing()
    worker.answer(request, b"hello", length=-1, more=True)
    rig.pass_time(1000)
    assert client.transport.is_aborted
    assert rig.service.records.counters["httperr_Timer_MinBytesPerSecond"] == 1
    assert rig.service.records.counters["httperr_Connection_Abandoned_By_AppPool"] == 0
