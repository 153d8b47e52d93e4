"""Interruption hits the marked call of one request, and nothing before, beside or after it."""

import threading
import time

import pytest

from was.worker.threads import application_calls
from was.worker.threads.application_calls import (
    RequestInterruptedError,
    call,
    forget,
    inside,
    interrupt,
    iterate,
    outside,
)

LIMIT_S = 30.0
PROOF = 7 << 11 | 1 << 3


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert inside == {}
    assert application_calls._interrupted == {}


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def loop(seconds=LIMIT_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def run(work):
    """Run `work` on another thread; what it raised, or returned, in a list."""
    result = []

    def main():
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 to be looked at
            result.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    return thread, result


def test_a_call_that_loops_is_interrupted():
    """The exception is raised where the call is, and ends it."""
    thread, result = run(lambda: call(PROOF, loop))
    until(lambda: PROOF in inside)
    assert interrupt(PROOF)
    thread.join(LIMIT_S)
    assert isinstance(result[0], RequestInterruptedError)


def test_who_is_not_inside_is_not_interrupted():
    """A request that has left its application, or never entered, is left alone."""
    assert not interrupt(PROOF)
    assert call(PROOF, lambda: 5) == 5
    assert not interrupt(PROOF)


def test_a_call_that_hides_the_interruption_raises_it_at_its_end():
    """An application that catches everything does not get away with it."""

    def stubborn():
        try:
            loop()
        except BaseException:  # noqa: BLE001 that is the point
            return "well"

    thread, result = run(lambda: call(PROOF, stubborn))
    until(lambda: PROOF in inside)
    assert interrupt(PROOF)
    thread.join(LIMIT_S)
    assert isinstance(result[0], RequestInterruptedError)


def test_code_of_ours_that_the_application_calls_is_not_interrupted():
    """Unmarked within; the application is in reach again as soon as it is back."""
    reached, go = threading.Event(), threading.Event()

    def ours():
        reached.set()
        go.wait(LIMIT_S)
        return "whole"

    results = []

    def application():
        results.append(outside(PROOF, ours))
        loop()

    thread, result = run(lambda: call(PROOF, application))
    reached.wait(LIMIT_S)
    assert not interrupt(PROOF)
    go.set()
    until(lambda: interrupt(PROOF))
    thread.join(LIMIT_S)
    assert results == ["whole"]
    assert isinstance(result[0], RequestInterruptedError)


def test_a_thread_of_the_application_leaves_the_mark_alone():
    """What it calls of ours may end after the request has: no mark may be left by it then, nor
    may it take the interruption that is meant for the request's thread."""
    go, is_back = threading.Event(), threading.Event()

    def application():
        def helper():
            outside(PROOF, go.wait, LIMIT_S)
            is_back.set()

        threading.Thread(target=helper).start()
        return PROOF in inside

    assert call(PROOF, application)
    go.set()
    assert is_back.wait(LIMIT_S)
    assert PROOF not in inside

    def interrupted():
        until(lambda: PROOF not in inside)
        helper, told = run(lambda: outside(PROOF, lambda: "well"))
        helper.join(LIMIT_S)
        seen.extend(told)
        loop()

    seen = []
    thread, result = run(lambda: call(PROOF, interrupted))
    until(lambda: PROOF in inside)
    with pytest.MonkeyPatch.context() as patch:
        # Marked as interrupted, and nothing injected yet: the moment between the two.
        patch.setattr(application_calls, "inject", lambda *_: None)
        assert interrupt(PROOF)
    until(lambda: seen)
    assert seen == ["well"]
    application_calls.inject(thread.ident, RequestInterruptedError)
    thread.join(LIMIT_S)
    assert isinstance(result[0], RequestInterruptedError)


def test_ours_called_by_nobody_marked_is_just_called():
    """The pipeline calls the same functions outside of any application."""
    assert outside(PROOF, lambda: 3) == 3


def test_items_are_asked_for_in_marked_calls():
    """An iterable is in reach while it makes an item, not while the item is sent."""

    def blocks():
        assert PROOF in inside
        yield 1
        assert PROOF in inside
        yield 2

    seen = []
    for block in iterate(PROOF, blocks()):
        assert PROOF not in inside
        seen.append(block)
    assert seen == [1, 2]


def test_an_interruption_never_hits_what_comes_after_the_call():
    """However late it comes: it ends its own call, or none. Never what the thread does next."""
    stop = threading.Event()
    hits = {"call": 0, "later": 0}
    proofs = [number << 11 | 1 << 3 for number in range(1, 3000)]
    current = [0]

    def requests():
        for proof in proofs:
            current[0] = proof
            try:
                call(proof, loop, 0.0002)
            except RequestInterruptedError:
                hits["call"] += 1
            forget(proof)  # as at the end of each request: it may have been raised in `settle`
            try:
                for _ in range(50):
                    pass
            except RequestInterruptedError:
                hits["later"] += 1
        stop.set()

    thread, result = run(requests)
    count = 0
    while not stop.is_set():
        count += interrupt(current[0])
        time.sleep(0.0001)
    thread.join(LIMIT_S)
    assert result == [None]
    assert hits["later"] == 0
    assert hits["call"] == count > 0
