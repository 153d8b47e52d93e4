"""Applications that go to another pool: whoever had been sent to the old one is not refused."""

from types import SimpleNamespace

import pytest
from msgspec import structs
from support.listener_rig import FakeDoor, FakeRouter, FakeWorker

from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.served import PoolQueue, PoolRoute
from was.listener import elsewhere


@pytest.fixture
def two(make_rig):
    """A rig with the applications / and /app in its pool, and a worker of another pool."""
    rig = make_rig()
    rig.service.set_pools([PoolQueue("Pool", True), PoolQueue("Other", True)])
    route(rig, {"/": "Pool", "/app": "Pool"})
    pool = rig.service.pools["Other"]
    pool.router, pool.door = FakeRouter(), FakeDoor()
    there = SimpleNamespace(pool=pool, router=pool.router, turn=rig.turn)
    other = FakeWorker(there, 9)
    yield rig, other
    pool.close()
    other.board.close()


def route(rig, applications):
    routes = [PoolRoute(path, pool) for path, pool in applications.items()]
    rig.service.routes.configure(
        [structs.replace(rig.site, applications=routes)], rig.service.pools, rig.service.scaled
    )
    for pool in rig.service.pools.values():
        elsewhere.routes_changed(pool)
    rig.turn()


def give_back(worker, request):
    worker.tell(m.GivenBack([(request.id, request.attempt)]))


def test_what_a_worker_has_no_more_is_given_to_the_pool_that_has_it(two):
    """The request was with the old pool's worker when its application moved."""
    rig, other = two
    worker, client = rig.worker(), rig.client()
    client.get("/app/x")
    route(rig, {"/": "Pool", "/app": "Other"})
    give_back(worker, worker.requests()[0])
    assert not worker.is_faulty
    assert len(worker.incarnation.free_slots) == 4
    other.answer(other.requests()[0])
    assert client.statuses() == [200]


def test_what_a_removed_application_had_goes_where_its_url_leads(two):
    """As a request does that comes a moment later; waiting ones do so without a worker's word."""
    rig, other = two
    worker, sent, waiting = rig.worker(), rig.client(), rig.client()
    sent.get("/app/x")
    route(rig, {"/": "Pool"})
    give_back(worker, worker.requests()[0])
    assert [r.application for r in worker.requests()] == ["/app", "/"]
    worker.answer(worker.requests()[1])
    assert sent.statuses() == [200]
    route(rig, {"/": "Other", "/app": "Pool"})
    rig.pool.take_from_dispatch(worker.incarnation)
    waiting.get("/app/y")
    route(rig, {"/": "Other"})
    other.answer(other.requests()[0])
    assert waiting.statuses() == [200]
    assert other.requests()[0].application == "/"


def test_what_nobody_has_is_refused(two):
    """A worker that does not have what its pool has: its other requests are worth more."""
    rig, _ = two
    worker, client = rig.worker(), rig.client()
    client.get("/app/x")
    give_back(worker, worker.requests()[0])
    assert client.statuses() == [503]
    assert not worker.is_faulty


def test_what_has_begun_is_not_given_back(two):
    """It may have had its effect: a lie, and the request shares its worker's end."""
    rig, _ = two
    worker, client = rig.worker(), rig.client()
    client.get("/app/x")
    route(rig, {"/": "Pool", "/app": "Other"})
    (request,) = worker.requests()
    worker.start(request)
    give_back(worker, request)
    assert worker.is_faulty


def test_requests_wait_for_the_workers_that_know_their_application(two):
    """In a queue that stands for the pool: it asks for no worker and is known by its name."""
    rig, other = two
    waiting = PoolQueue("+Other", True, stands_for="Other")
    rig.service.set_pools([PoolQueue("Pool", True), PoolQueue("Other", True), waiting])
    route(rig, {"/": "Pool", "/app": "+Other"})
    client, uploading = rig.client(), rig.client()
    client.get("/app/x")
    uploading.send(b"POST /app/y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha")
    rig.turn()
    assert not [n for n in rig.notices if isinstance(n, lc.DemandStart)]
    assert rig.service.pools["+Other"].name == "Other"
    assert other.requests() == []
    route(rig, {"/": "Pool", "/app": "Other"})
    rig.service.set_pools([PoolQueue("Pool", True), PoolQueue("Other", True)])
    uploading.send(b"lf")
    rig.turn()
    for request in other.requests():
        other.answer(request)
    assert (client.statuses(), uploading.statuses()) == ([200], [200])
