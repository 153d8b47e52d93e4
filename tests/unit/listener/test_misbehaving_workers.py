"""Whatever a worker says: it is found out, nobody waits for ever, nothing leaks."""

import os

import pytest

from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.channel import Sent
from was.listener import worker_messages


@pytest.fixture
def held(make_rig):
    """A worker, a client, and the request that the one has of the other."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.get()
    (request,) = worker.requests()
    return rig, worker, client, request


def response(request, **changes):
    fields = {
        "status": 200,
        "reason": "OK",
        "block": b"",
        "length": 5,
        "body": b"hello",
        "more": False,
    }
    fields.update(changes)
    attempt = fields.pop("attempt", request.attempt)
    return m.Response(fields.pop("id", request.id), attempt, **fields)


UNSAYABLE = [
    {"status": 99},
    {"status": 1000},
    {"status": 101},
    {"status": 100},
    {"reason": "OK\r\nSet-Cookie: a=b"},
    {"block": b"A: b\r\n\r\nHTTP/1.1 200 OK\r\n"},
    {"block": b"A: b\nC: d\r\n"},
    {"block": b"Content-Length: 3\r\n"},
    {"block": b"X: " + b"a" * 1_500_000 + b"\0\r\n"},
    {"length": 4},
    {"length": 6},
]


@pytest.mark.parametrize(
    ("changes", "more"),
    # A length is kept or broken only at the END.
    [(c, more) for c in UNSAYABLE for more in (False, True) if not (more and "length" in c)],
)
def test_a_response_no_client_may_see_is_a_502(held, changes, more):
    """The worker is faulty, its client gets a 502, and its connection goes on."""
    rig, worker, client, request = held
    worker.tell(response(request, more=more, **changes))
    assert worker.is_faulty
    assert client.statuses() == [502]
    assert b"Set-Cookie" not in client.transport.sent
    assert [type(n) for n in rig.notices].count(lc.WorkerFaulty) == 1
    other = rig.worker()
    client.get()
    other.answer(other.requests()[0])
    assert client.statuses() == [502, 200]


def lies(request):
    again = (request.id, request.attempt)
    return [
        [response(request, id=request.id + 1)],
        [response(request, attempt=2)],
        [response(request, id=request.id + 1, attempt=-1)],
        [response(request, attempt=2, more=True)],
        [response(request, file_token=7, file_length=5)],
        [response(request, file_token=7, file_length=5, more=True)],
        [m.ResponseChunk(*again, b"x", True)],
        [m.ResponseChunk(*again, b"x", False)],
        [m.ResponseChunk(request.id, 2, b"x", False)],
        [m.AbortResponse(request.id, 2)],
        [m.BodyPull(*again, 0)],
        [m.BodyPull(*again, -1)],
        [m.BodyPull(*again, 5)],
        [m.Hello(m.PROTOCOL_VERSION, 99, 1, 4)],
        [m.Hello(m.PROTOCOL_VERSION, 1, os.getpid(), 4)],
    ]


@pytest.mark.parametrize("number", range(14))
def test_a_lie_leaves_the_request_to_the_workers_death(held, number):
    """The worker is faulty; its request is not lost with the message: it runs elsewhere."""
    rig, worker, client, request = held
    worker.tell(*lies(request)[number])
    assert worker.is_faulty
    other = rig.worker()
    worker.die()
    (again,) = other.requests()
    other.answer(again)
    assert client.statuses() == [200]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", ["response", "chunk without file"])
def test_a_lie_within_a_response_ends_in_a_cut(held, last, kind):
    """A response that had begun is cut at its worker's death, whatever was said after it."""
    _, worker, client, request = held
    worker.tell(response(request, length=10, more=True))
    if kind == "response":
        worker.tell(response(request, length=10, more=not last))
    else:
        worker.tell(m.ResponseChunk(request.id, 1, b"", not last, file_token=3, file_length=5))
    assert worker.is_faulty
    worker.die()
    assert client.transport.is_aborted
    assert client.transport.sent.count(b"HTTP/1.1") == 1


def test_a_second_end_is_found_out(held):
    """An END of what has ended is a lie; the first one stays good."""
    _, worker, client, request = held
    worker.tell(response(request), response(request))
    assert worker.is_faulty
    assert client.statuses() == [200]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01\x90\x90", b"\x92\x02\x90", b"x" * 1000])
def test_garbage_is_found_out(held, data):
    """What is no message of this epoch makes the worker faulty."""
    _, worker, client, _ = held
    worker.tell_raw(data)
    assert worker.is_faulty
    worker.die()
    assert client.statuses() == []


