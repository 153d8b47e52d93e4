"""Request threads: a leader that receives and sends, followers that run what takes longer.

A fast handler must not pay for a hand-over between threads, a slow one must not hold up the next
request, and a lone slow one must be answered. So:

- One thread leads. Only the leader touches the channels: it sends what was posted, receives without
  blocking, and otherwise waits for the channels and an eventfd. Who leads is a field under a mutex
  that is held for nanoseconds, never across a wait or a call.
- The leader runs handlers inline. A monitor, awake only while requests run, gives the lead to an
  idle thread when one handler has run for HAND_OVER_S. Where requests are usually slow (a moving
  average) the leader hands the lead over before the call.
- A thread that comes back from a handler and finds itself deposed rings the eventfd if the leader
  sleeps, takes the next request if one waits, and else joins the idle ones.
- The last idle thread only leads: there are `threads - 1` slots, so somebody always receives body
  chunks, windows and the order to stop.

Safety of the hand-over: the lead moves only (a) from a leader that marked itself "running", by the
monitor, under the mutex, or (b) by the leader itself. A leader that is not "running" may be inside
a channel call and is never deposed. When it comes back from running it takes the mutex, and either
is still the leader or not. Every channel call therefore happens in the thread that holds the lead,
with a mutex between the calls of two different leaders.

An event loop may lead in place of a thread (see guest_leader.py). It counts as "running"
whenever it is not in a channel call, whether it sleeps or is in some step of a task, and is deposed
by the monitor when it lets something wait for GUEST_HAND_OVER_S. It asks for the lead again when it
goes on; the thread that leads then hands it over between two turns.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from was.ipc.channel import WorkerPoller
from was.log import log_exception
from was.worker.process.last_work import make_thread
from was.worker.threads.descriptor_watch import DescriptorWatch
from was.worker.threads.guest_leader import GUEST_HAND_OVER_S, GuestWatch
from was.worker.threads.monitor import Monitor

if TYPE_CHECKING:
    from was.worker.exchange import Exchange
    from was.worker.queue_client import QueueClient
    from was.worker.threads.guest_leader import Guest

__all__ = ["RequestThreads"]

HAND_OVER_S = 0.002
# Above: the lead is handed over before a call; below: it is not any more. Seconds.
USUALLY_SLOW_S = 0.001
USUALLY_FAST_S = 0.0004

WAIT_MS = 1000
UNSENT_WAIT_MS = 2


class _Thread:
    """One request thread."""

    __slots__ = ("thread", "wake")

    def __init__(self) -> None:
        self.wake = threading.Lock()
        self.wake.acquire()
        self.thread: threading.Thread | None = None


class RequestThreads:
    """`limit` threads that run `run(exchange)`, one of which leads; more only for what returns."""

    def __init__(
        self,
        client: QueueClient,
        run: Callable[[Exchange], None],
        limit: int,
        *,
        name: str,
    ) -> None:
        self._client = client
        self._run = run
        self._limit = max(2, limit)
        self._name = name
        self._mutex = threading.Lock()
        self._idle: list[_Thread] = []
        self._count = 0
        self._leader: _Thread | None = None
        self._current = threading.local()
        # The leader runs a handler since `_since` (perf_counter), and may be deposed.
        self._is_running = False
        self._since = 0.0
        self._is_sleeping = False
        self._usual_s = 0.0
        self._is_usually_slow = False
        self._calls: deque[Callable[[], None]] = deque()
        # Requests that went on without a thread, and need one again.
        self._returning: deque[Callable[[], None]] = deque()
        self._returned: deque[None] = deque()  # one for each of those, until it has been run
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.poller = poller = WorkerPoller(self._wake_fd)
        self.watch = DescriptorWatch(
            lambda fd: self.call(lambda: poller.add_descriptor(fd)),
            self.posted,
            self._go_on,
            self.give_up_lead,
        )
        self._monitor = Monitor(self)
        self._is_stopped = False
        self._guest: Guest | None = None
        self._guest_thread = _Thread()
        self._is_lead_wanted = False  # by the guest
        self._guest_turns = 0
        # A turn of the guest's is to come though no descriptor will say so.
        self._is_turn_owed = False
        self._guest_watch = GuestWatch()

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the first thread, which leads, and the monitor. Raises RuntimeError: no thread."""
        self._monitor.start()
        with self._mutex:
            if not self._promote():
                raise RuntimeError("there is no thread to be had")

    def stop(self) -> None:
        """Let every idle thread end after the present turn; running handlers are left alone."""
        with self._mutex:
            self._is_stopped = True
            idle, self._idle = self._idle, []
        for thread in idle:
            thread.wake.release()
        self._ring()
        self._monitor.stop()

    def join_leader(self, timeout_s: float) -> bool:
        """After stop(): wait until the leading thread has left its loop; whether it has."""
        leader = self._leader
        if leader is None or leader.thread is None:
            return True
        leader.thread.join(timeout_s)
        return not leader.thread.is_alive()

    def close(self) -> None:
        """Give the eventfds back; nobody may post any more."""
        self._monitor.close()
        self.watch.close()
        self.poller.close()
        os.close(self._wake_fd)

    def call(self, function: Callable[[], None]) -> None:
        """Have the leader call `function` between two turns: the way to touch the channels."""
        self._calls.append(function)
        self._ring()

    def _go_on(self, work: Callable[[], None]) -> None:
        self._returned.append(None)
        self._returning.append(partial(self._run_returned, work))
        self.posted()

    def _run_returned(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._returned.pop()

    # ── from threads that post ──────────────────────────────────────────────────────────────────

    def posted(self) -> None:
        """Something was posted: a sleeping leader must send it."""
        if self._is_sleeping:
            # It will look at everything that was posted until it sleeps again: one ring will do.
            self._is_sleeping = False
            guest = self._guest
            if guest is not None and self._leader is self._guest_thread and guest.is_here:
                guest.schedule()
                if not self._monitor.is_awake:
                    self._monitor.wake()  # the step that has posted may go on for long
            else:
                self._ring()

    def posted_partial(self) -> None:
        """Something was posted that should leave now, though its request goes on.

        The leader itself, called from inside a handler, sends it on the spot.
        """
        me: _Thread | None = getattr(self._current, "me", None)
        if me is not None and me is self._leader and me is not self._guest_thread:
            with self._mutex:
                leads = self._leader is me
                if leads:
                    self._is_running = False
            if leads:
                self._client.flush()
                # `_since` stays: one that posts often would else lead, and not receive, for ever.
                self._is_running = True
                return
        self.posted()

    def give_up_lead(self) -> None:
        """The calling thread will wait for a message: if it leads, somebody else must.

        Raises RuntimeError where nobody can: the message would never be received.
        """
        me: _Thread | None = getattr(self._current, "me", None)
        with self._mutex:
            if me is None or self._leader is not me:
                return
            if not self._promote():
                raise RuntimeError("there is no thread to be had that would receive meanwhile")

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # the counter is full: it rings already
            os.eventfd_write(self._wake_fd, 1)

    # ── who leads (the mutex is held) ───────────────────────────────────────────────────────────

    def _promote(self) -> bool:
        """Give the lead to an idle or a new thread; False where there is none, and it stays."""
        if not (self._idle or self._add_thread()):
            return False
        deposed = self._leader
        self._is_running = self._is_sleeping = False
        self._leader = self._idle.pop()
        self._leader.wake.release()
        if self._guest is not None and deposed is self._guest_thread:
            self._guest.begin()  # when it goes on it will look, and ask
        return True

    def _add_thread(self) -> bool:
        """One more idle thread; False where there may be none, or the system gives none now."""
        if self._count >= self._most() or self._is_stopped:
            return False
        thread = _Thread()
        main = partial(self._main, thread)
        thread.thread = make_thread(main, f"{self._name}-{self._count + 1}")
        try:
            thread.thread.start()
        except RuntimeError:  # an application may use up what its pool may have of them
            return False
        self._count += 1
        self._idle.append(thread)
        return True

    def _can_promote(self) -> bool:
        return bool(self._idle) or self._count < self._most()

    def _most(self) -> int:
        """How many threads there may be.

        A request that returns has left its thread to another one, and holds what all of them may
        wait for (a process of FastCGI): it must never wait for theirs.
        """
        return self._limit + min(self._limit, len(self._returned))

    # ── a thread's life ─────────────────────────────────────────────────────────────────────────

    def _main(self, me: _Thread) -> None:
        self._current.me = me
        while True:
            me.wake.acquire()
            if self._leader is me:
                try:
                    self._lead(me)
                except BaseException as error:  # noqa: BLE001 the worker cannot live without a leader
                    log_exception("leadership_error", error)
                    os._exit(70)
            else:
                self._follow()
            with self._mutex:
                if self._is_stopped:
                    self._count -= 1
                    return
                if self._leader is me:
                    # Made leader again between leaving the loop and here: go round.
                    continue
                self._idle.append(me)
            if (self._client.inbox or self._returning) and self._is_sleeping:
                # The leader had nobody to lead in its place while it ran what waits.
                self._ring()

    def _lead(self, me: _Thread) -> None:
        """Lead until deposed or stopped."""
        client = self._client
        inbox = client.inbox
        returning = self._returning
        watch = self.watch
        while True:
            is_empty = client.flush()
            if self._calls:
                self._calls.popleft()()
                continue
            if self._is_lead_wanted and self._lend(me):
                return
            received = client.receive()
            if watch.is_used:
                watch.look()
            if (inbox or returning) and self._can_promote():
                if self._is_usually_slow:
                    with self._mutex:
                        self._promote()
                if self._leader is me and self._run_inline(me):
                    continue
                self._follow()
                return
            if received:
                continue
            if self._is_stopped and is_empty and not client.has_posts():
                return
            self._is_sleeping = True
            # A post between the flush above and this line did not ring: look once more.
            # So does a request that waits for a thread which has just become idle.
            if not (
                client.has_posts()
                or self._calls
                or watch.has_posts
                or ((inbox or returning) and self._can_promote())
            ):
                self.poller.wait(watch.wait_ms(WAIT_MS if is_empty else UNSENT_WAIT_MS))
            self._is_sleeping = False

    def _run_inline(self, me: _Thread) -> bool:
        """Run what waits, one after the other; False when deposed meanwhile.

        Comes back after a request that took long, so that its answer and the others' leave.
        """
        inbox = self._client.inbox
        returning = self._returning
        run = self._run
        perf_counter = time.perf_counter
        mutex = self._mutex
        start = perf_counter()
        while True:
            work: Callable[[], None] | None = None
            exchange: Exchange | None = None
            try:
                if returning:
                    work = returning.popleft()
                else:
                    exchange = inbox.popleft()
            except IndexError:  # a follower was quicker
                return True
            self._since = start
            self._is_running = True
            # After the line above: the monitor sets the flag false, then looks at `_is_running`.
            if not self._monitor.is_awake:
                self._monitor.wake()
            if exchange is not None:
                run(exchange)
            elif work is not None:
                work()
            with mutex:
                leads = self._leader is me
                if leads:
                    self._is_running = False
            end = perf_counter()
            elapsed = end - start
            start = end
            self._usual_s += (elapsed - self._usual_s) * 0.125
            if not leads or elapsed > USUALLY_FAST_S or not (inbox or returning):
                self._is_usually_slow = self._usual_s > USUALLY_SLOW_S
                return leads

    def _follow(self) -> None:
        """Not the leader: run what waits. Somebody else receives and sends meanwhile."""
        inbox = self._client.inbox
        returning = self._returning
        while True:
            self.posted()
            try:
                work = returning.popleft() if returning else partial(self._run, inbox.popleft())
            except IndexError:
                return
            start = time.perf_counter()
            work()
            self._usual_s += (time.perf_counter() - start - self._usual_s) * 0.125
            self._is_usually_slow = self._usual_s > (
                USUALLY_FAST_S if self._is_usually_slow else USUALLY_SLOW_S
            )

    # ── an event loop that leads ────────────────────────────────────────────────────────────────

    def welcome(self, guest: Guest) -> None:
        """Once: an event loop that may lead. It asks when it can."""
        self._guest = guest
        guest.enter(self)

    def ask_for_lead(self) -> None:
        """The guest, on its own thread: it can lead."""
        self._current.me = self._guest_thread
        self._is_lead_wanted = True
        self._ring()

    def farewell(self) -> None:
        """The guest, on its own thread: it ends. It is told and lent nothing any more."""
        with self._mutex:
            self._guest = None
            self._is_lead_wanted = False
            if self._leader is self._guest_thread:
                self._promote()

    def _lend(self, me: _Thread) -> bool:
        with self._mutex:
            guest = self._guest
            self._is_lead_wanted = False
            if guest is None or self._leader is not me or self._is_stopped:
                return False
            self._since = inf
            self._is_running = True
            # What has come since `me` last received is heard of by nobody else.
            self._is_turn_owed = True
            self._guest_turns += 1  # for who watches them: what it let wait before is past
            self._leader = self._guest_thread
            # Still under the mutex: nothing is told to a guest that has said farewell.
            self._monitor.wake()  # it looks at other things from now on
            guest.begin()
        return True

    def guest_turn(self) -> float | None:
        """The guest's thread: receive, run, send. None: it does not lead (any more).

        Else when it is to come again, in seconds; `inf`: when something has come or was posted.
        """
        client, guest = self._client, self._guest
        if guest is None or not self._enter_channels():
            return None
        self._guest_turns += 1
        self._is_sleeping = self._is_turn_owed = False
        if self._calls:
            guest.forget_channels()
            while self._calls:
                self._calls.popleft()()
        client.receive()
        if self.watch.is_used:
            self.watch.look()
        others = self._run_for_guest(guest)
        if not self._enter_channels():
            return None
        if others or self._returning:
            self._hand_out(others + len(self._returning))
        is_empty = client.flush()
        self._since = inf
        self._is_running = True
        self._is_sleeping = True
        if self._calls or self.watch.has_posts or client.is_owed_a_turn():
            self._is_turn_owed = True
            if not self._monitor.is_awake:
                self._monitor.wake()
            return 0.0
        return min(self.watch.wait_s(), inf if is_empty else UNSENT_WAIT_MS / 1000)

    @property
    def is_guest_sending(self) -> bool:
        """Whether the guest has left off in the middle of a channel call."""
        return self._leader is self._guest_thread and not self._is_running

    def _enter_channels(self) -> bool:
        """Not to be deposed from here on; False for a guest that was."""
        with self._mutex:
            leads = self._leader is self._guest_thread
            if leads:
                self._is_running = False
        return leads

    def _run_for_guest(self, guest: Guest) -> int:
        """Run what came for the loop; how many requests wait that did not."""
        inbox = self._client.inbox
        others: list[Exchange] = []
        self._since = time.perf_counter()
        self._is_running = True
        if inbox and not self._monitor.is_awake:
            self._monitor.wake()
        guest.take_news()
        runs, me, perf_counter = guest.runs, self._guest_thread, time.perf_counter
        while inbox and self._leader is me:
            try:
                exchange = inbox.popleft()
            except IndexError:  # a thread was quicker
                break
            self._since = perf_counter()
            if not runs(exchange):
                others.append(exchange)
        inbox.extendleft(reversed(others))
        return len(others)

    def _hand_out(self, count: int) -> None:
        """Have so many threads run what waits; one is left to lead."""
        with self._mutex:
            for _ in range(count):
                if len(self._idle) + self._most() - self._count < 2 or self._is_stopped:
                    return  # who comes back from a request takes the next
                if not (self._idle or self._add_thread()):
                    return
                self._idle.pop().wake.release()

    # ── for the monitor ─────────────────────────────────────────────────────────────────────────

    def is_idle(self) -> bool:
        """Whether nothing runs, as far as is known."""
        return not self._is_running or self._since == inf

    def is_late(self) -> bool:
        """Whether the leader has run one handler for too long, or the guest lets something wait."""
        if not self._is_running:
            return False
        now = time.perf_counter()
        if self._leader is not self._guest_thread:
            return now - self._since >= HAND_OVER_S
        return now - self._since >= GUEST_HAND_OVER_S or self._guest_watch.is_stuck(
            self._guest_turns,
            self.poller.fds,
            now,
            must_turn=self._is_turn_owed or self._client.has_posts(),
        )

    def depose(self) -> None:
        """Give the lead to an idle thread."""
        with self._mutex:
            if self.is_late():
                self._promote()

    def unseen_work(self) -> tuple[int, ...] | None:
        """What the guest waits for: it may be in some other task, and not come to it."""
        return self.poller.fds if self._leader is self._guest_thread else None
