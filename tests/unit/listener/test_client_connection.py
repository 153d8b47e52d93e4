"""A client's connection against everything a client can do, and every moment it can do it at."""

import re

import msgspec
import pytest

from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.messages import CHUNK_BYTES
from was.ipc.served import ListenerSettings, PoolQueue

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body, *, length=None, extra=b""):
    size = len(body) if length is None else length
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n" % (size, extra)
    return head + body


def stopped(rig, refusal="AppOffline"):
    rig.service.set_pools([PoolQueue("Pool", False, refusal)])


# ── answers before the body's end ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
@pytest.mark.parametrize("body", [b"0123456789", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_refused_body_is_not_read_as_a_request(make_rig, engine, body):
    """A closed pool refuses a POST; its body, come with its head, belongs to it and to no other."""
    rig = make_rig(engine=engine)
    stopped(rig)
    client = rig.client()
    client.send(post(body) + GET)
    client.send(GET)
    assert client.statuses() == [503, 503, 503]


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_a_refused_body_that_is_long_ends_the_connection(make_rig, engine):
    """What would have to be read only to be thrown away is announced as the end."""
    rig = make_rig(engine=engine)
    stopped(rig)
    client = rig.client()
    client.send(post(b"begin", length=1_000_000))
    assert b"Connection: close" in client.transport.sent
    assert client.transport.is_ended


@pytest.mark.parametrize("streaming", [False, True])
def test_a_pipelined_request_behind_a_refused_one_is_read(make_rig, streaming):
    """503 QueueFull to a POST whose successor came in the same segment: both are answered."""
    rig = make_rig(queue_length=0, streaming=streaming)
    client = rig.client()
    client.send(post(b"body") + GET)
    assert client.statuses() == [503, 503]


def test_a_burst_within_one_turn_fills_no_queue_while_there_is_credit(make_rig):
    """The queue is of those that no worker has room for, however many come before it is given."""
    rig = make_rig(queue_length=1)
    worker = rig.worker()
    slots = len(worker.incarnation.free_slots)
    clients = [rig.client() for _ in range(slots + 2)]
    for client in clients:
        client.connection.data_received(GET)
    rig.turn()
    assert len(worker.requests()) == slots
    assert [client.statuses() for client in clients] == [[]] * (slots + 1) + [[503]]


def test_a_body_beyond_a_chunk_is_pulled_whatever_the_pool_allows(make_rig):
    """bodySpool says what is kept in memory; a message to a worker has its own bound."""
    rig = make_rig(body_spool=16 << 20)
    worker, client = rig.worker(), rig.client()
    client.send(post(b"x" * (3 << 20)))
    (request,) = worker.requests()
    assert (request.pull, request.body, request.body_length) == (True, b"", 3 << 20)
    worker.tell(m.BodyPull(request.id, 1, 2 * CHUNK_BYTES))
    assert [len(c.data) for c in worker.chunks()] == [CHUNK_BYTES] * 2
    worker.answer(request)
    assert client.statuses() == [200]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"HEAD / HTTP/1.1\nHost: a\n\n", 400),
        (b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"HEAD /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", 400),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n", 408),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", 408),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 503),
    ],
)
def test_no_answer_to_head_has_a_body(make_rig, sent, status):
    """Not even one to a request that is none: who asked with HEAD reads no body (RFC 9110)."""
    rig = make_rig()
    stopped(rig) if status == 503 else None
    client = rig.client()
    client.send(sent)
    rig.pass_time(200)
    assert client.statuses() == [status]
    assert client.transport.sent.endswith(b"\r\n\r\n")


def test_nor_has_one_to_head_for_a_site_that_is_not_there(make_rig):
    """The same where nothing is routed."""
    rig = make_rig()
    rig.service.routes.configure([], rig.service.pools, rig.service.scaled)
    client = rig.client()
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.statuses() == [400]
    assert client.transport.sent.endswith(b"\r\n\r\n")


