"""OverdueRequests: requests that have passed their time limit, and what the worker does about them.

The listener has answered them. Here the stacks of all threads are written to where the manager
finds them, their calls of the application are interrupted, and the manager is told, which replaces
the worker: what an interruption left half done must not serve anybody, and a thread that cannot be
interrupted is lost.

Requests whose listener has died have nobody who watches the clock for them: that is done here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.ipc.messages import Request, request_id_text
from was.ipc.stacks import write_stacks
from was.log import log
from was.worker.threads.application_calls import interrupt

if TYPE_CHECKING:
    from was.worker.exchange import Exchange

__all__ = ["OverdueRequests"]

RETRY_S = 0.05
# How long a task may take to end when it is cancelled.
CANCEL_S = 0.5
# Many may pass their limits together; one picture of all threads shows them all.
STACKS_EVERY_S = 1.0
# The manager wants a replacement at the first: more pictures come only when there is no manager.
MOST_STACKS = 10
# How long they may take to come to their ends when nothing else keeps the worker from leaving.
LEAVE_S = 1.0


class OverdueRequests:
    """Belongs to the worker's main thread, which is never inside an application."""

    def __init__(self, tell_manager: Callable[[Request, bool], None]) -> None:
        self._tell_manager = tell_manager
        self._exchanges: list[Exchange] = []
        self._left_alone: list[tuple[float, Exchange]] = []  # when it passes its limit
        self._cancelled: list[tuple[float, Exchange]] = []  # when it should have ended
        self._stacks_at = 0.0
        self._stacks_left = MOST_STACKS
        self._has_told = False
        self._leave_at = 0.0

    def add(self, exchange: Exchange) -> None:
        """A request has passed its limit; it may have ended since."""
        if exchange.is_ended:
            return
        if exchange.never_waits:
            # On an event loop its task is cancelled, which leaves nothing half done: only one that
            # does not end then is a hang.
            if not exchange.is_overdue:
                exchange.is_overdue = True
                exchange.cancel()
            self._cancelled.append((time.monotonic() + CANCEL_S, exchange))
            return
        self._hangs(exchange)

    def _hangs(self, exchange: Exchange) -> None:
        exchange.is_overdue = True
        request = exchange.request
        log("request_overdue", request=request_id_text(request.id), url=request.target[:256])
        now = time.monotonic()
        if self._stacks_left and now - self._stacks_at >= STACKS_EVERY_S:
            self._stacks_at = now
            self._stacks_left -= 1
            write_stacks()
        self._exchanges.append(exchange)
        self.look()
        if not self._has_told:
            self._has_told = True
            self._tell_manager(request, exchange.started)

    def left_alone(self, exchange: Exchange, limit_s: float) -> None:
        """The request's listener is dead: unless it ends within its limit it is overdue."""
        if limit_s > 0:
            self._left_alone.append((time.monotonic() + limit_s, exchange))

    def leave(self, running: list[Exchange]) -> None:
        """The worker is to end: what is past its limit holds it up no longer than a moment.

        Nothing is given up while any other request runs. Nobody waits for an answer of these, and
        they were interrupted where that can be done.
        """
        if not running or not all(exchange.is_overdue for exchange in running):
            self._leave_at = 0.0
            return
        now = time.monotonic()
        if not self._leave_at:
            self._leave_at = now + LEAVE_S
        elif now >= self._leave_at:
            for exchange in running:
                log("request_left", request=request_id_text(exchange.request.id))
                exchange.leave()

    def look(self) -> float | None:
        """Interrupt those that are inside their application now; when to look again."""
        self._exchanges = [
            exchange
            for exchange in self._exchanges
            if not exchange.is_ended and not interrupt(exchange.proof)
        ]
        for exchange in _take_due(self._left_alone):
            self.add(exchange)
        for exchange in _take_due(self._cancelled):
            self._hangs(exchange)
        return RETRY_S if self._exchanges or self._cancelled else None


def _take_due(watched: list[tuple[float, Exchange]]) -> list[Exchange]:
    """Those whose time is over and that have not ended; those that have are watched no more."""
    if not watched:
        return []
    now = time.monotonic()
    open_ones = [(deadline, exchange) for deadline, exchange in watched if not exchange.is_ended]
    watched[:] = [(deadline, exchange) for deadline, exchange in open_ones if now < deadline]
    return [exchange for deadline, exchange in open_ones if now >= deadline]
