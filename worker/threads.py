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

Safety of the hand-over: the lead moves only (a) from a leader that marked itself `running`, by the
monitor, under the mutex, or (b) by the leader itself. A leader that is not `running` may be inside
a channel call and is never deposed. When it comes back from running it takes the mutex, and either
is still the leader or not. Every channel call therefore happens in the thread that holds the lead,
with a mutex between the calls of two different leaders.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from was.ipc.channel import WorkerPoller
from was.log import log_exception

if TYPE_CHECKING:
    from was.worker.exchange import Exchange
    from was.worker.queue_client import QueueClient

__all__ = ["RequestThreads"]

HAND_OVER_S = 0.002
MONITOR_INTERVAL_S = 0.002
# The monitor goes to sleep after this many looks without a running request.
MONITOR_IDLE_LOOKS = 25

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
    """At most `limit` threads that run `run(exchange)`, one of which leads."""

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
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.poller = WorkerPoller(self._wake_fd)
        self._monitor_wake = threading.Lock()
        self._monitor_wake.acquire()
        self._is_monitor_awake = False
        self._is_stopped = False

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the first thread, which leads, and the monitor."""
        threading.Thread(target=self._monitor, name="monitor", daemon=True).start()
        with self._mutex:
            self._promote()

    def stop(self) -> None:
        """Let every idle thread end after the present turn; running handlers are left alone."""
        with self._mutex:
            self._is_stopped = True
            idle, self._idle = self._idle, []
        for thread in idle:
            thread.wake.release()
        self._ring()
        self._wake_monitor()

    def join_leader(self, timeout_s: float) -> bool:
        """After stop(): wait until the leading thread has left its loop; whether it has."""
        leader = self._leader
        if leader is None or leader.thread is None:
            return True
        leader.thread.join(timeout_s)
        return not leader.thread.is_alive()

    def close(self) -> None:
        """Give the eventfd back; nobody may post any more."""
        os.close(self._wake_fd)

    def call(self, function: Callable[[], None]) -> None:
        """Have the leader call `function` between two turns: the way to touch the channels."""
        self._calls.append(function)
        self._ring()

    # ── from threads that post ──────────────────────────────────────────────────────────────────

    def posted(self) -> None:
        """Something was posted: a sleeping leader must send it."""
        if self._is_sleeping:
            # It will look at everything that was posted until it sleeps again: one ring will do.
            self._is_sleeping = False
            self._ring()

    def posted_partial(self) -> None:
        """Something was posted that should leave now, though its request goes on.

        The leader itself, called from inside a handler, sends it on the spot.
        """
        me: _Thread | None = getattr(self._current, "me", None)
        if me is not None and me is self._leader:
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
        """The calling thread will wait for a message: if it leads, somebody else must."""
        me: _Thread | None = getattr(self._current, "me", None)
        with self._mutex:
            if me is None or self._leader is not me:
                return
            self._promote()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # the counter is full: it rings already
            os.eventfd_write(self._wake_fd, 1)

    # ── who leads (the mutex is held) ───────────────────────────────────────────────────────────

    def _promote(self) -> None:
        """Give the lead to an idle or a new thread; keep it when there is none."""
        if self._idle:
            self._is_running = False
            self._leader = self._idle.pop()
            self._leader.wake.release()
        elif self._count < self._limit and not self._is_stopped:
            self._is_running = False
            self._count += 1
            self._leader = thread = _Thread()
            thread.wake.release()
            thread.thread = threading.Thread(
                target=self._main, args=(thread,), name=f"{self._name}-{self._count}", daemon=True
            )
            thread.thread.start()

    def _can_promote(self) -> bool:
        return bool(self._idle) or self._count < self._limit

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
            with self._mutex:
                if self._is_stopped:
                    self._count -= 1
                    return
                if self._leader is me:
                    # Made leader again between leaving the loop and here: go round.
                    continue
                self._idle.append(me)
            if self._client.inbox and self._is_sleeping:
                # The leader had nobody to lead in its place while it ran what waits.
                self._ring()

    def _lead(self, me: _Thread) -> None:
        """Lead until deposed or stopped."""
        client = self._client
        inbox = client.inbox
        while True:
            is_empty = client.flush()
            if self._calls:
                self._calls.popleft()()
                continue
            received = client.receive()
            if inbox and self._can_promote():
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
            if not (client.has_posts() or self._calls or (inbox and self._can_promote())):
                self.poller.wait(WAIT_MS if is_empty else UNSENT_WAIT_MS)
            self._is_sleeping = False

    def _run_inline(self, me: _Thread) -> bool:
        """Run what waits, one after the other; False when deposed meanwhile.

        Comes back after a request that took long, so that its answer and the others' leave.
        """
        inbox = self._client.inbox
        run = self._run
        perf_counter = time.perf_counter
        mutex = self._mutex
        start = perf_counter()
        while True:
            try:
                exchange = inbox.popleft()
            except IndexError:  # a follower was quicker
                return True
            self._since = start
            self._is_running = True
            # After the line above: the monitor sets the flag false, then looks at `_is_running`.
            if not self._is_monitor_awake:
                self._wake_monitor()
            run(exchange)
            with mutex:
                leads = self._leader is me
                if leads:
                    self._is_running = False
            end = perf_counter()
            elapsed = end - start
            start = end
            self._usual_s += (elapsed - self._usual_s) * 0.125
            if not leads or elapsed > USUALLY_FAST_S or not inbox:
                self._is_usually_slow = self._usual_s > USUALLY_SLOW_S
                return leads

    def _follow(self) -> None:
        """Not the leader: run what waits. Somebody else receives and sends meanwhile."""
        inbox = self._client.inbox
        while True:
            self.posted()
            try:
                exchange = inbox.popleft()
            except IndexError:
                return
            start = time.perf_counter()
            self._run(exchange)
            self._usual_s += (time.perf_counter() - start - self._usual_s) * 0.125
            self._is_usually_slow = self._usual_s > (
                USUALLY_FAST_S if self._is_usually_slow else USUALLY_SLOW_S
            )

    # ── the monitor ─────────────────────────────────────────────────────────────────────────────

    def _wake_monitor(self) -> None:
        self._is_monitor_awake = True
        with suppress(RuntimeError):  # released already: it is about to wake anyway
            self._monitor_wake.release()

    def _has_run_long(self) -> bool:
        return self._is_running and time.perf_counter() - self._since >= HAND_OVER_S

    def _monitor(self) -> None:
        idle_looks = 0
        while not self._is_stopped:
            if idle_looks > MONITOR_IDLE_LOOKS:
                self._is_monitor_awake = False
                # The leader may have begun a handler between our last look and that line.
                if self._is_running:
                    self._is_monitor_awake = True
                else:
                    self._monitor_wake.acquire()
                idle_looks = 0
            time.sleep(MONITOR_INTERVAL_S)
            if not self._is_running:
                idle_looks += 1
                continue
            idle_looks = 0
            if not self._has_run_long():
                continue
            with self._mutex:
                if self._has_run_long():
                    self._promote()