def file_with(folder, content):
    path = folder / "file"
    path.write_bytes(content)
    return os.open(path, os.O_RDONLY)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 99},
        {"body": b"longer than promised"},
        {"file_offset": -1},
        {"file_length": -1},
        {"file_offset": (1 << 63) - 2},
        {"file_offset": (1 << 64) - 1},
    ],
)
@pytest.mark.parametrize("more", [False, True])
def test_a_descriptor_is_closed_with_its_bad_message(held, tmp_path, changes, more):
    """A file that came with a response that cannot be sent is given back."""
    rig, worker, client, request = held
    fd = rig.door.passed[1] = file_with(tmp_path, b"content")
    fields = {"body": b"", "file_token": 1, "file_length": 5, "length": 5, **changes}
    worker.tell(response(request, more=more, **fields))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    worker.die()
    assert client.transport.is_aborted or client.statuses() in ([], [502])


def test_what_has_begun_cannot_be_given_back(held):
    """A request that STARTED, or whose response began, is not given to another worker."""
    rig, worker, _, request = held
    second = rig.client()
    second.get()
    begun = worker.requests()[1]
    worker.tell(response(begun, more=True, length=10))
    rig.pool.drain(1, graceful=True)
    other = rig.worker()
    worker.tell(m.GivenBack([(begun.id, begun.attempt)]))
    assert worker.is_faulty
    assert other.requests() == []
    worker.die()
    assert second.transport.is_aborted
    assert [r.id for r in other.requests()] == [request.id]


def test_a_started_post_cannot_be_given_back(make_rig):
    """The scoreboard is believed, not the worker: a POST that began is a 502, not a second run."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    (request,) = worker.requests()
    worker.start(request)
    rig.pool.drain(1, graceful=True)
    other = rig.worker()
    worker.tell(m.GivenBack([(request.id, request.attempt)]))
    assert worker.is_faulty
    worker.die()
    assert other.requests() == []
    assert client.statuses() == [502]


def test_a_bye_within_a_request_is_found_out(held):
    """What has begun is to be answered first."""
    _, worker, _, request = held
    worker.start(request)
    worker.tell(m.Bye())
    assert worker.is_faulty


def test_what_is_kept_after_a_bye_is_found_out(held, monkeypatch):
    """A worker that leaves gives back what it has not begun, or ends; this one does neither."""
    rig, worker, client, _ = held
    monkeypatch.setattr(worker_messages, "LAST_WORDS_S", 0.0)
    worker.tell(m.Bye())
    rig.turn()
    assert worker.is_faulty
    other = rig.worker()
    worker.die()
    other.answer(other.requests()[0])
    assert client.statuses() == [200]


def test_a_second_bye_is_found_out(make_rig):
    """Bye is a worker's last message: more of them would only be noise for the manager."""
    rig = make_rig()
    worker = rig.worker()
    worker.tell(m.Bye())
    assert not worker.is_faulty
    worker.tell(m.Bye())
    assert worker.is_faulty
    assert [type(n) for n in rig.notices].count(lc.WorkerDrained) == 1


def test_a_worker_that_lives_without_its_connection_is_faulty(held):
    """A message beyond the limit costs the connection, and what was in it: nobody waits for it."""
    rig, worker, client, _ = held
    rig.router.ended.add(worker.incarnation.source)
    rig.pass_time(3)
    assert worker.is_faulty
    other = rig.worker()
    worker.die()
    other.answer(other.requests()[0])
    assert client.statuses() == [200]


def test_posts_for_a_worker_that_does_not_read_make_one_retry(held):
    """However much is posted meanwhile, it is tried again once at a time."""
    rig, worker, _, _ = held
    rig.router.answer = Sent.NOT_READING
    timers = []
    rig.loop.call_later, before = lambda *call: timers.append(call), rig.loop.call_later
    for _ in range(10):
        rig.pool.outbox.post(worker.incarnation, m.CancelRequest(1, 1))
        rig.turn()
    rig.loop.call_later = before
    assert len(timers) == 1
    assert worker.incarnation.is_blocked
    rig.router.answer = Sent.YES
    timers[0][1](*timers[0][2:])
    assert not worker.incarnation.is_blocked
    assert len([i for i in worker.inbox if isinstance(i, m.CancelRequest)]) == 10


def test_a_batch_of_more_items_than_a_worker_packs_is_a_fault(held):
    """Tiny items by the hundred thousand would hold the loop for what is read of them."""
    _, worker, client, request = held
    pull = m.BodyPull(request.id, request.attempt, 1)
    worker.tell(*[pull] * 30_000)
    assert worker.is_faulty
    worker.die()
    assert client.statuses() == []  # it waits for the next worker