# ── answers of ours ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (GET, 503),
    ],
)
def test_every_5xx_of_ours_names_its_request(make_rig, sent, status):
    """X-Request-ID and the page's line, also to what was refused before it became a request."""
    rig = make_rig()
    stopped(rig)
    answers = []
    for client in (rig.client(), rig.client()):
        client.send(sent)
        assert client.statuses() == [status]
        (found,) = re.findall(rb"X-Request-ID: ([0-9a-f]{16})\r\n", client.transport.sent)
        assert b"<p>Request ID: %b</p>" % found in client.transport.sent
        assert (b"Retry-After: 5\r\n" in client.transport.sent) == (status == 503)
        answers.append(found)
    assert answers[0] != answers[1]


def test_a_4xx_of_ours_names_none(make_rig):
    """As HTTP.SYS answers it, byte for byte."""
    client = make_rig().client()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert client.statuses() == [400]
    assert b"Request" not in client.transport.sent.replace(b"Bad Request", b"")


def test_a_request_past_its_limit_keeps_its_slot_until_its_end(make_rig):
    """504, Timer_Response in HTTPERR; what the worker says later is dropped, and no fault."""
    rig = make_rig(time_limit_s=20)
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.start(request)
    rig.pass_time(25)
    assert client.statuses() == [504]
    assert rig.service.records.counters["httperr_Timer_Response"] == 1
    assert len(worker.incarnation.free_slots) == 3
    worker.answer(request)
    assert client.statuses() == [504]
    assert not worker.is_faulty
    assert len(worker.incarnation.free_slots) == 4


def test_a_request_that_waits_too_long_is_answered_without_a_worker(make_rig):
    """queueTimeLimit: 503, Timer_AppPool in HTTPERR, and a time to come again."""
    rig = make_rig(queue_time_limit_s=20)
    client = rig.client()
    client.get()
    rig.pass_time(25)
    assert client.statuses() == [503]
    assert rig.service.records.counters["httperr_Timer_AppPool"] == 1
    assert b"Retry-After: 5\r\n" in client.transport.sent


def test_a_request_whose_worker_died_is_answered_where_it_may_not_run_twice(make_rig):
    """502, Connection_Abandoned_By_AppPool in HTTPERR."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(post(b"body"))
    worker.start(*worker.requests())
    worker.die()
    assert client.statuses() == [502]
    assert rig.service.records.counters["httperr_Connection_Abandoned_By_AppPool"] == 1


def test_a_site_has_at_most_its_connections(make_rig):
    """limits/@maxConnections: one more is 503 ConnLimit, until one of them has ended."""
    rig = make_rig()
    worker = rig.worker()
    site = msgspec.structs.replace(rig.site, max_connections=1)
    rig.service.routes.configure([site], rig.service.pools, rig.service.scaled)
    first, second, third = rig.client(), rig.client(), rig.client()
    first.get()
    second.get()
    assert (len(worker.requests()), second.statuses()) == (1, [503])
    assert b"X-Request-ID: " in second.transport.sent
    assert b"Retry-After: 5\r\n" in second.transport.sent
    assert rig.service.records.counters["httperr_ConnLimit"] == 1
    worker.answer(worker.requests()[0])
    first.leave()
    third.get()
    assert len(worker.requests()) == 2


# ── streamed bodies ─────────────────────────────────────────────────────────────────────────────


def test_a_pull_that_crosses_the_clients_leaving_is_no_fault(make_rig):
    """The worker cannot know yet that its client has gone."""
    rig = make_rig(streaming=True)
    worker, client = rig.worker(), rig.client()
    client.send(post(b"some", length=100))
    (request,) = worker.requests()
    client.leave()
    worker.tell(m.BodyPull(request.id, 1, CHUNK_BYTES))
    assert not worker.is_faulty
    assert any(isinstance(item, m.CancelRequest) for item in worker.inbox)
    worker.tell(m.AbortResponse(request.id, 1))
    assert sorted(worker.incarnation.free_slots) == [0, 1, 2, 3]


def test_a_connection_timeout_of_zero_is_none(make_rig):
    """webLimits/@connectionTimeout 0, as that of a site: who is silent, or slow, may stay."""
    rig = make_rig()
    stopped(rig)
    rig.service.change_settings(
        ListenerSettings("", "", "", connection_timeout_s=0, header_wait_s=0, entity_body_s=0)
    )
    client = rig.client()
    rig.pass_time(300)
    client.send(GET[:20])
    rig.pass_time(300)
    client.send(GET[20:])
    assert client.statuses() == [503]


def test_a_slow_upload_costs_the_worker_no_time(make_rig):
    """While the worker waits for the client's body, timeLimit does not run; afterwards it does."""
    rig = make_rig(streaming=True, time_limit_s=20)
    worker, client = rig.worker(), rig.client()
    client.send(post(b"some", length=100))
    (request,) = worker.requests()
    worker.start(request)
    worker.tell(m.BodyPull(request.id, 1, CHUNK_BYTES))
    for _ in range(9):
        rig.pass_time(10)
        client.send(b"x" * 10)
    client.send(b"x" * 6)
    rig.pass_time(15)
    assert client.statuses() == []
    rig.pass_time(10)
    assert client.statuses() == [504]


