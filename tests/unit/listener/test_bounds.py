"""Who takes without giving is held back: nothing grows with what a client or a worker does."""

import tracemalloc

import pytest
from support.frames import frame

from was.ipc import messages as m
from was.ipc.channel import Sent
from was.ipc.messages import CHUNK_BYTES, RESPONSE_WINDOW_BYTES
from was.ipc.served import PoolQueue
from was.listener.client_socket import READ_AHEAD
from was.listener.slices import MANY_PIECES, SHORT_SLICE_BYTES
from was.listener.spool import MAX_AHEAD

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("kind", ["refused", "answered"])
def test_who_does_not_read_answers_is_asked_for_no_further_requests(make_rig, kind):
    """Thousands of pipelined requests of a client that never reads make one answer, not as many."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    if kind == "refused":
        rig.service.set_pools([PoolQueue("Pool", False, "AppOffline")])
    client.connection.pause_writing()
    for _ in range(20):
        client.send(GET * 100)
    assert client.statuses() == []
    assert worker.requests() == []
    assert not client.transport.is_reading
    client.connection.resume_writing()
    for number in range(2000):
        rig.turn()
        if kind == "answered" and len(worker.requests()) > number:
            worker.answer(worker.requests()[number])
    assert client.statuses() == [503 if kind == "refused" else 200] * 2000
    assert client.transport.is_reading


def test_who_reads_all_answers_is_not_read_faster_than_answered(make_rig):
    """Thousands of pipelined requests lie with their client, and not in the listener's memory."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    transport, connection = client.transport, client.connection
    most = 0

    def arrive():
        nonlocal most
        if transport.is_reading:
            connection.data_received(GET * 1000)
        most = max(most, len(connection.buffer))

    def resume():
        transport.is_reading = True
        rig.loop.call_soon(arrive)  # there is always more to read

    transport.resume_reading = resume
    for _ in range(4):
        arrive()
    for number in range(200):
        rig.turn()
        worker.answer(worker.requests()[number])
    assert most <= READ_AHEAD + len(GET * 1000)
    assert client.statuses() == [200] * 200


def test_pipelined_requests_are_read_one_a_turn_however_they_come(make_rig):
    """What arrives while others wait for their turns is no reason to read more of them in each."""
    rig = make_rig()
    rig.service.set_pools([PoolQueue("Pool", False, "AppOffline")])
    client = rig.client()
    for _ in range(10):
        client.connection.data_received(GET * 10)
    for _ in range(100 - 1):
        before = len(client.statuses())
        rig.loop.call_soon(rig.loop.stop)
        rig.loop.run_forever()
        assert len(client.statuses()) == before + 1
    assert client.statuses() == [503] * 100


@pytest.mark.parametrize("buffered", [10, 64 * 1024 + 10])
def test_half_a_head_behind_other_requests_is_read_to_its_end(make_rig, buffered):
    """However much was kept before: the rest of a head is what is waited for."""
    rig = make_rig()
    rig.service.limits.max_request_bytes = rig.service.limits.max_field_length = 1 << 20
    worker, client = rig.worker(), rig.client()
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * buffered
    client.send(GET + head)
    worker.answer(worker.requests()[0])
    assert client.transport.is_reading
    client.send(b"\r\n\r\n")
    worker.answer(worker.requests()[1])
    assert client.statuses() == [200, 200]


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_half_a_body_behind_other_requests_is_read_to_its_end(make_rig, engine):
    """However much was kept before: the rest of a body is what is waited for."""
    rig = make_rig(engine=engine)
    worker, client = rig.worker(), rig.client()
    body = b"x" * 2 * READ_AHEAD
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1)
    client.send(GET + post + body)
    assert not client.transport.is_reading
    worker.answer(worker.requests()[0])
    assert client.transport.is_reading
    client.send(b"x")
    worker.answer(worker.requests()[1])
    assert client.statuses() == [200, 200]


def test_requests_behind_unread_answers_are_answered_after_a_half_close(make_rig):
    """The client sends no more, and reads at last: it gets what it asked for."""
    rig = make_rig()
    rig.service.set_pools([PoolQueue("Pool", False, "AppOffline")])
    client = rig.client()
    client.connection.pause_writing()
    client.send(GET * 3)
    client.end()
    rig.turn()
    assert not client.transport.is_ended
    client.connection.resume_writing()
    for _ in range(3):
        rig.turn()
    assert client.statuses() == [503, 503, 503]
    assert client.transport.is_ended


