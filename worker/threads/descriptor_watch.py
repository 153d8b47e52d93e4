"""DescriptorWatch: descriptors and times that the leading request thread looks after.

For handlers whose requests wait for somebody else's bytes: a thread that waits for each costs a
hand-over, and a fight for the interpreter, at each of their steps. The leader waits anyway.

What is called is ours alone, never blocks and takes microseconds. It runs between two turns of the
leader, so no two calls ever run at once, whoever leads.
"""

from __future__ import annotations

import heapq
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from math import inf

from was.log import log_exception

__all__ = ["DescriptorWatch"]

MOST_EVENTS = 64  # a turn


class DescriptorWatch:
    """Everything but `look` is for any thread."""

    def __init__(
        self,
        wait_for: Callable[[int], None],
        wake: Callable[[], None],
        go_on: Callable[[Callable[[], None]], None],
        give_up_lead: Callable[[], None],
    ) -> None:
        """`wait_for` has the leader's wait end when a descriptor can be read, `wake` at once."""
        # Runs a callable, which must not raise, on a request thread. If it is to block it says so.
        self.go_on = go_on
        self.give_up_lead = give_up_lead
        self._wait_for = wait_for
        self._wake = wake
        self._opening = threading.Lock()
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._soon: deque[Callable[[], None]] = deque()
        # Pushed and popped by single calls into C, so no lock is needed.
        self._times: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.is_used = False

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back while the descriptor can be read, or its other end has gone."""
        self._callbacks[fd] = callback
        (self._epoll or self._open()).register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """No more calls for it; before it is closed."""
        if self._callbacks.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back in the leader's next turn, or in this one."""
        self._soon.append(callback)
        self.is_used = True
        self._wake()

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back at a time of the monotonic clock, or soon after."""
        heapq.heappush(self._times, (when, next(self._numbers), callback))
        self.is_used = True
        self._wake()

    def close(self) -> None:
        """Nobody leads any more."""
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            epoll.close()

    def _open(self) -> select.epoll:
        with self._opening:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._wait_for(self._epoll.fileno())
                self.is_used = True
            return self._epoll

    # ── from the leader ─────────────────────────────────────────────────────────────────────────

    @property
    def has_posts(self) -> bool:
        """Whether `look` has something to do at once."""
        return bool(self._soon)

    def wait_s(self) -> float:
        """For how many seconds nothing is due; `inf`: for ever."""
        times = self._times
        return max(0.0, times[0][0] - time.monotonic()) if times else inf

    def wait_ms(self, most: int) -> int:
        """For how many milliseconds nothing is due, at most so many."""
        if not self._times:
            return most
        return min(most, int(self.wait_s() * 1000) + 1)

    def look(self) -> None:
        """Call back for everything that has happened."""
        if self._epoll is not None:
            for fd, _ in self._epoll.poll(0, MOST_EVENTS):
                callback = self._callbacks.get(fd)
                if callback is not None:
                    _call(callback)
        while self._times and self._times[0][0] <= time.monotonic():
            _call(heapq.heappop(self._times)[2])
        while self._soon:
            _call(self._soon.popleft())


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 the worker cannot live without its leader
        log_exception("leadership_error", error)