def test_a_worker_that_never_asks_for_the_body_is_timed_out(make_rig):
    """A body that is still arriving is no excuse for a worker that does not read it."""
    rig = make_rig(streaming=True, time_limit_s=20)
    worker, client = rig.worker(), rig.client()
    client.send(post(b"some", length=100))
    worker.start(worker.requests()[0])
    rig.pass_time(22)
    assert client.statuses() == [504]


def test_a_slow_worker_is_not_the_clients_fault(make_rig):
    """While the listener itself reads no more of a body, the client's timer stands still."""
    rig = make_rig(streaming=True, time_limit_s=0)
    worker, client = rig.worker(), rig.client()
    client.send(post(b"x" * 100_000, length=200_000))
    assert not client.transport.is_reading
    rig.pass_time(1000)
    assert client.statuses() == []
    (request,) = worker.requests()
    worker.tell(m.BodyPull(request.id, 1, CHUNK_BYTES))
    assert client.transport.is_reading
    rig.pass_time(130)
    assert client.statuses() == [408]


# ── limits of time ──────────────────────────────────────────────────────────────────────────────


def test_504_frees_the_client_at_once_and_the_slot_at_the_end(make_rig):
    """At the limit the client gets its 504; the slot comes back with the worker's END only."""
    rig = make_rig(time_limit_s=10)
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.start(request)
    rig.pass_time(11)
    assert client.statuses() == [504]
    assert len(worker.incarnation.free_slots) == 3
    worker.tell(m.Response(request.id, 1, 200, "OK", b"", -1, b"late", True))
    worker.tell(m.ResponseChunk(request.id, 1, b"late", False))
    assert not worker.is_faulty
    assert rig.service.records.counters["late_messages"] == 2
    assert len(worker.incarnation.free_slots) == 4
    client.get()
    worker.answer(worker.requests()[1])
    assert client.statuses() == [504, 200]


def test_a_worker_that_cannot_end_what_nobody_waits_for_is_told_of(make_rig):
    """It is to finish, its one request was answered 504 and does not end: there is nothing to wait
    for. While another one has a client there is."""
    rig = make_rig(time_limit_s=10)
    worker, client, other = rig.worker(), rig.client(), rig.client()
    client.get()
    worker.start(worker.requests()[0])
    rig.pass_time(5)
    other.get()
    hung, slow = worker.requests()
    worker.start(slow)
    rig.pass_time(6)
    assert client.statuses() == [504]
    rig.pool.drain(1, graceful=True)
    worker.tell(m.Response(slow.id, 1, 200, "OK", b"", -1, b"begun", True))
    rig.pass_time(20)
    assert not worker.incarnation.is_left_alone
    assert lc.WorkerLeftAlone(1) not in rig.notices
    worker.tell(m.ResponseChunk(slow.id, 1, b"", False))
    assert worker.incarnation.is_left_alone
    rig.pass_time(4)
    assert lc.WorkerLeftAlone(1) not in rig.notices
    rig.pass_time(3)
    assert lc.WorkerLeftAlone(1) in rig.notices
    worker.tell(m.AbortResponse(hung.id, 1, "", 0, False))
    assert not worker.is_faulty


