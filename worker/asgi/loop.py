"""LoopThread: the one event loop of a worker, in a thread of its own.

Other threads hand it calls through a deque and wake it once for as many as there are. A loop that a
call of an application blocks takes none: `look`, called by the worker's main thread once a second
or so, sees how long the oldest has waited, interrupts what blocks, and asks for a successor of the
worker.

An interruption is an exception that is injected into the thread. What it hits is what has kept the
loop from going on; should it hit the loop itself, the loop is run again. So it is when an
application stops it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

from was.log import log, log_exception
from was.turns import Turns
from was.worker.asgi.loop_signals import LoopSignals
from was.worker.asgi.marks import drive
from was.worker.asgi.sockets import OpenSockets
from was.worker.process.last_work import make_thread
from was.worker.threads.application_calls import RequestInterruptedError, inject

if TYPE_CHECKING:
    from was.worker.asgi.run import RequestRun

__all__ = ["LoopThread"]

T = TypeVar("T")

# An overdue request's cancellation that waits this long finds the loop blocked.
CANCEL_WAIT_S = 1.0
# How long a loop that was found blocked may take to begin with what ends the worker.
LAST_CHANCE_S = 1.0
# After a first step that took longer so many requests do not have theirs taken within the handler's
# call. Not all that come: who is short of processors finds many a step long that is not.
LINGER_S = 0.005
LINGERING_REQUESTS = 1000


class LoopThread:
    """Started once, stopped once; `submit` and `run` are for every other thread."""

    def __init__(self, limit: int, ask_for_recycle: Callable[[str], None]) -> None:
        """At most `limit` requests run at a time, further ones wait in order."""
        self._limit = limit
        self._ask_for_recycle = ask_for_recycle
        self._calls: deque[Callable[[], None]] = deque()
        self._is_rung = False
        self._rung_at = 0.0
        self._is_urgent = False
        self._has_asked = False
        self._is_over = False
        self._active = 0
        self._requests: deque[RequestRun] = deque()
        self._waiting: deque[RequestRun] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.loop = _new_loop()
        self._create_task = self.loop.create_task
        self.sockets = OpenSockets()
        self.turns = Turns(self.loop.call_soon)  # of WebSockets that bring much work
        self.signals = LoopSignals(self.loop)
        # Requests are received on the loop's thread, and no task runs there: one may begin at once.
        self.is_receiving = False
        self.ident = 0
        self._first_steps: list[Callable[[], None]] = []
        self._thread = make_thread(self._main, "event-loop")
        self._thread.start()
        self.ident = self._thread.ident or 0

    # ── from other threads ──────────────────────────────────────────────────────────────────────

    def submit(self, call: Callable[[], None]) -> None:
        """Have the loop's thread call it, soon and in order."""
        self._calls.append(call)
        if not self._is_rung:
            self._ring()

    def submit_request(self, run: RequestRun) -> None:
        """Have it run as soon as there is room."""
        self._requests.append(run)
        if not self._is_rung:
            self._ring()

    def _ring(self) -> None:
        # Set before the loop is told; cleared by it before it looks at the calls.
        self._is_rung = True
        self._rung_at = time.monotonic()
        self.loop.call_soon_threadsafe(self.take_calls)

    def cancel(self, call: Callable[[], None]) -> None:
        """The same for what cancels an overdue request: a loop that does not take it is blocked."""
        self._is_urgent = True
        self.submit(call)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for what it returns or raises."""
        done: Future[T] = Future()
        self.submit(lambda: self._run_for(coroutine, done))
        return done.result()

    def run_last(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The same when the worker ends. Raises TimeoutError when the loop is blocked for good."""
        if not self.is_blocked:
            return self.run(coroutine)
        done: Future[T] = Future()
        begun: Future[None] = Future()

        def begin() -> None:
            if begun.set_running_or_notify_cancel():
                begun.set_result(None)
                self._run_for(coroutine, done)

        self.submit(begin)
        try:
            begun.result(LAST_CHANCE_S)
        except TimeoutError:
            if begun.cancel():
                coroutine.close()
                raise
        return done.result()

    def _run_for(self, coroutine: Coroutine[Any, Any, T], done: Future[T]) -> None:
        async def report() -> None:
            try:
                done.set_result(await coroutine)
            except BaseException as error:  # noqa: BLE001 raised in the caller's thread
                done.set_exception(error)

        self.start(report())

    @property
    def is_blocked(self) -> bool:
        """Whether something has held the loop up for too long, and still does."""
        return self._is_rung and (self._has_asked or self._is_urgent)

    def look(self, now: float, limit_s: float) -> None:
        """Interrupt what has blocked the loop for longer than `limit_s` (0 = as long as it likes).

        Shorter when the cancellation of an overdue request waits.
        """
        if not self._is_rung:
            return  # the deque is empty: it goes on
        if self._is_urgent:
            limit_s = CANCEL_WAIT_S
        waited_s = now - self._rung_at
        if limit_s <= 0 or waited_s < limit_s:
            return
        log("event_loop_blocked", waited_s=round(waited_s, 1))
        inject(self.ident, RequestInterruptedError)
        self._rung_at = now  # and again after as long
        if not self._has_asked:
            self._has_asked = True
            self._ask_for_recycle("the event loop was blocked")

    def stop(self) -> None:
        """Cancel what still runs, and end the thread."""
        if self._thread.is_alive() and not self.is_blocked:
            self.submit(self._begin_end)
            self._thread.join(5.0)

    # ── on the loop's thread ────────────────────────────────────────────────────────────────────

    def hold_calls(self) -> None:
        """`take_calls` follows shortly: nobody needs to ring."""
        self._is_rung = self.is_receiving = True
        self._rung_at = time.monotonic()

    def take_calls(self) -> None:
        """Do what was submitted."""
        self._is_rung = self._is_urgent = False
        requests = self._requests
        while requests:
            self._start_request(requests.popleft())
        calls = self._calls
        while calls:
            try:
                calls.popleft()()
            except Exception as error:  # noqa: BLE001 the others are called all the same
                log_exception("unexpected_error", error, during="event loop")

    def start_here(self, run: RequestRun) -> None:
        """While `is_receiving`: run a request up to where it waits.

        Later, if there is no room or its application lingers.
        """
        if run.hosted.lingers:
            run.hosted.lingers -= 1
            self.submit_request(run)
            return
        if self._active >= self._limit:
            self._waiting.append(run)
            return
        self._active += 1
        self.is_receiving = False
        loop, context = self.loop, Context()
        run.is_starting = True
        # A task has the loop call its first step soon. For most requests this one step is all:
        # it is made at once, as eager tasks of later Pythons do.
        loop.call_soon = self._keep_first_step  # type: ignore[method-assign,assignment]
        try:
            task = loop.create_task(drive(run), context=context)
        finally:
            del loop.call_soon  # the instance's
        first_steps = self._first_steps
        if first_steps:
            began = time.perf_counter()
            context.run(first_steps.pop())
            if time.perf_counter() - began > LINGER_S:
                run.hosted.lingers = LINGERING_REQUESTS
        self.is_receiving = True
        run.is_starting = False
        if not task.done():
            run.task = task
            run.listen()

    def _keep_first_step(self, step: Callable[[], None], *, context: Context | None = None) -> None:
        self._first_steps.append(step)

    def _start_request(self, run: RequestRun) -> None:
        """Run a request, now or when there is room; it says `request_over` at its end."""
        if self._active >= self._limit:
            self._waiting.append(run)
            return
        self._active += 1
        run.listen()
        run.task = self._create_task(drive(run), context=Context())

    def request_over(self) -> None:
        """A request's task is about to end: there is room for another."""
        self._active -= 1
        if self._waiting:
            self._start_request(self._waiting.popleft())

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that is kept until it ends."""
        task = self.loop.create_task(coroutine, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_over:
            try:
                self.loop.run_forever()
            except BaseException as error:  # noqa: BLE001 an interruption that came late
                log_exception("event_loop_interrupted", error)
            else:
                if not self._is_over:  # an application has called loop.stop()
                    log("event_loop_stopped")
        self.loop.close()

    def _begin_end(self) -> None:
        self.start(self._end())

    async def _end(self) -> None:
        """As asyncio.run() does it: tasks that nobody has waited for are cancelled too."""
        me = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not me]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=2.0)
        await self.loop.shutdown_asyncgens()
        self._is_over = True
        self.loop.stop()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
