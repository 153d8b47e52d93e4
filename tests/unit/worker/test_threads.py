"""Leader and followers: who receives, who runs, and that nobody is left waiting."""

import os
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial

import pytest

from was.worker.threads import guest_leader, request_threads
from was.worker.threads.request_threads import RequestThreads

WAIT_S = 30.0


class Job:
    """Stands for an exchange: what it does when it is run, and that it was."""

    def __init__(self, work=None):
        self.work = work
        self.is_done = threading.Event()
        self.ran_in = None

    def run(self):
        self.ran_in = threading.current_thread()
        if self.work is not None:
            self.work()
        self.is_done.set()


class FakeClient:
    """A queue client without channels: jobs are pushed in, posts are counted when flushed.

    It asserts the one rule that protects the channels: never two threads in them at once.
    """

    def __init__(self):
        self.inbox = deque()
        self.incoming = deque()
        self.posts = deque()
        self.flushed = []
        self._inside = threading.Lock()
        self.faults = []

    def _enter(self):
        if not self._inside.acquire(blocking=False):
            self.faults.append("two threads in the channels")
            return False
        return True

    def flush(self):
        if self._enter():
            while self.posts:
                self.flushed.append(self.posts.popleft())
            self._inside.release()
        return True

    def receive(self):
        received = False
        if self._enter():
            while self.incoming:
                self.inbox.append(self.incoming.popleft())
                received = True
            self._inside.release()
        return received

    def has_posts(self):
        return bool(self.posts)

    def is_owed_a_turn(self):
        return bool(self.posts or self.incoming)


@pytest.fixture
def pool():
    made = []

    def make(limit):
        client = FakeClient()

        def run(job):
            job.run()
            client.posts.append(job)
            threads.posted()

        threads = RequestThreads(client, run, limit, name="test")
        threads.start()
        made.append(threads)

        def push(*jobs):
            client.incoming.extend(jobs)
            threads.call(lambda: None)

        return client, threads, push

    yield make
    for threads in made:
        threads.stop()
        assert threads.join_leader(WAIT_S)
        for thread in threading.enumerate():
            if thread.name.startswith("test-"):  # it may have done its job, and not posted it yet
                thread.join(WAIT_S)
        threads.close()


@pytest.fixture
def quick_enough(monkeypatch):
    """Whatever does not wait for something is fast, however busy the machine is."""
    for name in ("HAND_OVER_S", "GUEST_HAND_OVER_S", "USUALLY_SLOW_S", "USUALLY_FAST_S"):
        monkeypatch.setattr(request_threads, name, 2 * WAIT_S)
    monkeypatch.setattr(guest_leader, "GUEST_HAND_OVER_S", 2 * WAIT_S)


@pytest.mark.usefixtures("quick_enough")
def test_fast_requests_run_in_the_leader(pool):
    """A fast handler pays for no hand-over: all run in one thread."""
    client, _, push = pool(8)
    jobs = [Job() for _ in range(50)]
    push(*jobs)
    for job in jobs:
        assert job.is_done.wait(WAIT_S)
    assert len({job.ran_in for job in jobs}) == 1
    assert client.faults == []


def test_a_slow_request_does_not_hold_up_the_next(pool):
    """While one handler waits, another request is received and run."""
    client, _, push = pool(8)
    gate = threading.Event()
    slow = Job(lambda: gate.wait(WAIT_S))
    fast = Job()
    push(slow, fast)
    assert fast.is_done.wait(WAIT_S)
    assert not slow.is_done.is_set()
    gate.set()
    assert slow.is_done.wait(WAIT_S)
    assert client.faults == []


def test_the_answer_of_a_lone_slow_request_is_sent_at_once(pool):
    """A handler slower than the hand-over limit is answered though nothing else comes in."""
    client, _, push = pool(4)
    gate = threading.Event()
    slow = Job(lambda: gate.wait(0.05))
    push(slow)
    assert slow.is_done.wait(WAIT_S)
    for _ in range(6000):
        if slow in client.flushed:
            break
        gate.wait(0.01)
    assert slow in client.flushed


