"""A program's queue while its listener is replaced: what it says meanwhile holds for the next."""

import threading
from functools import partial
from types import SimpleNamespace

import pytest
from harness.server import LIMIT_S, wait_for

from was.httpapi import ERROR_OPERATION_ABORTED, HttpApiError, RequestQueue
from was.httpapi import queue as queue_module
from was.httpapi.attachment import Attachment
from was.ipc.program_messages import AddUrl, RemoveUrl, SetQueue

URL = "http://+:80/shop/"


class Listeners:
    """Each link leads to the next one, and all that is said there is kept."""

    def __init__(self, monkeypatch):
        self.links = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        monkeypatch.setattr(queue_module, "find_door", lambda home: None)
        monkeypatch.setattr(queue_module, "Link", partial(Link, self))
        monkeypatch.setattr(queue_module, "open_queue", open_queue)


class Link:
    def __init__(self, listeners, door, *, on_batch, on_moved, on_end):
        self.said = []
        self.is_closed = False
        self.epoch = len(listeners.links) + 1
        self.on_end = on_end
        self._listeners = listeners
        listeners.links.append(self)

    def call(self, make):
        self.said.append(make(0))
        assert self._listeners.may_answer.wait(LIMIT_S)
        if self.is_closed:
            raise HttpApiError(ERROR_OPERATION_ABORTED, "the listener has gone")

    def die(self):
        self.is_closed = True
        self.on_end()

    def close(self):
        self.is_closed = True


def open_queue(link, name, *, open_existing, share):
    return Attachment(link, SimpleNamespace(close=lambda: None))


@pytest.fixture
def listeners(monkeypatch):
    return Listeners(monkeypatch)


@pytest.fixture
def queue(listeners):
    with RequestQueue() as queue:
        queue.add_url(URL)
        yield queue
        listeners.may_answer.set()


CHANGES = [
    (lambda queue: queue.remove_url(URL), RemoveUrl(0, URL)),
    (lambda queue: queue.set_property(queue_length=5), SetQueue(0, queue_length=5)),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_change_while_the_next_listener_is_told_reaches_it(listeners, queue, change, message):
    """It has heard of the URLs already, and is not among those there are."""
    listeners.may_answer.clear()
    listeners.links[0].die()
    wait_for("the next one", lambda: len(listeners.links) == 2 and listeners.links[1].said)
    assert listeners.links[1].said == [AddUrl(0, URL)]
    caller = threading.Thread(target=change, args=(queue,))
    caller.start()
    listeners.may_answer.set()
    caller.join(LIMIT_S)
    assert listeners.links[1].said == [AddUrl(0, URL), message]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_change_that_the_dying_listener_did_not_answer_holds_for_the_next(
    listeners, queue, change, message
):
    """It is no error, and the next one has it from the beginning."""
    first = listeners.links[0]
    listeners.may_answer.clear()
    caller = threading.Thread(target=change, args=(queue,))
    caller.start()
    wait_for("the change", lambda: first.said[-1] == message)
    first.die()
    listeners.may_answer.set()
    caller.join(LIMIT_S)
    wait_for("the next one", lambda: len(queue._attachments) == 1)
    wanted = [] if isinstance(message, RemoveUrl) else [AddUrl(0, URL), message]
    assert listeners.links[1].said == wanted