def test_a_client_that_never_reads_its_answers_is_shown_out(make_rig):
    """Its connection is idle, whatever it goes on to ask."""
    rig = make_rig()
    rig.service.set_pools([PoolQueue("Pool", False, "AppOffline")])
    client = rig.client()
    client.send(GET)
    client.connection.pause_writing()
    client.transport.buffered = 1000
    client.send(GET)
    rig.pass_time(1000)
    assert client.transport.is_lost
    assert client.statuses() == [503]


def test_a_worker_that_ignores_its_window_is_faulty(make_rig):
    """A client that does not read costs the pool's spool, and not one response more than that."""
    limit = 1 << 20
    rig = make_rig(max_spool=limit, response_spool=65536)
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    client.connection.pause_writing()
    client.transport.buffered = 1
    worker.answer(request, b"", length=-1, more=True)
    sent = 0
    while not worker.is_faulty:
        worker.tell(m.ResponseChunk(request.id, 1, b"x" * CHUNK_BYTES, True))
        sent += CHUNK_BYTES
        assert sent < 16 * limit
    assert rig.pool.account.held_bytes <= limit + RESPONSE_WINDOW_BYTES + 3 * CHUNK_BYTES
    worker.die()
    assert client.transport.is_aborted


def test_a_worker_that_pulls_and_does_not_read_is_sent_no_more(make_rig):
    """The body stays in its spool until the worker reads; then it gets all of it."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    body = bytes(range(256)) * 16384
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    for at in range(0, len(body), 65536):
        client.send(body[at : at + 65536])
    (request,) = worker.requests()
    timers = []
    rig.loop.call_later = lambda _delay, function, *given: timers.append((function, given))
    rig.router.answer = Sent.NOT_READING
    for _ in range(100):
        worker.tell(m.BodyPull(request.id, 1, 2 * CHUNK_BYTES))
    incarnation = worker.incarnation
    assert sum(map(len, incarnation.unsent)) + incarnation.out_bytes <= 4 * CHUNK_BYTES
    rig.router.answer = Sent.YES
    ((function, given),) = timers
    function(*given)
    rig.turn()
    while not worker.chunks()[-1].last:
        worker.tell(m.BodyPull(request.id, 1, 2 * CHUNK_BYTES))
    assert b"".join(chunk.data for chunk in worker.chunks()) == body
    worker.answer(request)
    assert client.statuses() == [200]


@pytest.mark.parametrize("is_held", [False, True])
def test_a_worker_that_pulls_a_websocket_and_does_not_read_is_sent_no_more(make_rig, is_held):
    """What its client sends waits with the client, whatever the worker says; then it comes."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(UPGRADE)
    (request,) = worker.requests()
    worker.start(request)
    if is_held:
        worker.tell(m.HoldSocket(request.id, 1, b"", "", 1 << 20))
    worker.answer(request, b"", status=101, length=-1, more=True)
    rig.router.answer = Sent.NOT_READING
    timers = []
    rig.loop.call_later = lambda _delay, function, *given: timers.append((function, given))
    message = frame(b"x" * 20_000)
    worker.tell(m.BodyPull(request.id, 1, CHUNK_BYTES))
    sent = taken = 0
    for _ in range(500):
        worker.tell(m.BodyPull(request.id, 1, CHUNK_BYTES))
        if is_held and sum(map(len, worker.incarnation.unsent)) > (taken + 1) * len(message):
            worker.tell(m.MessagesTaken(request.id, 1, 1))
            taken += 1
        if client.transport.is_reading:
            client.send(message)
            sent += 1
    assert sum(map(len, worker.incarnation.unsent)) + worker.incarnation.out_bytes < 4 * READ_AHEAD
    assert sent < 20
    assert not worker.is_faulty
    rig.router.answer = Sent.YES
    function, given = timers[-1]
    function(*given)
    rig.turn()
    assert b"".join(chunk.data for chunk in worker.chunks()) == message * sent
    del rig.loop.call_later
    client.leave()
    worker.tell(m.AbortResponse(request.id, 1))


