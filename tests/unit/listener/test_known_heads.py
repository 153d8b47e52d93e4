"""Heads that come again are read once, and every request is treated as if they had been read."""

import pytest

from was.listener.head import Head, Limits
from was.listener.head_scanner import scan
from was.listener.known_heads import MOST, MOST_BYTES, KnownHeads

GET = b"GET /a%20b?c HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n"


def learn(known, raw):
    if known.get(raw) is None:
        known.learn(raw, scan(raw, Limits()))
    return known.get(raw)


def test_the_second_is_kept():
    """What comes once is not; each kept one has a number of its own, above the given one."""
    known = KnownHeads(1 << 33)
    assert learn(known, GET) is None
    head = learn(known, GET)
    assert head is learn(known, GET)
    assert (head.path, head.query, head.number) == ("/a b", "c", (1 << 33) + 1)
    other = GET.replace(b"X-One: 1", b"X-One: 2")
    assert learn(known, other) is None
    assert learn(known, other).number == head.number + 1


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + bytes(MOST_BYTES).replace(b"\0", b"x") + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_some_are_never_kept(raw):
    """Long ones, and those that ask to leave HTTP."""
    known = KnownHeads(0)
    assert [learn(known, raw) for _ in range(3)] == [None] * 3


def test_they_are_bounded_and_no_number_comes_twice():
    """However many come again and again, so many are held; the numbers go on."""
    known = KnownHeads(0)
    numbers = set()
    for count in range(3 * MOST):
        raw = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % count
        learn(known, raw)
        numbers.add(learn(known, raw).number)
        assert len(known._heads) <= MOST
    assert len(numbers) == 3 * MOST
    assert Head().number == 0


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_a_known_head_is_treated_as_one_that_was_read(make_rig, engine):
    """On any connection, after bodies and before them; the worker is told what is the same."""
    rig = make_rig(engine=engine)
    worker = rig.worker()
    post = b"POST /a%20b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    sent = [
        GET,
        GET,
        GET,
        post + b"body",
        GET,
        post + b"BODY",
        GET,
        GET.replace(b"1\r\n\r", b"2\r\n\r"),
    ]
    for client in (rig.client(), rig.client()):
        for raw in sent:
            client.send(raw)
            worker.answer(worker.requests()[-1])
        assert client.statuses() == [200] * len(sent)
    requests = worker.requests()
    assert {r.path for r in requests} == {"/a b"}
    assert [r.body for r in requests if r.method == "POST"] == [b"body", b"BODY"] * 2
    assert [r.head_number for r in requests if r.method == "POST"] == [0] * 4
    gets = [r for r in requests if r.fields == [("Host", "a"), ("X-One", "1")]]
    assert len(gets) == 10
    assert len({r.head_number for r in gets[2:]} - {0}) == 1
    assert gets[0].head_number == 0
    numbers = {r.head_number for r in requests if r.fields[-1] == ("X-One", "2")}
    assert numbers.isdisjoint({r.head_number for r in gets} - {0})


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_what_no_head_may_be_is_refused_each_time(make_rig, engine):
    """A mistake is not learned."""
    rig = make_rig(engine=engine)
    for _ in range(3):
        client = rig.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
        assert client.statuses() == [400]
        assert client.transport.is_ended
    rig.worker()


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_a_pipeline_of_the_same_head_is_as_many_requests(make_rig, engine):
    """And half a head behind them waits for its other half."""
    rig = make_rig(engine=engine)
    worker = rig.worker()
    client = rig.client()
    client.send(GET * 4 + GET[:20])
    for count in range(1, 5):
        worker.answer(worker.requests()[-1])
        assert client.statuses() == [200] * count
    client.send(GET[20:])
    worker.answer(worker.requests()[-1])
    assert client.statuses() == [200] * 5
