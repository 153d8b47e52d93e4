"""SlowAnswers: what takes too long for a request thread is found on a few threads of its own.

A password hash or a name lookup must not hold up other requests. The request that needs an answer
is PENDING meanwhile; answers are remembered for a while, found once for all who wait for the same,
and bounded in every direction: threads, those who wait, what is remembered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from was.log import log_exception

__all__ = ["SlowAnswers"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# A thread without work ends; the next question starts one.
_IDLE_S = 5.0


class SlowAnswers(Generic[K, V]):
    """Answers by key. Any thread may ask."""

    def __init__(
        self,
        *,
        lifetime_s: float,
        most: int,
        threads: int,
        most_waiting: int,
        keeps: Callable[[V], bool] = lambda _: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` answers that `keeps` wants are remembered; `most_waiting` requests may wait."""
        self._lifetime_s = lifetime_s
        self._most = most
        self._most_threads = threads
        self._most_waiting = most_waiting
        self._keeps = keeps
        self._now = now
        self._changed = threading.Condition()
        self._known: dict[K, tuple[float, V]] = {}
        self._waiting: dict[K, list[Callable[[V | None], None]]] = {}
        self._work: deque[tuple[K, Callable[[], V]]] = deque()
        self._asked = 0
        self._threads = 0
        self._idle = 0

    def known(self, key: K) -> V | None:
        """The answer, if it is remembered."""
        found = self._known.get(key)
        if found is None or found[0] <= self._now():
            return None
        return found[1]

    def ask(self, key: K, work: Callable[[], V], done: Callable[[V | None], None]) -> bool:
        """Have `work` find the answer and `done` be told; False if too many wait already.

        `done` is called once, on a thread of ours, maybe before this returns; None: `work` raised.
        """
        with self._changed:
            if self._asked >= self._most_waiting:
                return False
            waiting = self._waiting.get(key)
            if waiting is None:
                if not self._has_thread():
                    return False
                waiting = self._waiting[key] = []
                self._work.append((key, work))
                self._changed.notify()
            waiting.append(done)
            self._asked += 1
        return True

    def _has_thread(self) -> bool:
        """Whether a thread will do the next work; one more is started where all are busy."""
        if self._idle <= len(self._work) and self._threads < self._most_threads:
            try:
                threading.Thread(target=self._run, name="slow-answers", daemon=True).start()
            except RuntimeError:  # the pool may have no more tasks
                return self._threads > 0
            self._threads += 1
        return True

    def forget(self) -> None:
        """Remember nothing any more."""
        with self._changed:
            self._known.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._work:
                    self._idle += 1
                    is_told = self._changed.wait(_IDLE_S)
                    self._idle -= 1
                    if not is_told and not self._work:
                        self._threads -= 1
                        return
                key, work = self._work.popleft()
            self._answer(key, work)

    def _answer(self, key: K, work: Callable[[], V]) -> None:
        answer: V | None = None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 whoever waits is told that there is none
            log_exception("unexpected_error", error, during="slow answer")
        with self._changed:
            if answer is not None and self._keeps(answer):
                self._remember(key, answer)
            waiting = self._waiting.pop(key)
            self._asked -= len(waiting)
        for done in waiting:
            try:
                done(answer)
            except Exception as error:  # noqa: BLE001 the others are told all the same
                log_exception("unexpected_error", error, during="slow answer")

    def _remember(self, key: K, answer: V) -> None:
        if len(self._known) >= self._most:
            now = self._now()
            self._known = {k: v for k, v in self._known.items() if v[0] > now}
            while len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
        self._known[key] = (self._now() + self._lifetime_s, answer)