@pytest.mark.parametrize("reads_again", [True, False])
def test_a_worker_that_sends_and_does_not_read_is_given_no_window(make_rig, reads_again):
    """It may go on when it reads again; one that goes on all the same is faulty."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.start(request)
    rig.router.answer = Sent.NOT_READING
    timers = []
    rig.loop.call_later = lambda _delay, function, *given: timers.append((function, given))
    rig.pool.outbox.post(worker.incarnation, m.CancelRequest(request.id + 1, 1))
    rig.turn()
    del rig.loop.call_later
    chunk = m.ResponseChunk(request.id, 1, b"x" * CHUNK_BYTES, True)
    worker.answer(request, b"", length=-1, more=True)
    for _ in range(RESPONSE_WINDOW_BYTES // CHUNK_BYTES):
        worker.tell(chunk)
    assert len(worker.incarnation.unsent) == 1
    assert not worker.incarnation.out
    if reads_again:
        rig.router.answer = Sent.YES
        ((function, given),) = timers
        function(*given)
        rig.turn()
    for _ in range(RESPONSE_WINDOW_BYTES // CHUNK_BYTES):
        worker.tell(chunk)
    assert worker.is_faulty is not reads_again
    windows = [item.count for item in worker.inbox if isinstance(item, m.ResponseWindow)]
    assert sum(windows) == (2 * RESPONSE_WINDOW_BYTES if reads_again else 0)
    worker.die()


def test_a_worker_that_asks_and_does_not_read_is_faulty(make_rig):
    """Each question after a connection's end is answered; the answers do not fill the memory."""
    rig = make_rig()
    worker = rig.worker()
    rig.router.answer = Sent.NOT_READING
    questions = [m.WatchConnection(number, 1, number) for number in range(20_000)]
    for _ in range(200):
        worker.tell(*questions)
        if worker.is_faulty:
            break
    assert worker.is_faulty
    assert sum(map(len, worker.incarnation.unsent)) < 10_000_000


def test_a_flood_of_other_workers_does_not_hold_up_what_follows_a_death(make_rig):
    """What the dead one left is read in turns of the loop, and not for ever."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    worker.start(worker.requests()[0])
    pumps = []
    rig.router.pump = lambda: pumps.append(1)
    rig.router.has_message = lambda: True
    worker.die()
    assert client.statuses() == []
    after_a_turn = len(pumps)
    assert after_a_turn < 20
    other = rig.worker()
    while not other.requests():
        rig.turn()
    assert len(pumps) > after_a_turn
    other.answer(other.requests()[0])
    assert client.statuses() == [200]


def test_a_worker_that_was_told_to_finish_is_given_nothing_again(make_rig):
    """A late word of a manager does not bring it back into dispatch."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    number = worker.incarnation.worker_id
    rig.pool.drain(number, graceful=True)
    rig.pool.activate(number, [])
    client.get()
    assert worker.requests() == []
    assert len(rig.pool.queue) == 1


def upload(client, size, part):
    """The first `part` bytes of a POST of `size`."""
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    more(client, 0, part)


def more(client, start, end):
    body = BYTES[start:end]
    while body and client.transport.is_reading:
        piece, body = body[:50_000], body[50_000:]
        client.send(piece)
    return end - len(body)


BYTES = bytes(range(256)) * 4096


def pull_all(worker, request):
    begin = len(worker.inbox)
    if not request.pull:
        return request.body
    chunks = []
    while not (chunks and chunks[-1].last):
        worker.tell(m.BodyPull(request.id, request.attempt, 2 * CHUNK_BYTES))
        chunks = [
            i for i in worker.inbox[begin:] if isinstance(i, m.BodyChunk) and i.id == request.id
        ]
    return b"".join(chunk.data for chunk in chunks)


def test_half_bodies_of_many_clients_go_to_files(make_rig):
    """Each is small enough for the memory; all of them together are not."""
    rig = make_rig()
    rig.service.spool_memory.limit_bytes = 200_000
    worker = rig.worker()
    clients = [rig.client() for _ in range(20)]
    for client in clients:
        upload(client, 60_000, 45_000)
        assert rig.service.spool_memory.held_bytes <= 250_000
    for number, client in enumerate(clients):
        more(client, 45_000, 60_000)
        request = worker.requests()[number]
        assert pull_all(worker, request) == BYTES[:60_000]
        worker.answer(request)
        assert client.statuses() == [200]
    assert rig.service.spool_memory.held_bytes == 0


