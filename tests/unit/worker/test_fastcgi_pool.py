"""Which FastCGI process answers, and which must end: the policy alone."""

import pytest

from was.worker.fastcgi.process_pool import Instance, ProcessPool, Turn, Verdict
from was.worker.fastcgi.settings import FastCgiApplication, remote_address


def make_pool(most: int = 2, capacity: int = 1, **settings) -> ProcessPool:
    return ProcessPool(FastCgiApplication(full_path="/p", **settings), most, capacity)


def take(pool: ProcessPool, now: float = 0.0) -> Instance:
    found = pool.take(now)
    assert isinstance(found, Instance)
    if found.is_new:
        pool.started(found)
    return found


def test_processes_are_started_up_to_the_limit():
    """Beyond it requests wait, then the queue is full."""
    pool = make_pool(most=2, queue_length=1)
    first, second = take(pool), take(pool)
    assert first is not second
    assert pool.take(0.0) is Verdict.WAIT
    turn = Turn(until=10.0)
    pool.queue(turn)
    assert pool.take(0.0) is Verdict.FULL
    assert pool.serve(0.0) == []
    pool.give_back(first, 1.0)
    assert pool.serve(1.0) == [turn]
    assert turn.instance is first
    assert pool.take(2.0) is Verdict.WAIT


def test_a_queue_is_served_in_order_until_nobody_waits_any_longer():
    """Who has left is passed over, who has waited for too long is told so, in order as well."""
    pool = make_pool(most=1)
    only = take(pool)
    first, gone, second = (Turn(until) for until in (10.0, 20.0, 30.0))
    for turn in (first, gone, second):
        assert pool.take(0.0) is Verdict.WAIT
        pool.queue(turn)
    assert pool.leave(gone)
    assert not pool.leave(gone)
    assert pool.overdue(9.9) == []
    assert pool.overdue(10.0) == [first]
    assert (first.instance, first.verdict) == (None, Verdict.WAIT)
    pool.give_back(only, 11.0)
    assert pool.serve(11.0) == [second]
    assert second.instance is only


def test_a_request_whose_process_was_gone_does_not_queue_again():
    """It has had its turn: who comes after it waits on, and a full queue does not refuse it."""
    pool = make_pool(most=1, queue_length=1)
    gone, turn = take(pool), Turn(until=10.0)
    pool.queue(turn)
    other = pool.replace(gone, 1.0, is_failure=False)
    assert other is not None
    assert other.is_new
    assert list(pool.instances.values()) == [other]
    assert pool.serve(1.0) == []


def test_a_process_that_others_use_or_that_has_failed_too_often_is_not_replaced():
    """Those on it go to the queue; the application off line is off line for all."""
    pool = make_pool(most=1, capacity=2)
    assert take(pool) is (shared := take(pool))
    assert pool.replace(shared, 1.0, is_failure=False) is None
    pool = make_pool(most=1, rapid_fails_per_minute=1)
    for now, is_replaced in ((1.0, True), (2.0, False)):
        found = pool.replace(
            next(iter(pool.instances.values()), None) or take(pool), now, is_failure=True
        )
        assert (found is not None) is is_replaced


def test_who_waits_is_told_when_the_application_goes_off_line():
    """Too many failures: nobody is left in the queue for ever."""
    pool = make_pool(most=1, rapid_fails_per_minute=1)
    first, second = Turn(until=90.0), Turn(until=90.0)
    only = take(pool)
    pool.queue(first)
    pool.queue(second)
    pool.remove(only, 1.0, is_failure=True)
    assert pool.serve(1.0) == [first]
    assert first.instance is not None
    pool.remove(first.instance, 2.0, is_failure=True)
    assert pool.serve(2.0) == [second]
    assert second.verdict is Verdict.OFFLINE


def test_a_process_that_is_being_started_is_not_anothers():
    """Only when it runs, and only where it can multiplex."""
    pool = make_pool(most=1, capacity=2)
    new = pool.take(0.0)
    assert isinstance(new, Instance)
    assert pool.take(0.0) is Verdict.WAIT
    pool.started(new)
    assert pool.take(0.0) is new
    assert pool.take(0.0) is Verdict.WAIT


def test_the_last_used_is_taken_and_the_others_become_idle():
    """idleTimeout counts from the end of the last request."""
    pool = make_pool(most=2, idle_timeout=300)
    first, second = take(pool), take(pool)
    pool.give_back(first, 10.0)
    pool.give_back(second, 20.0)
    assert take(pool, 21.0) is second
    pool.give_back(second, 22.0)
    assert pool.next_idle() == 310.0
    assert pool.idle(309.9) == []
    assert pool.idle(310.0) == [first]
    assert first.is_ending
    assert pool.take(311.0) is second


def test_a_process_has_its_number_of_requests():
    """instanceMaxRequests: it ends when the last one is given back."""
    pool = make_pool(most=2, instance_max_requests=2)
    first = take(pool)
    assert not pool.give_back(first, 0.0)
    assert take(pool) is first
    assert take(pool) is not first
    assert pool.give_back(first, 0.0)


def test_renewed_processes_end_when_they_are_free():
    """monitorChangesTo: who is busy ends when given back, who is idle now."""
    pool = make_pool(most=3)
    busy, idle = take(pool), take(pool)
    pool.give_back(idle, 0.0)
    assert pool.renew() == [idle]
    assert take(pool) not in (busy, idle)
    assert pool.give_back(busy, 1.0)


def test_failures_within_a_minute_take_it_off_line():
    """rapidFailsPerMinute: more than so many; a minute later it is tried again. 0: never."""
    for limit, expected in ((1, Verdict.OFFLINE), (0, Instance)):
        pool = make_pool(most=9, rapid_fails_per_minute=limit)
        for now in (0.0, 1.0):
            pool.remove(take(pool, now), now, is_failure=True)
        found = pool.take(2.0)
        assert found is expected or isinstance(found, Instance) == (expected is Instance)
        assert isinstance(pool.take(60.5), Instance)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("php.local:9000", ("php.local", 9000)),
        ("unix:/run/php.sock", "/run/php.sock"),
        ("/usr/bin/php-cgi", None),
        ("/usr/bin/x:9000", None),
    ],
)
def test_addresses(path, address):
    """host:port and unix:path are somebody else's processes; anything else is a program."""
    assert remote_address(path) == address