def test_the_time_a_request_ran_is_not_time_it_waited(make_rig):
    """One that its worker's death sends back to the queue has its queueTimeLimit before it."""
    rig = make_rig(queue_time_limit_s=30)
    worker, client, later = rig.worker(), rig.client(), rig.client()
    client.get()
    worker.start(worker.requests()[0])
    rig.pass_time(40)
    worker.die()
    later.get()
    rig.pass_time(20)
    assert client.statuses() == []
    rig.pass_time(15)
    assert (client.statuses(), later.statuses()) == ([503], [503])


def test_a_quiet_response_is_no_slow_client(make_rig):
    """Pauses of the application are its own affair: the client has taken all there was."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.tell(m.Response(request.id, 1, 200, "OK", b"", -1, b"first", True))
    rig.pass_time(1000)
    worker.tell(m.ResponseChunk(request.id, 1, b"second", False))
    assert not client.transport.is_aborted
    assert client.transport.sent.endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")


@pytest.mark.parametrize("before", [0, 10_000_000])
@pytest.mark.parametrize("ended", [False, True])
def test_a_client_that_takes_nothing_is_cut(make_rig, before, ended):
    """However much it took before, and however busy the worker is with sending more."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.tell(m.Response(request.id, 1, 200, "OK", b"", -1, b"first", True))
    client.connection.stream.sent_bytes += before
    client.transport.buffered = 80_000
    client.connection.pause_writing()
    worker.tell(m.ResponseChunk(request.id, 1, b"x" * 1000, not ended))
    for _ in range(10):
        rig.pass_time(10)
        if not ended and not client.transport.is_lost:
            worker.tell(m.ResponseChunk(request.id, 1, b"x" * 10, True))
    assert client.transport.is_aborted


def test_a_client_at_the_least_rate_is_served(make_rig):
    """minBytesPerSecond is a mean over the time between two looks."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.tell(m.Response(request.id, 1, 200, "OK", b"", -1, b"first", True))
    client.transport.buffered = 80_000
    client.connection.pause_writing()
    worker.tell(m.ResponseChunk(request.id, 1, b"x" * 1000, False))
    for _ in range(10):
        rig.pass_time(30)
        client.transport.buffered -= 7_500
    assert not client.transport.is_aborted


def test_the_last_bytes_to_a_slow_client_are_not_cut(make_rig):
    """Connection: close closes after the answer is taken, as long as the client takes it."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    client.transport.buffered = 100_000
    worker.answer(worker.requests()[0])
    rig.pass_time(20)
    assert not client.transport.is_aborted
    client.transport.buffered = 50_000
    rig.pass_time(30)
    assert not client.transport.is_aborted
    rig.pass_time(60)
    assert client.transport.is_aborted


def test_a_half_closed_client_that_never_reads_is_cut(make_rig):
    """It could else hold its connection and what was written for it for ever."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    client.end()
    client.transport.buffered = 50_000
    worker.answer(worker.requests()[0], close=True)
    rig.pass_time(100)
    assert client.transport.is_aborted


# ── ends at awkward moments ─────────────────────────────────────────────────────────────────────


def test_an_end_between_two_pipelined_requests_loses_none(make_rig):
    """The client's half-close comes in the very turn in which the next request is about to run."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(GET + GET)
    (first,) = worker.requests()
    rig.pool.hearing._on_response(
        worker.incarnation, m.Response(first.id, 1, 200, "OK", b"", 0, b"", False)
    )
    client.end()
    worker.answer(worker.requests()[1])
    assert client.statuses() == [200, 200]
    assert client.transport.is_ended


