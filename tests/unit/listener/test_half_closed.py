"""Clients that have closed their half while they wait: those that read on, and those that left."""

import pytest

from was.ipc import messages as m
from was.load.response_reader import ResponseReader

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def cancelled(worker):
    return [item.id for item in worker.inbox if isinstance(item, m.CancelRequest)]


def begin(worker, **changes):
    (request,) = worker.requests()
    fields = {"status": 200, "reason": "OK", "block": b"", "length": -1, "body": b"", "more": True}
    worker.tell(m.Response(request.id, request.attempt, **(fields | changes)))
    return request


@pytest.mark.parametrize("has_begun", [False, True])
def test_who_has_gone_is_noticed(make_rig, has_begun):
    """Octets that mean nothing make its system say so, and the worker is told."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    if has_begun:
        begin(worker)
    before = client.transport.sent
    client.end()
    assert client.transport.sent == before
    rig.pass_time(2)
    assert client.transport.sent == before + (b"0" if has_begun else CONTINUE)
    assert not cancelled(worker)
    client.transport.has_peer_reset = True
    rig.pass_time(1)
    assert client.transport.is_aborted
    assert cancelled(worker) == [worker.requests()[0].id]


def test_a_request_that_waits_leaves_the_queue_with_its_client(make_rig):
    """No worker runs it in vain."""
    rig = make_rig()
    client = rig.client()
    client.get()
    client.end()
    client.transport.has_peer_reset = True
    rig.pass_time(2)
    assert client.transport.is_aborted
    assert not rig.worker().requests()


def test_who_reads_on_is_answered(make_rig):
    """It is asked once, however long it takes."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    client.end()
    rig.pass_time(30)
    worker.answer(worker.requests()[0])
    assert client.statuses() == [100, 200]
    assert client.transport.sent.endswith(b"hello")
    assert client.transport.is_ended


def test_an_answer_that_comes_soon_is_all_that_comes(make_rig):
    """Who closes its half and waits a moment sees nothing interim."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    client.end()
    worker.answer(worker.requests()[0])
    rig.pass_time(5)
    assert client.statuses() == [200]


@pytest.mark.parametrize("rest", [b"more", b""])
def test_a_body_in_chunks_stays_what_it_is(make_rig, rest):
    """The octet becomes a leading zero of the next chunk's size, or of the last one's."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    request = begin(worker, body=b"one")
    client.end()
    rig.pass_time(30)
    worker.tell(m.ResponseChunk(request.id, request.attempt, rest, False))
    reader = ResponseReader("GET", keep_bytes=100)
    reader.feed(client.transport.sent)
    assert reader.is_complete
    assert bytes(reader.body) == b"one" + rest
    assert not reader.surplus
    assert client.transport.sent.endswith(b"04\r\nmore\r\n0\r\n\r\n" if rest else b"00\r\n\r\n")


@pytest.mark.parametrize(("version", "length"), [(b"1.0", None), (b"1.0", 9), (b"1.1", 9)])
def test_where_no_octet_means_nothing_none_is_sent(make_rig, version, length):
    """HTTP/1.0 has no interim responses, and a body with a length no room; the end is noticed."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
    if length is not None:
        begin(worker, length=length)
    before = client.transport.sent
    client.end()
    rig.pass_time(30)
    assert client.transport.sent == before
    client.transport.has_peer_reset = True
    rig.pass_time(1)
    assert cancelled(worker)


def test_a_client_that_does_not_read_is_sent_nothing_more(make_rig):
    """What waits for it in the kernel asks the same."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    begin(worker)
    client.connection.pause_writing()
    before = client.transport.sent
    client.end()
    rig.pass_time(2)
    assert client.transport.sent == before
