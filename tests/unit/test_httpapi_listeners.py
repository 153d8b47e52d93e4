"""A program's queue while its listener is replaced: what it says meanwhile holds for the next."""

import threading
from functools import partial
from types import SimpleNamespace

import pytest
from harness.server import LIMIT_S, wait_for

from was.httpapi import (
    ERROR_ACCESS_DENIED,
    ERROR_OPERATION_ABORTED,
    HttpApiError,
    RequestQueue,
    ServerSession,
)
from was.httpapi import listeners as listeners_module
from was.httpapi.attachment import Attachment
from was.ipc.program_messages import AddUrl, RemoveUrl, SetQueue

URL = "http://+:80/shop/"
OTHER_URL = "http://+:80/blog/"


class Listeners:
    """Each link leads to the next one, and all that is said there is kept."""

    def __init__(self, monkeypatch):
        self.links = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.refuses = set()
        monkeypatch.setattr(listeners_module, "ASK_AGAIN_S", 0.01)
        monkeypatch.setattr(listeners_module, "find_door", lambda home: None)
        monkeypatch.setattr(listeners_module, "Link", partial(Link, self))
        monkeypatch.setattr(listeners_module, "open_queue", open_queue)


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
        if isinstance(self.said[-1], AddUrl) and self.said[-1].url in self._listeners.refuses:
            raise HttpApiError(ERROR_ACCESS_DENIED, "it is reserved for others")

    def die(self):
        self.is_closed = True
        self.on_end()

    def close(self):
        self.is_closed = True


def open_queue(link, name, *, open_existing, share):
    return Attachment(link, SimpleNamespace(close=lambda: None))


def is_open(queue):
    return len(queue._listeners.attachments) == 1


def refused_by_the_last(queue):
    return next(iter(queue._listeners.attachments.values())).refused


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
    wait_for("the next one", lambda: is_open(queue))
    wanted = [] if isinstance(message, RemoveUrl) else [AddUrl(0, URL), message]
    assert listeners.links[1].said == wanted


def next_of(listeners, queue):
    """The listener dies; the one that follows, when the queue is open there."""
    listeners.links[-1].die()
    wait_for("the next one", lambda: is_open(queue))
    return listeners.links[-1]


def test_a_url_removed_in_another_spelling_stays_removed(listeners, queue):
    """Letter case and forms of addresses make no other URL: the next listener hears of none."""
    queue.add_url("http://[::1]:80/blog/")
    queue.remove_url("http://+:80/SHOP/")
    queue.remove_url("http://[0:0:0:0:0:0:0:1]:80/Blog/")
    assert next_of(listeners, queue).said == []


def test_a_group_gives_back_what_it_has_however_it_is_spelled(listeners, queue):
    """What was removed in another spelling does not keep the rest from being given back."""
    session = ServerSession()
    with session:
        group = session.create_url_group()
        group.bind(queue)
        group.add_url("http://+:80/a/")
        group.add_url("http://+:80/b/")
        group.remove_url("http://+:80/A/")
        before = len(listeners.links[0].said)
    assert listeners.links[0].said[before:] == [RemoveUrl(0, "http://+:80/b/")]


def test_what_the_next_listener_refuses_keeps_nothing_else_away(listeners, queue, caplog):
    """The queue is back with its other URLs and says which one is not; that is asked for again."""
    queue.add_url(OTHER_URL)
    queue.set_property(queue_length=5)
    listeners.refuses = {URL}
    link = next_of(listeners, queue)
    assert link.said[:3] == [AddUrl(0, URL), AddUrl(0, OTHER_URL), SetQueue(0, queue_length=5)]
    assert [URL in record.getMessage() for record in caplog.records] == [True]
    listeners.refuses = set()
    wait_for("nothing refused", lambda: not refused_by_the_last(queue))
    assert link.said[-1] == AddUrl(0, URL)


def test_a_url_that_is_refused_can_be_removed(listeners, queue):
    """The listener, which has not got it, is not asked; nor does any hear of it any more."""
    listeners.refuses = {URL}
    link = next_of(listeners, queue)
    queue.remove_url(URL)
    assert RemoveUrl(0, URL) not in link.said
    assert not refused_by_the_last(queue)
    assert next_of(listeners, queue).said == []