def test_responses_to_many_slow_clients_go_to_files(make_rig):
    """As above, for what is sent."""
    rig = make_rig()
    rig.service.spool_memory.limit_bytes = 300_000
    workers = [rig.worker() for _ in range(4)]
    clients = [rig.client() for _ in range(16)]
    for client in clients:
        client.get()
        client.connection.pause_writing()
        client.transport.buffered = 1
    for worker in workers:
        for request in worker.requests():
            worker.answer(request, BYTES[:90_000], length=100_000, more=True)
            worker.tell(m.ResponseChunk(request.id, 1, BYTES[90_000:100_000], False))
    assert rig.service.spool_memory.held_bytes <= 400_000
    assert rig.pool.account.held_bytes >= 16 * 100_000 - 400_000


def traced(act):
    """Bytes that Python holds after this and did not hold before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        act()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_a_body_of_tiny_pieces_costs_what_is_counted(make_rig):
    """However many segments of the network it comes in, and it is whole."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    pieces = [b"%02d" % (number % 100) for number in range(30_000)]
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60002\r\n\r\n")

    def send():
        for piece in pieces:
            client.connection.data_received(piece)

    assert traced(send) < 3 * rig.service.spool_memory.held_bytes
    client.send(b"xy")
    (request,) = worker.requests()
    assert request.body == b"".join(pieces) + b"xy"
    worker.answer(request)


def test_a_response_of_tiny_pieces_costs_what_is_counted(make_rig):
    """For a client that does not read; it gets all of it when it does."""
    rig = make_rig(response_spool=1 << 24)
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    worker.answer(request, b"", length=100_000, more=True)
    client.connection.pause_writing()
    pieces = [b"%02d" % (number % 100) for number in range(50_000)]

    def send():
        for at in range(0, len(pieces), 1000):
            items = [m.ResponseChunk(request.id, 1, p, True) for p in pieces[at : at + 1000]]
            worker.tell(*items)

    assert traced(send) < 3 * rig.service.spool_memory.held_bytes
    worker.tell(m.ResponseChunk(request.id, 1, b"", False))
    client.connection.resume_writing()
    while client.connection.stream is not None:
        rig.turn()
    assert client.transport.sent.endswith(b"".join(pieces))


def test_when_the_spools_are_full_only_the_oldest_bodies_go_on(make_rig):
    """The others wait, however long that takes, and all are whole in the end."""
    limit = 1 << 20
    size = 700_000
    rig = make_rig(max_spool=limit)
    worker = rig.worker()
    clients = [rig.client() for _ in range(12)]
    sent = []
    for client in clients:
        upload(client, size, 0)
        sent.append(more(client, 0, 100_000))
    sent = [more(c, s, size - 1) for c, s in zip(clients, sent, strict=True)]
    waiting = [client for client in clients if not client.transport.is_reading]
    assert len(waiting) >= 12 - MAX_AHEAD - 1
    assert rig.pool.account.held_bytes <= limit + MAX_AHEAD * size + 12 * 50_000
    done = 0
    while done < len(clients):
        sent = [more(c, s, size) if s < size else s for c, s in zip(clients, sent, strict=True)]
        requests = worker.requests()
        assert len(requests) > done, "nobody goes on"
        for request in requests[done:]:
            assert pull_all(worker, request) == BYTES[:size]
            worker.answer(request)
        done = len(requests)
    assert [client.statuses() for client in clients] == [[200]] * 12


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_bodies_for_workers_wait_too_when_the_spools_are_full(make_rig, expect):
    """Those that are longer than may be kept, and those that come before they were asked for."""
    size = 900_000
    rig = make_rig(max_spool=1 << 20 if expect else 1 << 19)
    clients = [rig.client() for _ in range(8)]
    for client in clients:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n" % (expect, size))
    sent = [more(client, 0, size) for client in clients]
    limit = rig.pool.account.limit_bytes
    assert rig.pool.account.held_bytes <= limit + 8 * 2 * READ_AHEAD
    worker, done = rig.worker(), 0
    while done < len(worker.requests()):
        request, done = worker.requests()[done], done + 1
        if request.ask_first:
            worker.tell(m.GivenBack([(request.id, request.attempt)]))
        data = b""
        while not request.ask_first and len(data) < size:
            worker.tell(m.BodyPull(request.id, request.attempt, CHUNK_BYTES))
            sent = [more(c, s, size) for c, s in zip(clients, sent, strict=True)]
            data = b"".join(chunk.data for chunk in worker.chunks() if chunk.id == request.id)
        if data:
            assert data == BYTES[:size]
            worker.answer(request)
        sent = [more(c, s, size) for c, s in zip(clients, sent, strict=True)]
    assert [client.statuses() for client in clients] == [[200]] * 8


