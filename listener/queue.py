"""RequestQueue: the requests of one pool that no worker has been given. Pure.

Oldest first, by id: ids count up as requests arrive. A request that comes back from a worker (it
had not begun, or may be repeated) takes its old place and does not count against the limit: it was
admitted once. The same holds for one that is set aside, because the workers with credit may not
have it: it stands in nobody's way, and `take_aside` takes it out. A request that is withdrawn
(client gone, time limit) stays where it lies and is skipped when its turn comes, so that
withdrawing costs nothing however long the queue is; when withdrawn ones outnumber the waiting,
they are swept out together.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["Queued", "RequestQueue"]


# How many withdrawn requests may lie in the queue whatever its limit.
SLACK = 64


class Queued(Protocol):
    """What the queue needs to know of a request."""

    id: int
    is_queued: bool
    queued_at: float


R = TypeVar("R", bound=Queued)


class RequestQueue(Generic[R]):
    """Waiting requests, at most `limit` of them admitted at a time."""

    __slots__ = ("_admitted", "_aside", "_returned", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: deque[R] = deque()
        # (id, request) of what came back; usually empty.
        self._returned: list[tuple[int, R]] = []
        # (id, request) of what was set aside; usually empty.
        self._aside: list[tuple[int, R]] = []
        self._admitted = 0

    def __len__(self) -> int:
        """Requests that wait, those given back included."""
        return self._admitted + sum(
            1 for _, request in (*self._returned, *self._aside) if request.is_queued
        )

    def offer(self, request: R) -> bool:
        """Admit a new request; False when the queue is full (503 QueueFull)."""
        if self._admitted >= self.limit:
            return False
        self._admitted += 1
        request.is_queued = True
        self._waiting.append(request)
        return True

    def give_back(self, request: R) -> None:
        """Take a request back to its place, whatever the limit says."""
        request.is_queued = True
        heapq.heappush(self._returned, (request.id, request))

    # ── what waits for a worker of its own ──────────────────────────────────────────────────────

    def set_aside(self, request: R) -> None:
        """Let a request that was taken wait, and those behind it pass."""
        request.is_queued = True
        heapq.heappush(self._aside, (request.id, request))

    def take_aside(self) -> R | None:
        """The oldest request that was set aside, taken out."""
        aside = self._aside
        while aside:
            _, request = heapq.heappop(aside)
            if request.is_queued:
                request.is_queued = False
                return request
        return None

    def bring_back(self, may_pass: Callable[[R], bool]) -> None:
        """Those set aside that any worker may have after all go back to their places."""
        if not self._aside:
            return
        waiting = [(number, request) for number, request in self._aside if request.is_queued]
        self._aside = []
        for number, request in waiting:
            kind = self._returned if may_pass(request) else self._aside
            heapq.heappush(kind, (number, request))

    @property
    def has_aside(self) -> bool:
        """Whether something may have been set aside."""
        return bool(self._aside)

    # ── leaving without a worker ────────────────────────────────────────────────────────────────

    def withdraw(self, request: R) -> None:
        """Forget a waiting request; nothing happens when it does not wait."""
        if not request.is_queued:
            return
        request.is_queued = False
        if not any(other is request for _, other in (*self._returned, *self._aside)):
            self._admitted -= 1
            if len(self._waiting) > 2 * self.limit + SLACK:
                # Clients that come and go behind one that waits must not fill the memory.
                self._waiting = deque(r for r in self._waiting if r.is_queued)

    def peek(self) -> R | None:
        """The oldest request, left where it is."""
        waiting, returned = self._waiting, self._returned
        while returned and not returned[0][1].is_queued:
            heapq.heappop(returned)
        while waiting and not waiting[0].is_queued:
            waiting.popleft()
        if returned and (not waiting or returned[0][0] < waiting[0].id):
            return returned[0][1]
        return waiting[0] if waiting else None

    def waiting_since(self, limit: float) -> list[R]:
        """Those that have waited since before `limit`; they are left where they are.

        Admitted ones lie in the order in which they began to wait, given-back ones do not.
        """
        back = (*self._returned, *self._aside)
        found = [r for _, r in back if r.is_queued and r.queued_at < limit]
        for request in self._waiting:
            if request.is_queued:
                if request.queued_at >= limit:
                    break
                found.append(request)
        return found

    def take(self) -> R | None:
        """The oldest request, taken out."""
        if not self._returned:
            waiting = self._waiting
            while waiting:
                request = waiting.popleft()
                if request.is_queued:
                    self._admitted -= 1
                    request.is_queued = False
                    return request
            return None
        oldest = self.peek()
        if oldest is None:
            return None
        oldest.is_queued = False
        if self._returned and self._returned[0][1] is oldest:
            heapq.heappop(self._returned)
        else:
            self._waiting.popleft()
            self._admitted -= 1
        return oldest

    def has_waiting(self) -> bool:
        """Whether anything waits. O(1) but for withdrawn ones in front."""
        return self.peek() is not None or any(r.is_queued for _, r in self._aside)

    def __iter__(self) -> Iterator[R]:
        """Everything that waits, oldest first."""
        back = [r for _, r in (*self._returned, *self._aside) if r.is_queued]
        rest = [request for request in self._waiting if request.is_queued]
        return iter(sorted(back + rest, key=lambda request: request.id))

    def take_those(self, wanted: Callable[[R], bool]) -> list[R]:
        """All that are wanted elsewhere, taken out, oldest first.

        Not withdrawn: what lies here and waits in another queue would be waiting here again.
        """
        taken = [request for request in self if wanted(request)]
        if taken:
            for request in taken:
                request.is_queued = False
            self._waiting = deque(r for r in self._waiting if r.is_queued)
            self._admitted = len(self._waiting)
            self._returned = [(n, r) for n, r in self._returned if r.is_queued]
            heapq.heapify(self._returned)
            self._aside = [(n, r) for n, r in self._aside if r.is_queued]
            heapq.heapify(self._aside)
        return taken

    def drain(self) -> list[R]:
        """Take everything out, oldest first."""
        taken = list(self)
        for request in taken:
            request.is_queued = False
        self._waiting.clear()
        self._returned.clear()
        self._aside.clear()
        self._admitted = 0
        return taken
