"""A listener that was not run for a while: a paused machine, a stopped process."""

import asyncio

import pytest

from was.ipc import codec
from was.ipc import messages as m
from was.listener.service import EXPIRE_TICKS, SWEEP_TICKS

ROUND = EXPIRE_TICKS * SWEEP_TICKS
LONG_S = 1000.0


def _look(rig, times=1):
    for _ in range(times):
        rig.service._look()
        rig.turn()


def _pause(rig):
    """For longer than any limit; the next look would be one at all limits."""
    _look(rig, ROUND - 1 - rig.service._ticks % ROUND)
    rig.now += LONG_S


def test_what_has_come_meanwhile_is_read_before_anybody_is_too_slow(make_rig):
    """The rest of a head and a worker's answer wait in their sockets at the first look."""
    rig = make_rig(time_limit_s=110.0)
    worker, waiting, half = rig.worker(), rig.client(), rig.client()
    waiting.get()
    half.send(b"GET / HTTP/1.1\r\n")
    (request,) = worker.requests()
    worker.start(request)
    _look(rig)
    _pause(rig)
    _look(rig)
    half.send(b"Host: a\r\n\r\n")
    worker.answer(request)
    worker.answer(worker.requests()[-1])
    _look(rig, ROUND)
    assert (waiting.statuses(), half.statuses()) == ([200], [200])


def test_a_short_pause_is_one_too(make_rig):
    """An answer that came in time is not too late because it was read after the limit."""
    rig = make_rig(time_limit_s=0.4)
    worker, waiting = rig.worker(), rig.client()
    waiting.get()
    (request,) = worker.requests()
    worker.start(request)
    _look(rig)
    _look(rig, ROUND - 1 - rig.service._ticks % ROUND)
    rig.now += 0.5
    _look(rig)
    worker.answer(request)
    assert waiting.statuses() == [200]


def test_who_was_too_slow_is_found_all_the_same(make_rig):
    """A round later; also where every look comes late."""
    rig = make_rig()
    for pause_s in (0.0, LONG_S):
        client = rig.client()
        client.send(b"GET / HTTP/1.1\r\n")
        _look(rig)
        _pause(rig)
        for _ in range(ROUND):
            _look(rig)
            rig.now += pause_s
        assert client.statuses() == [408]


@pytest.mark.parametrize("is_read_on", [False, True])
def test_a_dead_workers_last_words_are_heard(make_rig, is_read_on):
    """However long the listener stands still between two looks: before the end of the worker's
    connection is seen, or after, while there is more to read."""
    rig = make_rig()
    worker, client = rig.worker(), rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    (request,) = worker.requests()
    worker.start(request)
    response = m.Response(request.id, request.attempt, 200, "OK", b"", 5, b"hello", more=False)
    words = codec.encode(m.ToListener(1, [response]))
    looks, time = [], rig.loop.time
    rig.loop.time = lambda: time() + len(looks) * LONG_S

    def pump():
        looks.append("")
        if len(looks) == 3:
            rig.pool.hearing.on_message(worker.identity, words, -1)

    rig.router.pump = pump
    rig.router.has_message = lambda: is_read_on and len(looks) < 3
    rig.router.has_disconnected = lambda _: is_read_on
    worker.die()
    while not client.statuses():
        rig.loop.run_until_complete(asyncio.sleep(0.001))
    assert client.statuses() == [200]