def test_a_body_that_waits_for_room_is_taken_out_when_its_client_leaves(make_rig):
    """And the next one goes on in its place."""
    rig = make_rig(max_spool=1 << 20)
    clients = [rig.client() for _ in range(MAX_AHEAD + 6)]
    for client in clients:
        upload(client, 700_000, 400_000)
    assert not clients[-1].transport.is_reading
    for client in clients[:-1]:
        client.leave()
    assert clients[-1].transport.is_reading


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY = 20_000


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_a_body_of_tiny_chunks_is_read_in_turns(make_rig, engine):
    """Others come between; the client waits meanwhile, and loses nothing of the body or behind."""
    rig = make_rig(engine=engine)
    worker, client = rig.worker(), rig.client()
    client.send(CHUNKED)
    request = client.connection.request
    client.connection.data_received(b"1\r\nx\r\n" * TINY + b"0\r\n\r\n" + GET)
    read = request.received_bytes - len(CHUNKED)
    assert MANY_PIECES < read <= SHORT_SLICE_BYTES
    assert not client.transport.is_reading
    for _ in range(TINY * 6 // SHORT_SLICE_BYTES):
        rig.turn()
    assert client.transport.is_reading
    (got,) = worker.requests()
    assert got.body == b"x" * TINY
    assert request.received_bytes == len(CHUNKED) + TINY * 6 + 5
    worker.answer(got)
    rig.turn()
    worker.answer(worker.requests()[1])
    assert client.statuses() == [200, 200]


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_end_of_a_client_comes_behind_what_waits_for_its_turn(make_rig, is_whole):
    """It has closed its half behind many requests: it is answered, unless half a body was all."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(GET + CHUNKED + b"1\r\nx\r\n" * TINY + b"0\r\n\r\n" * is_whole)
    client.end()
    worker.answer(worker.requests()[0])
    for _ in range(TINY * 6 // SHORT_SLICE_BYTES):
        rig.turn()
    assert client.transport.is_ended is not is_whole
    if is_whole:
        worker.answer(worker.requests()[1])
        assert client.statuses() == [200, 200]


def test_chunks_of_some_length_are_read_at_once(make_rig):
    """Slices grow as long as they hold few chunks."""
    rig = make_rig(body_spool=1 << 20)
    client = rig.client()
    client.send(CHUNKED)
    request = client.connection.request
    body = (b"400\r\n" + b"x" * 1024 + b"\r\n") * 200
    client.connection.data_received(body)
    assert request.received_bytes == len(CHUNKED) + len(body)
    rig.turn()
    assert client.transport.is_reading
    client.leave()


@pytest.mark.parametrize("engine", ["h11", "llhttp"])
def test_what_was_not_read_of_a_body_is_no_request(make_rig, engine):
    """It is answered while slices of it still wait: nothing that follows is looked at."""
    rig = make_rig(engine=engine, streaming=True)
    worker, client = rig.worker(), rig.client()
    client.send(CHUNKED)
    (request,) = worker.requests()
    client.connection.data_received(b"1\r\nx\r\n" * TINY + b"0\r\n\r\n" + GET)
    assert client.connection.body is not None
    worker.answer(request)
    for _ in range(TINY * 6 // SHORT_SLICE_BYTES):
        rig.turn()
    assert client.statuses() == [200]
    assert client.transport.is_ended
    assert worker.requests() == [request]


def test_a_stream_of_tiny_chunks_goes_no_faster_than_its_worker(make_rig):
    """Whoever lets the client on, what has come is read before more of it."""
    rig = make_rig(streaming=True)
    worker, client = rig.worker(), rig.client()
    client.send(CHUNKED)
    (request,) = worker.requests()
    client.connection.data_received(b"1\r\nx\r\n" * TINY)
    worker.tell(m.BodyPull(request.id, request.attempt, 1000))
    assert not client.transport.is_reading
    client.connection.data_received(b"1\r\ny\r\n0\r\n\r\n")
    for _ in range(TINY * 6 // SHORT_SLICE_BYTES):
        worker.tell(m.BodyPull(request.id, request.attempt, CHUNK_BYTES))
    body = b"".join(chunk.data for chunk in worker.chunks())
    assert body == b"x" * TINY + b"y"
    assert worker.chunks()[-1].last
    worker.answer(request)
    assert client.statuses() == [200]
