"""SlowAnswers: found once, remembered for a while, bounded, and nobody is forgotten."""

import queue
import threading

import pytest

from was.worker.security import slow_answers
from was.worker.security.slow_answers import SlowAnswers

LIMIT_S = 20.0


def make(**parts):
    given = {"lifetime_s": 10.0, "most": 4, "threads": 2, "most_waiting": 8, **parts}
    return SlowAnswers(**given)


def found(answers, key, work):
    told = queue.SimpleQueue()
    assert answers.ask(key, work, told.put)
    return told.get(timeout=LIMIT_S)


def test_an_answer_is_remembered_until_it_is_too_old():
    """Then it is found anew."""
    now = [0.0]
    answers = make(now=lambda: now[0])
    assert answers.known("a") is None
    assert found(answers, "a", lambda: 1) == 1
    assert answers.known("a") == 1
    now[0] = 10.0
    assert answers.known("a") is None


def test_one_finds_it_for_all_who_wait():
    """Everybody who asks meanwhile is told by the same work; each once."""
    answers, gate, works = make(), threading.Event(), []
    told = queue.SimpleQueue()

    def work():
        works.append(gate.wait(LIMIT_S))
        return 7

    for _ in range(5):
        assert answers.ask("a", work, told.put)
    gate.set()
    assert [told.get(timeout=LIMIT_S) for _ in range(5)] == [7] * 5
    assert len(works) == 1
    assert told.empty()


def test_bounds():
    """So many may wait, so many threads work, so much is remembered."""
    answers, gate = make(most_waiting=5), threading.Event()
    running, most, told = [], [], queue.SimpleQueue()

    def work():
        running.append(1)
        most.append(len(running))
        gate.wait(LIMIT_S)
        running.pop()
        return 1

    assert [answers.ask(n, work, told.put) for n in range(7)] == [True] * 5 + [False] * 2
    gate.set()
    for _ in range(5):
        told.get(timeout=LIMIT_S)
    assert max(most) <= 2
    assert sum(answers.known(n) is not None for n in range(5)) == 4
    assert answers.ask(9, lambda: 1, told.put)


def test_what_is_not_to_be_kept():
    """`keeps` chooses."""
    answers = make(keeps=bool)
    assert found(answers, "a", lambda: False) is False
    assert answers.known("a") is None
    assert found(answers, "b", lambda: True) is True
    assert answers.known("b") is True


def test_work_that_raises(capfd):
    """Who waits is told None, and the next is answered; a `done` that raises harms nobody."""
    answers = make()
    assert found(answers, "a", lambda: 1 // 0) is None
    told = queue.SimpleQueue()
    gate = threading.Event()
    assert answers.ask("b", lambda: gate.wait(LIMIT_S), lambda _: 1 // 0)
    assert answers.ask("b", lambda: True, told.put)
    gate.set()
    assert told.get(timeout=LIMIT_S) is True
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_no_thread_to_be_had(monkeypatch):
    """A pool may have as many tasks as it may: then the answer is no, and nothing stays behind."""
    answers = make()

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(slow_answers.threading.Thread, "start", refuse)
        assert not answers.ask("a", lambda: 1, lambda _: None)
    assert found(answers, "a", lambda: 1) == 1


@pytest.mark.parametrize("rounds", [30])
def test_threads_end_and_come_again(monkeypatch, rounds):
    """A thread without work ends; whatever the moment, the next question is answered."""
    monkeypatch.setattr(slow_answers, "_IDLE_S", 0.0)
    answers = make(most=1)
    assert [found(answers, n, lambda n=n: n) for n in range(1, rounds)] == [*range(1, rounds)]