def test_half_a_head_and_an_end_close(make_rig):
    """What will never be a request is not waited for."""
    client = make_rig().client()
    client.send(b"GET / HT")
    client.end()
    assert client.transport.is_ended


@pytest.mark.parametrize("streaming", [False, True])
def test_half_a_body_and_an_end_behind_another_request_close(make_rig, streaming):
    """The end came while the first request ran: the second one's body is not waited for."""
    rig = make_rig(streaming=streaming)
    worker, client = rig.worker(), rig.client()
    client.send(GET + post(b"half", length=8))
    client.end()
    worker.answer(worker.requests()[0])
    rig.turn()
    assert client.statuses() == [200]
    assert client.transport.is_ended
    assert sum(isinstance(item, m.CancelRequest) for item in worker.inbox) == streaming


def test_a_pool_that_goes_leaves_nobody_waiting(make_rig):
    """Queued, sent and begun requests all end; a request for the pool that is gone is refused."""
    rig = make_rig()
    worker = rig.worker()
    begun, sent, uploading = rig.client(), rig.client(), rig.client()
    begun.get()
    sent.get()
    uploading.send(post(b"half", length=8))
    first = worker.requests()[0]
    worker.tell(m.Response(first.id, 1, 200, "OK", b"", 10, b"first", True))
    rig.service.set_pools([])
    rig.turn()
    assert begun.transport.is_aborted
    assert sent.statuses() == [503]
    uploading.send(b"rest")
    assert uploading.statuses() == [503]
    sent.get()
    assert sent.statuses() == [503, 503]


def test_clients_that_come_and_go_do_not_fill_the_queue(make_rig):
    """Withdrawn requests behind one that waits are swept out."""
    rig = make_rig(queue_length=10)
    rig.client().get()
    for _ in range(300):
        client = rig.client()
        client.get()
        client.leave()
    assert len(rig.pool.queue) == 1
    assert len(rig.pool.queue._waiting) <= 2 * 10 + 64


def test_an_aborted_request_leaves_no_log_line_for_the_next(make_rig):
    """The line of a request that its worker gave up is not written for another one's cut."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    lines = []
    rig.service.records.line = lambda *line: lines.append(line)
    client.get()
    worker.tell(m.AbortResponse(worker.requests()[0].id, 1, "line of the first", 64))
    client.get()
    worker.tell(m.Response(worker.requests()[1].id, 1, 200, "OK", b"", -1, b"x", True))
    client.leave()
    assert client.statuses() == [502, 200]
    assert lines == []


def test_an_answer_that_comes_too_late_is_logged_with_its_sub_status(make_rig):
    """A refusal whose client has gone says in the log what it was, and 64."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    lines = []
    rig.service.records.request = lambda request, *line: lines.append(line)
    client.get()
    client.leave()
    worker.answer(worker.requests()[0], status=404, substatus=8, log="line")
    assert lines == [("line", 404, 8, 64, 0)]


# ── the listener leaves ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_in_time", [True, False])
def test_who_has_not_been_told_that_the_connection_ends_is_waited_for(make_rig, is_in_time):
    """The answer was on its way when a listener was told to leave with patience: the next one says
    it, or the patience is over.
    """
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    (first,) = worker.requests()
    worker.answer(first, b"he", length=5, more=True)
    rig.service.leaving.begin(5.0)
    worker.tell(m.ResponseChunk(first.id, first.attempt, b"llo", more=False))
    rig.pass_time(4.0 if is_in_time else 6.0)
    rig.service.leaving.sweep()
    assert client.transport.is_ended is not is_in_time
    if is_in_time:
        client.get()
        worker.answer(worker.requests()[-1])
        assert client.statuses() == [200, 200]
        assert client.transport.sent.count(b"Connection: close") == 1
        assert client.transport.is_ended