def test_as_many_slow_requests_run_at_once_as_there_are_slots(pool):
    """threads - 1 handlers can wait at the same time, and the last thread still leads."""
    client, threads, push = pool(6)
    gate = threading.Event()
    barrier = threading.Barrier(6)

    def work():
        barrier.wait(WAIT_S)
        gate.wait(WAIT_S)

    jobs = [Job(work) for _ in range(5)]
    push(*jobs)
    barrier.wait(WAIT_S)  # all five are inside
    led = threading.Event()
    threads.call(led.set)
    assert led.wait(WAIT_S)
    gate.set()
    for job in jobs:
        assert job.is_done.wait(WAIT_S)
    assert client.faults == []


def test_a_waiting_leader_gives_the_lead_up(pool):
    """A handler that needs what only the leader receives gets it, alone as it is."""
    client, threads, push = pool(4)
    arrived = threading.Event()

    def work():
        threads.give_up_lead()
        threads.call(arrived.set)
        assert arrived.wait(WAIT_S)

    job = Job(work)
    push(job)
    assert job.is_done.wait(WAIT_S)
    assert client.faults == []


def test_without_further_threads_the_one_there_is_goes_on(pool, monkeypatch):
    """Where the system gives no thread nothing is lost: it serves, and takes what comes later.

    A handler that would wait for what only the leader receives is told so; it would wait for ever.
    """
    client, threads, push = pool(4)
    start, refused = threading.Thread.start, threading.Semaphore(0)

    def refuse(thread):
        if thread.name.startswith("test-"):
            refused.release()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)

    def work():
        for _ in range(3):  # by the monitor, which looks again and again
            assert refused.acquire(timeout=WAIT_S)
        with pytest.raises(RuntimeError):
            threads.give_up_lead()

    slow, after = Job(work), Job()
    push(slow, after)
    assert slow.is_done.wait(WAIT_S)
    assert after.is_done.wait(WAIT_S)
    assert slow.ran_in is after.ran_in

    monkeypatch.setattr(threading.Thread, "start", start)
    gate = threading.Event()
    held, beside = Job(lambda: gate.wait(WAIT_S)), Job()
    push(held, beside)
    assert beside.is_done.wait(WAIT_S)
    gate.set()
    assert held.is_done.wait(WAIT_S)
    assert client.faults == []


def test_many_mixed_requests_each_run_once(pool):
    """Fast and slow ones in any mixture: each runs exactly once, each answer is sent."""
    client, _, push = pool(8)
    pause = threading.Event()
    jobs = [Job((lambda: pause.wait(0.004)) if index % 7 == 0 else None) for index in range(400)]
    for start in range(0, 400, 5):
        push(*jobs[start : start + 5])
    for job in jobs:
        assert job.is_done.wait(WAIT_S)
    for _ in range(6000):
        if len(client.flushed) == 400:
            break
        pause.wait(0.01)
    assert sorted(map(id, client.flushed)) == sorted(map(id, jobs))
    assert client.faults == []


@pytest.mark.usefixtures("quick_enough")
def test_one_that_posts_often_does_not_hold_the_lead(pool):
    """Sending a part makes a handler no younger: the monitor counts from its beginning."""
    client, threads, push = pool(4)
    looks = []

    def stream():
        for _ in range(100):
            client.posts.append("block")
            before = threads._since
            threads.posted_partial()
            looks.append(threads._since == before)

    job = Job(stream)
    push(job)
    assert job.is_done.wait(WAIT_S)
    assert all(looks)
    assert client.faults == []


def test_what_others_ask_of_the_leader_is_done_once_and_in_order(pool):
    """However many threads ask at once, no call is lost."""
    _, threads, _ = pool(2)
    done = []
    is_last = threading.Event()

    def ask(asker):
        for number in range(200):
            threads.call(partial(done.append, (asker, number)))

    askers = [threading.Thread(target=ask, args=(asker,)) for asker in range(4)]
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join()
    threads.call(is_last.set)
    assert is_last.wait(WAIT_S)
    assert len(done) == 800


@pytest.mark.usefixtures("quick_enough")
def test_descriptors_are_looked_after_by_the_leader(pool):
    """A sleeping leader calls back for what can be read, and no more once it is forgotten."""
    _, threads, push = pool(4)
    job = Job()
    push(job)
    assert job.is_done.wait(WAIT_S)
    calls = deque()
    come = threading.Event()
    reader, writer = socket.socketpair()
    with reader, writer:

        def read():
            calls.append((threading.current_thread(), reader.recv(10)))
            come.set()

        threads.watch.add(reader.fileno(), read)
        writer.send(b"a")
        assert come.wait(WAIT_S)
        assert calls.popleft() == (job.ran_in, b"a")
        threads.watch.forget(reader.fileno())
        writer.send(b"b")
        last = threading.Event()
        threads.watch.call_soon(last.set)
        assert last.wait(WAIT_S)
        assert not calls


