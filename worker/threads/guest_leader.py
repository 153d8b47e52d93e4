"""An event loop that leads the request threads: what they need of it, and when it is stuck.

A request for an application on the event loop would be received by one thread and run by another,
and every hand-over costs both of them more than the request itself. So where all that is worth
mentioning runs on the loop, the loop leads (see request_threads.py): it receives, runs and sends,
and nobody is woken. When something blocks it, a thread takes the lead from it until it goes on.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from was.worker.exchange import Exchange
    from was.worker.threads.request_threads import RequestThreads

__all__ = ["GUEST_HAND_OVER_S", "Guest", "GuestWatch"]

# So long a loop may be at one thing. Longer than a thread may: most of what waits meanwhile is for
# the loop anyway, and many short steps are one turn of it.
GUEST_HAND_OVER_S = 0.025


class Guest(Protocol):
    """The event loop. All but `is_here` and `begin` are called on its own thread."""

    def enter(self, threads: RequestThreads) -> None:
        """Any thread, once: these are the threads that it may lead."""
        ...

    @property
    def is_here(self) -> bool:
        """Whether the caller is the loop's own thread."""
        ...

    def begin(self) -> None:
        """Any thread: it has been given the lead, or has lost it, and looks soon.

        Called under a mutex of the threads', so that it does not follow a farewell: it must not
        call them.
        """
        ...

    def schedule(self) -> None:
        """Something was posted: it sends soon."""
        ...

    def forget_channels(self) -> None:
        """Channels may be closed now: their descriptors are to be let go."""
        ...

    def take_news(self) -> None:
        """What requests of the loop have been told by `receive` is done now."""
        ...

    def runs(self, exchange: Exchange, /) -> bool:
        """Run a request, if it is for the loop; False if it is not."""
        ...


class GuestWatch:
    """For the monitor: whether the loop that leads lets something wait. Pure but for poll(2)."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._fds: tuple[int, ...] = ()
        self._turns = -1
        self._since = 0.0

    def waits(self, fds: tuple[int, ...]) -> bool:
        """Whether there may be something to receive or to send now."""
        if fds is not self._fds:
            self._fds, self._poll = fds, select.poll()
            for fd in fds:
                self._poll.register(fd, select.POLLIN)
        return any(event & select.POLLIN for _, event in self._poll.poll(0))

    def is_stuck(self, turns: int, fds: tuple[int, ...], now: float, *, must_turn: bool) -> bool:
        """Whether it has begun none of its turns since something began to wait, for too long."""
        if not must_turn and not self.waits(fds):
            self._turns = -1
            return False
        if turns != self._turns:
            self._turns, self._since = turns, now
            return False
        return now - self._since >= GUEST_HAND_OVER_S
