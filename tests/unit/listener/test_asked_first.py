"""Expect: 100-continue: who is told to go on, when, and who is refused before a byte of a body."""

import pytest

from was.ipc import messages as m
from was.ipc.messages import CHUNK_BYTES

LONG = 200_000
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def ask(client, size, body=b"", expect=b"Expect: 100-continue\r\n"):
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (expect, size, body)
    )


def give_back(worker, request):
    worker.tell(m.GivenBack([(request.id, request.attempt)]))


def read_all(worker, request):
    begin = len(worker.chunks())
    while not worker.chunks()[begin:] or not worker.chunks()[-1].last:
        worker.tell(m.BodyPull(request.id, request.attempt, 2 * CHUNK_BYTES))
    return b"".join(chunk.data for chunk in worker.chunks()[begin:])


def test_what_is_too_long_is_refused_before_the_client_sends_it(make_rig):
    """A worker sees the head alone; what it answers is all that the client gets."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    ask(client, LONG)
    (request,) = worker.requests()
    assert (request.ask_first, request.body_length) == (True, LONG)
    assert client.transport.sent == b""
    worker.start(request)
    worker.answer(request, status=413)
    assert client.statuses() == [413]
    assert b"Connection: close" in client.transport.sent
    assert client.transport.is_ended
    assert len(worker.incarnation.free_slots) == 4


def test_what_is_given_back_comes_again_with_its_body(make_rig):
    """The client is told to go on; meanwhile no worker waits, and the application runs once."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    ask(client, LONG)
    give_back(worker, worker.requests()[0])
    assert not worker.is_faulty
    assert client.transport.sent == CONTINUE
    assert worker.incarnation.outstanding == {}
    client.send(b"x" * (LONG - 1))
    assert len(worker.requests()) == 1
    client.send(b"y")
    again = worker.requests()[1]
    assert (again.ask_first, again.attempt, again.id) == (False, 1, worker.requests()[0].id)
    assert read_all(worker, again) == b"x" * (LONG - 1) + b"y"
    worker.answer(again)
    assert client.statuses() == [100, 200]
    client.get()
    assert worker.requests()[2].path == "/"
    assert rig.pool.account.held_bytes == 0


@pytest.mark.parametrize("part", [1, LONG])
def test_a_client_that_does_not_wait_is_told_nothing(make_rig, part):
    """What it sends meanwhile is kept; its request goes on when it is whole."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    ask(client, LONG)
    client.send(b"x" * part)
    give_back(worker, worker.requests()[0])
    client.send(b"x" * (LONG - part)) if part < LONG else None
    again = worker.requests()[1]
    assert read_all(worker, again) == b"x" * LONG
    worker.answer(again)
    assert client.statuses() == [200]


@pytest.mark.parametrize(
    ("size", "body", "expect"),
    [
        (10, b"", b"Expect: 100-continue\r\n"),
        (LONG, b"x", b"Expect: 100-continue\r\n"),
        (LONG, b"", b""),
    ],
)
def test_nobody_is_asked_where_there_is_nothing_to_gain(make_rig, size, body, expect):
    """Short bodies, clients that do not wait: the body is taken, and then there is a request."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    ask(client, size, body, expect)
    assert worker.requests() == []
    assert client.transport.sent == (CONTINUE if expect and not body else b"")
    client.send(b"x" * (size - len(body)))
    (request,) = worker.requests()
    assert not request.ask_first
    worker.answer(request)
    assert client.statuses()[-1] == 200


def test_a_streamed_body_is_asked_for_by_its_first_reader(make_rig):
    """100 Continue goes out with the worker's first pull, once."""
    rig = make_rig(streaming=True)
    worker, client = rig.worker(), rig.client()
    ask(client, LONG)
    (request,) = worker.requests()
    assert not request.ask_first
    worker.start(request)
    assert client.transport.sent == b""
    for _ in range(2):
        worker.tell(m.BodyPull(request.id, 1, 1000))
        assert client.transport.sent == CONTINUE
    rig.pass_time(119)
    assert client.statuses() == [100]
    rig.pass_time(3)
    assert client.statuses() == [100, 408]


def test_who_answers_before_he_reads_has_his_client_go_on_first(make_rig):
    """After the head of a response no interim one can follow it."""
    rig = make_rig(streaming=True)
    worker, client = rig.worker(), rig.client()
    ask(client, 10)
    (request,) = worker.requests()
    worker.start(request)
    worker.answer(request, b"", length=-1, more=True)
    assert client.statuses() == [100, 200]
    worker.tell(m.BodyPull(request.id, 1, 1000))
    client.send(b"0123456789")
    assert worker.chunks() == [m.BodyChunk(request.id, 1, b"0123456789", True)]
    worker.tell(m.ResponseChunk(request.id, 1, b"done", False))
    assert client.statuses() == [100, 200]
    assert client.transport.sent.endswith(b"4\r\ndone\r\n0\r\n\r\n")


def test_a_worker_that_dies_of_the_question_is_not_the_last_to_be_asked(make_rig):
    """It has not begun: the next one is asked."""
    rig = make_rig()
    first, client = rig.worker(), rig.client()
    ask(client, LONG)
    assert first.requests()[0].ask_first
    first.die()
    second = rig.worker()
    for _ in range(20):
        rig.turn()
    assert second.requests()[0].ask_first
    give_back(second, second.requests()[0])
    assert client.statuses() == [100]


def test_a_worker_that_is_to_stop_leaves_the_question_to_the_next(make_rig):
    """What it gives back then it has not looked at."""
    rig = make_rig()
    first, client = rig.worker(), rig.client()
    ask(client, LONG)
    rig.pool.drain(1, graceful=True)
    give_back(first, first.requests()[0])
    assert client.transport.sent == b""
    second = rig.worker()
    assert second.requests()[0].ask_first


def test_a_client_that_leaves_while_it_waits_leaves_nothing(make_rig):
    """The worker's word comes late then."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    ask(client, LONG)
    client.leave()
    give_back(worker, worker.requests()[0])
    assert not worker.is_faulty
    assert worker.incarnation.outstanding == {}
    assert len(rig.pool.queue) == 0
