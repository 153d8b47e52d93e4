"""Questions to workers: one answer each, the worker's own or none."""

from types import SimpleNamespace

import pytest

from was.ipc.worker_control import QueryWorker, WorkerAnswer
from was.manager.worker_queries import ANSWER_LIMIT_S, WorkerQueries


class Asked:
    """A worker, a clock, and the answers that have come."""

    def __init__(self):
        self.time = 0.0
        self.sent = []
        clock = SimpleNamespace(monotonic=lambda: self.time)
        self.queries = WorkerQueries(SimpleNamespace(clock=clock))
        self.handle = SimpleNamespace(id=1, peer=SimpleNamespace(send=self.sent.append))
        self.answers = []

    def ask(self):
        self.queries.ask(self.handle, "F", "p", self.answers.append)
        return self.sent[-1].query_id if self.sent else 0


@pytest.fixture
def asked():
    return Asked()


def test_the_answer_comes_once(asked):
    """A second answer, and one from another worker, is dropped."""
    number = asked.ask()
    assert asked.sent == [QueryWorker(number, "F", "p")]
    answer = WorkerAnswer(1, number, 0, b"data")
    asked.queries.answered(2, WorkerAnswer(2, number, 0, b"false"))
    asked.queries.answered(1, answer)
    asked.queries.answered(1, answer)
    assert asked.answers == [answer]
    assert asked.queries.next_deadline() is None


def test_a_worker_that_says_nothing(asked):
    """None after the limit; what comes later is dropped."""
    number = asked.ask()
    assert asked.queries.next_deadline() == ANSWER_LIMIT_S
    asked.time = ANSWER_LIMIT_S
    asked.queries.tick(asked.time)
    asked.queries.answered(1, WorkerAnswer(1, number, 0, b"late"))
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
