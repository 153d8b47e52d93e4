"""Workers that go without a word of this listener: another one has told them, or SIGTERM has."""

import pytest

from was.ipc import messages as m


@pytest.fixture
def crossing(make_rig):
    """A request that is on its way to a worker that is about to end, and another worker."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    (request,) = worker.requests()
    return rig, worker, client, request


def test_what_it_gives_back_waits_for_another_worker(crossing):
    """It is not refused, and the one that leaves is given nothing more."""
    rig, worker, client, request = crossing
    worker.tell(m.GivenBack([(request.id, request.attempt)], is_leaving=True))
    assert not worker.is_faulty
    assert client.statuses() == []
    assert worker.requests() == [request]
    other = rig.worker()
    other.answer(other.requests()[0])
    assert client.statuses() == [200]


def test_a_bye_that_has_crossed_requests_is_believed(crossing):
    """It has not begun them: they are given back, or its death does that."""
    rig, worker, client, _ = crossing
    second = rig.client()
    second.get()
    late = worker.requests()[1]
    worker.tell(m.Bye())
    assert not worker.is_faulty
    worker.tell(m.GivenBack([(late.id, late.attempt)], is_leaving=True))
    other = rig.worker()
    other.answer(other.requests()[0])
    assert second.statuses() == [200]
    worker.die()
    other.answer(other.requests()[1])
    assert client.statuses() == [200]


def test_one_that_was_replaced_by_a_worker_that_died_at_once_leaves_all_the_same(make_rig):
    """The manager, which did not know, counts on it: it would be killed over its requests."""
    rig = make_rig()
    old, new = rig.worker(), rig.worker()
    new.die()
    rig.pool.activate(new.incarnation.worker_id, [old.incarnation.worker_id])
    rig.turn()
    assert old.inbox == [m.StopListening(True)]
    rig.client().get()
    assert old.requests() == []
