"""RequestRun: what runs of every scope have in common: their task, their end, and news of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from typing import TYPE_CHECKING, Any, cast

import msgspec

from was import faults
from was.errors import WasError
from was.ipc.scoreboard import RequestState
from was.log import log, log_exception, text_of
from was.worker.applications.wrong_module import explained
from was.worker.exchange import ClientGoneError
from was.worker.handler_errors import answer_failed
from was.worker.notifications import CONTINUE
from was.worker.threads.application_calls import (
    PAST_THE_LIMIT,
    RequestInterruptedError,
    forget,
)

if TYPE_CHECKING:
    from was.worker.asgi.hosted import HostedApplication
    from was.worker.asgi.loop import LoopThread
    from was.worker.asgi.plain_exchange import AsyncExchange
    from was.worker.interfaces.context import HttpContext

__all__ = ["BLOCK_BYTES", "ClientDisconnectedError", "RequestRun"]

# A block of a body that is streamed; with modules that change it there is room for its growth.
BLOCK_BYTES = 65536
_STARTED = int(RequestState.STARTED)


class ClientDisconnectedError(WasError, OSError):
    """send() raises this when nobody is there any more (ASGI 2.4: an OSError)."""


class RequestRun(msgspec.Struct, eq=False):
    """One request on the event loop; all of it runs on the loop's thread, and never blocks it.

    A Struct because one is made for every request, and this way it is made in C.
    """

    context: HttpContext
    exchange: AsyncExchange
    hosted: HostedApplication
    loop: LoopThread
    can_end_here: bool  # what is left of the pipeline is ours alone, and may run on the loop
    is_over: bool = False
    is_starting: bool = False  # its end is told by what starts it
    task: asyncio.Task[Any] | None = None
    waiters: list[asyncio.Future[None]] = []

    # ── for each kind ───────────────────────────────────────────────────────────────────────────

    def scope(self) -> dict[str, Any]:
        """What the application is called with."""
        raise NotImplementedError

    async def receive(self) -> dict[str, Any]:
        """What the application is told next."""
        raise NotImplementedError

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """What it says."""
        raise NotImplementedError

    def check_whole(self) -> None:
        """It has returned. Raises LocalProtocolError where it has not said all."""
        raise NotImplementedError

    def returned(self) -> None:
        """It has returned or raised, and its request is not over: the end, now or soon."""
        self.end()

    def has_news(self) -> None:
        """Something has come for this request."""

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> dict[str, Any]:
        """Before the application is called: the scope. From here on it may do harm."""
        exchange = self.exchange
        exchange.never_waits = True
        if exchange.gone:
            raise ClientDisconnectedError("the client has gone")
        scope = self.scope()
        # From here on code that is not ours runs: only now can a second run do harm.
        exchange.words[exchange.row] = self.context.proof | _STARTED
        faults.reach("worker.begun")
        return scope

    def listen(self) -> None:
        """It goes on for more than one step: it is told what comes, and the worker of it."""
        self.hosted.running.add(self)
        if not self.is_over:
            self.exchange.ring_on_arrival(self._news)
            self._take_news()  # of what has come before

    def left(self) -> None:
        """The application is done, one way or another: end the request if it has not."""
        if self.task is not None:  # else it has ended in its first step, and was not among them
            self.hosted.running.discard(self)
        self.loop.request_over()
        if not self.is_over:
            self.returned()

    def failed(self, error: BaseException) -> None:
        """What the application raised; after its response it can only be logged."""
        context = self.context
        is_interrupted = isinstance(error, RequestInterruptedError) or (
            isinstance(error, asyncio.CancelledError) and self.exchange.is_overdue
        )
        if isinstance(error, RequestInterruptedError):
            forget(context.proof)
        error = explained(error, self.hosted.reference, "AsgiModule")
        if _is_departure(error):
            pass
        elif _is_of_departure(error):
            log(
                "client_left",
                error=text_of(error),
                application=self.hosted.reference,
                request=context.request_id,
                url=context.message.target,
            )
        else:
            log_exception(
                "request_interrupted" if is_interrupted else "application_error",
                error,
                application=self.hosted.reference,
                request=context.request_id,
                url=context.message.target,
            )
        if self.is_over:
            return
        if is_interrupted or self.exchange.gone:
            context.is_cut = True
        else:
            answer_failed(context, error, "AsgiModule")

    def end(self) -> None:
        """Have the pipeline go on: what is left of it sends the rest, and ends the request."""
        if self.is_over:
            return
        self.is_over = True
        context = self.context
        context.is_handled = True
        if self.is_starting:
            return
        # A cycle for each request would be left to the garbage collector.
        self.exchange.ring_on_arrival(None)
        if self.can_end_here:
            context.indicate_completion(CONTINUE)
        else:
            context.post_completion(0)
        self.wake()

    # ── news of the exchange ────────────────────────────────────────────────────────────────────

    def _news(self) -> None:
        """From the thread that leads: something of this request has come."""
        if self.exchange.is_overdue:
            self.loop.cancel(self._take_news)
        else:
            self.loop.submit(self._take_news)

    def _take_news(self) -> None:
        if not self.is_over:
            self.has_news()
        self.wake()
        if self.exchange.is_overdue and not self.is_over and self.task is not None:
            self._interrupt(self.task)

    def _interrupt(self, task: asyncio.Task[Any]) -> None:
        """The application hears of it where it waits.

        Of a task that has not had its first step nothing ever runs, `left` neither.
        """
        coroutine = task.get_coro()
        assert iscoroutine(coroutine)
        if not task.cancelling() and getcoroutinestate(coroutine) == CORO_CREATED:
            task.add_done_callback(self._ended_unbegun)
        task.cancel(PAST_THE_LIMIT)

    def _ended_unbegun(self, _: asyncio.Task[Any]) -> None:
        self.failed(asyncio.CancelledError(PAST_THE_LIMIT))
        self.left()

    def wake(self) -> None:
        """Whoever waits looks again."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, is_there: Callable[[], bool]) -> None:
        """Wait until news makes it true."""
        while not is_there():
            waiter = self.loop.loop.create_future()
            self.waiters.append(waiter)
            await waiter


def _is_departure(error: BaseException) -> bool:
    """Whether it says no more than that the client has gone, alone or from tasks of a group."""
    return all(isinstance(e, ClientDisconnectedError | ClientGoneError) for e in _parts(error))


def _is_of_departure(error: BaseException) -> bool:
    """Whether it was raised in answer to that: Starlette, for one, has a name of its own for it."""
    return all(map(_comes_of_departure, _parts(error)))


def _comes_of_departure(error: BaseException) -> bool:
    # What was raised `from` itself leads round for ever, and a chain may be of any length.
    seen: set[int] = set()
    part: BaseException | None = error
    while part is not None and id(part) not in seen:
        if _is_departure(part):
            return True
        seen.add(id(part))
        part = part.__cause__ or part.__context__
    return False


def _parts(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for part in group.exceptions for leaf in _parts(part)]
