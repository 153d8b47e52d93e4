"""Threads beside the request threads: as many as there is work, and used again."""

import threading

import pytest

from was.worker.threads.spare_threads import SpareThreads

LIMIT_S = 15.0


def test_work_that_blocks_holds_up_no_other():
    """Each piece has a thread: all of them meet."""
    threads = SpareThreads(0.01)
    meeting = threading.Barrier(21)
    for _ in range(20):
        threads.run(lambda: meeting.wait(LIMIT_S))
    meeting.wait(LIMIT_S)


def test_a_thread_that_has_finished_does_the_next():
    """One after the other: one thread."""
    threads = SpareThreads(20 * LIMIT_S)
    seen: set[int] = set()
    for _ in range(50):
        done = threading.Event()

        def work(done=done):
            seen.add(threading.get_ident())
            done.set()

        threads.run(work)
        assert done.wait(LIMIT_S)
        wait_until_idle(threads)
    assert len(seen) == 1


def test_an_exception_ends_no_thread(capfd):
    """It is logged; the next piece is done."""
    threads = SpareThreads()
    threads.run(lambda: 1 // 0)
    wait_until_idle(threads)
    done = threading.Event()
    threads.run(done.set)
    assert done.wait(LIMIT_S)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_idle_threads_end():
    """After a while without work."""
    threads = SpareThreads(0.001)
    mine: list[threading.Thread] = []
    done = threading.Event()

    def work():
        mine.append(threading.current_thread())
        done.set()

    threads.run(work)
    assert done.wait(LIMIT_S)
    mine[0].join(LIMIT_S)
    assert not mine[0].is_alive()


def test_no_work_is_lost_where_threads_end_all_the_time():
    """Whatever meets: a thread that gives up, and work that comes."""
    threads = SpareThreads(0.0)
    count = threading.Semaphore(0)
    for _ in range(2000):
        threads.run(count.release)
    assert all(count.acquire(timeout=LIMIT_S) for _ in range(2000))


def wait_until_idle(threads: SpareThreads) -> None:
    ended = threading.Event()
    while True:
        with threads._changed:  # or who is just going to take the work counts as idle
            if threads._idle:
                return
        ended.wait(0.001)


def test_where_there_is_no_further_thread_work_waits_or_is_refused(monkeypatch):
    """It is done by a thread that is there; without one the caller is told, and nothing is done."""
    threads = SpareThreads(0.01)
    done: list[int] = []
    go, began, finished = (threading.Event() for _ in range(3))

    def first() -> None:
        began.set()
        go.wait(LIMIT_S)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            threads.run(lambda: done.append(1))
    threads.run(first)
    assert began.wait(LIMIT_S)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        threads.run(lambda: (done.append(2), finished.set()))
    go.set()
    assert finished.wait(LIMIT_S)
    assert done == [2]
