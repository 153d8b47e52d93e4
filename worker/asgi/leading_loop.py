"""LeadingLoop: the event loop in the place of a leading request thread.

One turn receives what has come, runs the requests that are for the loop as far as they go, and
sends what was posted. A turn comes when a channel or the threads' eventfd is readable, and after
whatever tasks have posted.
"""

from __future__ import annotations

import os
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING

from was.log import log_exception

if TYPE_CHECKING:
    import asyncio

    from was.worker.asgi.loop import LoopThread
    from was.worker.threads.loop_limits import LoopLimits
    from was.worker.threads.request_threads import RequestThreads

__all__ = ["LeadingLoop"]


class LeadingLoop:
    """The guest of the request threads (was.worker.threads.guest_leader.Guest)."""

    def __init__(self, loop: LoopThread, limits: LoopLimits) -> None:
        self._loop = loop
        self._limits = limits
        # On the loop's thread: run a request, if it is for the loop.
        self.runs = limits.run_on_loop
        self._threads: RequestThreads | None = None
        self._fds: tuple[int, ...] = ()
        self._is_scheduled = False
        self._has_left = False
        self._timer: asyncio.TimerHandle | None = None

    # ── from any thread ─────────────────────────────────────────────────────────────────────────

    def enter(self, threads: RequestThreads) -> None:
        """These are the threads that it may lead."""
        self._threads = threads
        self.begin()

    @property
    def is_here(self) -> bool:
        """Whether the caller is the loop's own thread."""
        return get_ident() == self._loop.ident

    def begin(self) -> None:
        """It has been given the lead, or has lost it."""
        self._loop.submit(self._turn)

    def look(self) -> None:
        """Now and then: what the configuration says of leading may have changed."""
        if self._limits.may_lead and not self._fds:
            self.begin()

    # ── on the loop's thread ────────────────────────────────────────────────────────────────────

    def schedule(self) -> None:
        """Something was posted: a turn follows what runs now."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.loop.call_soon(self._turn)

    def take_news(self) -> None:
        """What `receive` has told requests of the loop is done now."""
        self._loop.take_calls()

    def forget_channels(self) -> None:
        """Let the descriptors go."""
        fds, self._fds = self._fds, ()
        for fd in fds:
            self._loop.loop.remove_reader(fd)

    def leave(self) -> None:
        """The loop ends: it never leads again."""
        self._has_left = True
        self.forget_channels()
        if self._threads is not None:
            self._threads.farewell()

    def _turn(self) -> None:
        self._is_scheduled = False
        threads, loop = self._threads, self._loop
        if threads is None or self._has_left:
            return
        loop.hold_calls()
        try:
            again_s = threads.guest_turn()
        except BaseException as error:  # noqa: BLE001 an interruption that came late
            if threads.is_guest_sending:
                log_exception("leadership_error", error)
                os._exit(70)
            log_exception("event_loop_interrupted", error)
            again_s = 0.0
        finally:
            loop.is_receiving = False
            loop.take_calls()
        if again_s is None:
            self.forget_channels()
            if self._limits.may_lead:
                threads.ask_for_lead()
            return
        if not self._limits.may_lead:
            threads.give_up_lead()
        elif threads.poller.fds is not self._fds:
            self._watch(threads.poller.fds)
        if again_s == 0.0:
            self.schedule()
        elif again_s != inf:
            # One timer: each turn that it brings would else leave another.
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.loop.call_later(again_s, self.schedule)

    def _watch(self, fds: tuple[int, ...]) -> None:
        self.forget_channels()
        self._fds = fds
        self._loop.loop.add_reader(fds[0], self._heard_ring)
        for fd in fds[1:]:
            self._loop.loop.add_reader(fd, self._turn)

    def _heard_ring(self) -> None:
        if self._threads is not None:
            self._threads.poller.heard_ring()
        self._turn()
