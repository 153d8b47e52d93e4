"""Questions to listener and workers: one answer each, that of who was asked or none."""

from types import SimpleNamespace

import pytest

from was.ipc.listener_control import ListenerReport, QueryListener
from was.ipc.worker_control import QueryWorker, WorkerAnswer
from was.manager.queries import WORKER_LIMIT_S, Queries


class Asked:
    """A listener and a worker, a clock, and the answers that have come."""

    def __init__(self):
        self.time = 0.0
        self.sent = []
        self.listener = SimpleNamespace(is_connected=True, send=self.sent.append)
        clock = SimpleNamespace(monotonic=lambda: self.time)
        self.queries = Queries(SimpleNamespace(clock=clock), self.listener)
        self.handle = SimpleNamespace(id=1, peer=SimpleNamespace(send=self.sent.append))
        self.answers = []

    def ask(self):
        self.queries.ask_worker(self.handle, "F", "p", self.answers.append)
        return self.sent[-1].query_id if self.sent else 0


@pytest.fixture
def asked():
    return Asked()


def test_the_answer_comes_once(asked):
    """A second answer, and one from another worker, is dropped."""
    number = asked.ask()
    assert asked.sent == [QueryWorker(number, "F", "p")]
    answer = WorkerAnswer(1, number, 0, b"data")
    asked.queries.worker_answered(2, WorkerAnswer(2, number, 0, b"false"))
    asked.queries.worker_answered(1, answer)
    asked.queries.worker_answered(1, answer)
    assert asked.answers == [answer]
    assert asked.queries.next_deadline() is None


def test_a_worker_that_says_nothing(asked):
    """None after the limit; what comes later is dropped."""
    number = asked.ask()
    assert asked.queries.next_deadline() == WORKER_LIMIT_S
    asked.time = WORKER_LIMIT_S
    asked.queries.tick(asked.time)
    asked.queries.worker_answered(1, WorkerAnswer(1, number, 0, b"late"))
    assert asked.answers == [None]


def test_a_worker_that_goes(asked):
    """None at once for its questions, and for one to a worker that is not connected."""
    asked.ask()
    asked.queries.worker_gone(2)
    assert asked.answers == []
    asked.queries.worker_gone(1)
    assert asked.answers == [None]
    asked.handle.peer = None
    asked.ask()
    assert asked.answers == [None, None]


def test_the_listener_is_asked_in_the_same_way(asked):
    """Its report is the answer, no worker's; a listener that goes or is not there has none."""
    asked.queries.ask_listener(asked.answers.append, with_requests=True)
    (question,) = asked.sent
    assert question == QueryListener(question.query_id, True)
    asked.queries.worker_answered(1, WorkerAnswer(1, question.query_id, 0, b"false"))
    report = ListenerReport(question.query_id, [], [], [], 0, {})
    asked.queries.listener_answered(report)
    asked.queries.listener_answered(report)
    assert asked.answers == [report]
    asked.queries.ask_listener(asked.answers.append)
    asked.queries.listener_gone()
    asked.listener.is_connected = False
    asked.queries.ask_listener(asked.answers.append)
    assert asked.answers == [report, None, None]