def test_a_call_comes_at_its_time(pool):
    """The earliest first, whatever their order, though the leader was asleep for longer."""
    _, threads, _ = pool(4)
    order = deque()
    done = threading.Event()
    now = time.monotonic()
    threads.watch.call_at(now + 0.05, done.set)
    threads.watch.call_at(now + 0.02, partial(order.append, "second"))
    threads.watch.call_at(now + 0.01, partial(order.append, "first"))
    threads.watch.call_at(now + 60, partial(order.append, "never"))
    assert done.wait(WAIT_S)
    assert list(order) == ["first", "second"]


def test_a_call_that_raises_does_not_end_the_leader(pool):
    """It is logged, and the next one is made."""
    client, threads, push = pool(4)
    threads.watch.call_soon(lambda: 1 // 0)
    job = Job()
    push(job)
    assert job.is_done.wait(WAIT_S)
    assert client.faults == []


def test_what_returns_to_a_thread_holds_up_nobody(pool):
    """Its work may block as a request's may: others run, and the callbacks are still made."""
    client, threads, push = pool(4)
    gate = threading.Event()
    slow, fast = Job(lambda: gate.wait(WAIT_S)), Job()
    threads.watch.go_on(slow.run)
    called = threading.Event()
    threads.watch.call_soon(called.set)
    push(fast)
    assert fast.is_done.wait(WAIT_S)
    assert called.wait(WAIT_S)
    assert not slow.is_done.is_set()
    gate.set()
    assert slow.is_done.wait(WAIT_S)
    assert client.faults == []


# ── an event loop that leads ────────────────────────────────────────────────────────────────────


class FakeLoop:
    """A guest: a thread that does one thing after the other, and turns when there is news."""

    def __init__(self):
        self.calls = deque()
        self.threads = None
        self.leads = threading.Event()
        self.is_stopped = False
        self._fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()

    def stop(self):
        def leave():
            self.is_stopped = True
            self.threads.farewell()

        self.submit(leave)
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()
        os.close(self._fd)

    def submit(self, call):
        self.calls.append(call)
        os.eventfd_write(self._fd, 1)

    def enter(self, threads):
        self.threads = threads
        self.begin()

    @property
    def is_here(self):
        return threading.current_thread() is self.thread

    def begin(self):
        self.submit(self._turn)

    schedule = begin

    def forget_channels(self):
        pass

    def take_news(self):
        pass

    def runs(self, job):
        if job.is_for_loop:
            job.run()
            self.threads._client.posts.append(job)
            self.threads.posted()
        return job.is_for_loop

    def _turn(self):
        again_s = self.threads.guest_turn()
        if again_s is None:
            self.leads.clear()
            if not self.is_stopped:
                self.threads.ask_for_lead()
            return
        self.leads.set()
        if again_s == 0:
            self.begin()

    def _main(self):
        while not self.is_stopped:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            if self.leads.is_set():
                poll.register(self.threads.poller.fds[0], select.POLLIN)
            for fd, _ in poll.poll():
                with suppress(BlockingIOError):  # deposed meanwhile: another leader has read it
                    os.eventfd_read(fd)
                if fd != self._fd:
                    self._turn()
            while self.calls:
                self.calls.popleft()()


@pytest.fixture
def led_by_loop(pool):
    client, threads, push = pool(4)
    loop = FakeLoop()
    threads.welcome(loop)
    assert loop.leads.wait(WAIT_S)
    yield client, loop, push
    loop.stop()


def loop_job(work=None, *, is_for_loop=True):
    job = Job(work)
    job.is_for_loop = is_for_loop
    return job


@pytest.mark.usefixtures("quick_enough")
def test_a_loop_that_leads_runs_what_is_for_it(led_by_loop):
    """Received, run and sent by the loop's thread; nobody else is in the channels."""
    client, loop, push = led_by_loop
    jobs = [loop_job() for _ in range(50)]
    push(*jobs)
    for job in jobs:
        assert job.is_done.wait(WAIT_S)
    assert {job.ran_in for job in jobs} == {loop.thread}
    wait_until_flushed(client, jobs)
    assert client.faults == []


@pytest.mark.usefixtures("quick_enough")
def test_what_is_not_for_the_loop_runs_in_threads(led_by_loop):
    """It waits for nothing but a thread, and the loop goes on meanwhile."""
    client, loop, push = led_by_loop
    gate = threading.Event()
    slow = [loop_job(lambda: gate.wait(WAIT_S), is_for_loop=False) for _ in range(8)]
    quick = loop_job()
    push(*slow, quick)
    assert quick.is_done.wait(WAIT_S)
    assert quick.ran_in is loop.thread
    gate.set()
    for job in slow:
        assert job.is_done.wait(WAIT_S)
    assert loop.thread not in {job.ran_in for job in slow}
    wait_until_flushed(client, [*slow, quick])
    assert client.faults == []


def test_a_blocked_loop_loses_the_lead_and_gets_it_back(led_by_loop):
    """Whether a request blocks it or some task: others are received, run and answered meanwhile."""
    client, loop, push = led_by_loop
    for block in (lambda work: push(loop_job(work)), loop.submit):
        gate, is_blocked = threading.Event(), threading.Event()

        def hold(gate=gate, is_blocked=is_blocked):
            is_blocked.set()
            gate.wait(WAIT_S)

        block(hold)
        assert is_blocked.wait(WAIT_S)
        other = loop_job(is_for_loop=False)
        push(other)
        assert other.is_done.wait(WAIT_S)
        wait_until_flushed(client, [other])
        gate.set()
        assert loop.leads.wait(WAIT_S)
        again = loop_job()
        push(again)
        assert again.is_done.wait(WAIT_S)
    assert client.faults == []


def test_a_loop_that_gets_the_lead_and_does_not_take_it_loses_it(led_by_loop):
    """It has asked for it, and then blocks: what came just before it was lent is not held up."""
    client, loop, push = led_by_loop
    threads = loop.threads
    first, second, is_blocked = (threading.Event() for _ in range(3))

    def hold():
        is_blocked.set()
        first.wait(WAIT_S)

    loop.submit(hold)
    assert is_blocked.wait(WAIT_S)
    push(early := loop_job(is_for_loop=False))
    assert early.is_done.wait(WAIT_S)
    late = loop_job(is_for_loop=False)
    wait_until(lambda: loop.calls)  # the turn in which it asks

    def come():  # on the leading thread, whose next step is to lend the lead
        first.set()
        while not threads._is_lead_wanted:
            time.sleep(0.001)
        client.incoming.append(late)
        threads.poller.wait(0)  # one that has slept until now has heard of both at once

    loop.submit(lambda: second.wait(2 * WAIT_S))  # after it has asked
    threads.call(come)
    assert late.is_done.wait(WAIT_S)
    assert not second.is_set()
    second.set()
    assert loop.leads.wait(WAIT_S)
    assert client.faults == []


def test_a_loop_that_ends_is_lent_nothing(pool):
    """It has asked for the lead before: a thread keeps it, and does not touch what is closed."""
    client, threads, push = pool(4)
    loop = FakeLoop()
    threads.welcome(loop)
    assert loop.leads.wait(WAIT_S)
    gate = threading.Event()
    loop.submit(lambda: gate.wait(WAIT_S))
    push(other := loop_job(is_for_loop=False))
    assert other.is_done.wait(WAIT_S)

    def end_loop():  # on the leading thread, whose next step would be to lend the lead
        gate.set()
        while not threads._is_lead_wanted:
            time.sleep(0.001)
        loop.stop()

    threads.call(end_loop)
    push(last := loop_job())
    assert last.is_done.wait(WAIT_S)
    wait_until_flushed(client, [last])
    assert client.faults == []


def test_what_a_loop_posts_leaves_though_it_goes_on(led_by_loop):
    """A step that posts and then blocks holds nothing back."""
    client, loop, _ = led_by_loop
    gate = threading.Event()
    job = loop_job()

    def post_and_block():
        client.posts.append(job)
        loop.threads.posted()
        gate.wait(6 * WAIT_S)

    loop.submit(post_and_block)
    wait_until_flushed(client, [job])
    gate.set()


def wait_until_flushed(client, jobs):
    wait_until(lambda: all(job in client.flushed for job in jobs))


def wait_until(condition):
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("it did not come to that")
