"""One request of a program, of which several threads have hold when it is cancelled."""

import os
import threading

import pytest

from was.httpapi import (
    ERROR_INVALID_PARAMETER,
    ERROR_OPERATION_ABORTED,
    HttpApiError,
    HttpResponse,
)
from was.httpapi.attachment import Attachment
from was.httpapi.exchanges import Exchange
from was.ipc.messages import CHUNK_BYTES, RESPONSE_WINDOW_BYTES, AbortResponse, BodyPull, Request
from was.ipc.scoreboard import ScoreboardWriter, make_scoreboard

REQUEST = Request(
    id=7,
    attempt=1,
    slot=0,
    connection_id=3,
    site_id=0,
    application="0 http://+:80/",
    method="POST",
    target="/",
    path="/",
    query="",
    version=11,
    fields=[],
    remote_addr="127.0.0.1",
    remote_port=1,
    local_addr="127.0.0.1",
    local_port=80,
    secure=False,
    body=b"",
    body_length=100,
    pull=True,
)


class Link:
    """Keeps what is said; `on_answer` sees it in the middle of the call that says it."""

    def __init__(self):
        self.said = []
        self.on_answer = lambda item: None

    def answer(self, items, descriptors=()):
        self.said += items
        for item in items:
            self.on_answer(item)


@pytest.fixture
def link():
    return Link()


@pytest.fixture
def exchange(link):
    board = make_scoreboard(1)
    writer = ScoreboardWriter(board)
    os.close(board)
    yield Exchange(Attachment(link, writer), REQUEST)
    writer.close()


def error_of(act, *given, **named):
    with pytest.raises(HttpApiError) as raised:
        act(*given, **named)
    return raised.value.error


def cancelled_by_another_thread(exchange, link, is_it):
    """Another thread cancels once `is_it` is said: it gets its turn when the call waits."""
    threads = []

    def on_answer(item):
        if is_it(item) and not threads:
            threads.append(threading.Thread(target=exchange.abort))
            threads[0].start()

    link.on_answer = on_answer
    return threads


def test_who_waits_for_a_body_is_woken(exchange, link):
    """A read under way fails with ERROR_OPERATION_ABORTED."""
    threads = cancelled_by_another_thread(exchange, link, lambda item: isinstance(item, BodyPull))
    assert error_of(exchange.read, 10) == ERROR_OPERATION_ABORTED
    threads[0].join()
    assert isinstance(link.said[-1], AbortResponse)


def test_who_waits_for_a_slow_client_is_woken(exchange, link):
    """A send under way fails with ERROR_OPERATION_ABORTED, and says nothing after the END."""
    exchange.respond(HttpResponse(), more=True, disconnect=False)
    count = RESPONSE_WINDOW_BYTES // CHUNK_BYTES
    threads = cancelled_by_another_thread(
        exchange, link, lambda _: len(link.said) > count or exchange.has_ended
    )
    block = bytes(2 * RESPONSE_WINDOW_BYTES)
    assert error_of(exchange.write, [block], more=True) == ERROR_OPERATION_ABORTED
    threads[0].join()
    assert isinstance(link.said[-1], AbortResponse)


def test_who_comes_too_late_is_told_the_same(exchange):
    """A thread that is about to read or send has made no mistake: another one was quicker."""
    exchange.respond(HttpResponse(), more=True, disconnect=False)
    exchange.abort()
    assert error_of(exchange.read, 10) == ERROR_OPERATION_ABORTED
    assert error_of(exchange.write, [b"x"], more=True) == ERROR_OPERATION_ABORTED
    assert error_of(exchange.write, [], more=False) == ERROR_OPERATION_ABORTED


def test_a_response_that_was_to_begin_is_too_late(exchange):
    """Cancelled before it had one: aborted."""
    exchange.abort()
    assert (
        error_of(exchange.respond, HttpResponse(), more=True, disconnect=False)
        == ERROR_OPERATION_ABORTED
    )


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(headers=[("X", 70_000 * "x")]),
        HttpResponse(headers=700 * [("X", 100 * "x")]),
        HttpResponse(reason=70_000 * "x"),
    ],
)
def test_more_than_a_message_can_carry_is_a_mistake(exchange, link, response):
    """The listener ends the connection of whoever sends it. Another answer may follow."""
    assert (
        error_of(exchange.respond, response, more=False, disconnect=False)
        == ERROR_INVALID_PARAMETER
    )
    assert not link.said
    exchange.respond(HttpResponse(), more=False, disconnect=False)
    assert len(link.said) == 1


def test_a_second_response_is_a_mistake(exchange):
    """Each request has one."""
    exchange.respond(HttpResponse(), more=False, disconnect=False)
    assert (
        error_of(exchange.respond, HttpResponse(), more=False, disconnect=False)
        == ERROR_INVALID_PARAMETER
    )
