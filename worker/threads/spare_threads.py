"""Threads beside the request threads: for what goes on after PENDING, and for what waits.

A completion that came (post_completion), a read or write that waits for the client, the call of a
descriptor's routine: each has a thread of its own while it runs, as it may block for as long as it
likes. A thread that has finished waits a while for the next one: waking it takes half the time
of starting another.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from was.log import log_exception
from was.worker.process.last_work import make_thread

__all__ = ["SpareThreads", "run_on_spare_thread"]

IDLE_S = 10.0


class SpareThreads:
    """As many threads as there is work at one time. Any thread may call `run`."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._work: deque[Callable[[], None]] = deque()
        self._idle = 0
        self._count = 0  # of all threads

    def run(self, work: Callable[[], None]) -> None:
        """Have it done by another thread, soon. What it raises is logged.

        Where the system gives no further thread it waits for one of those there are. Raises
        RuntimeError, and nothing is done, if there is none.
        """
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._changed.notify()
                return
            self._count += 1
        try:
            make_thread(self._main, "spare").start()
        except RuntimeError:
            with self._changed:
                self._count -= 1
                if not self._count and work in self._work:
                    self._work.remove(work)
                    raise

    def _main(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 whatever a module raises ends here
                log_exception("module_failed", error, during="a thread beside the request threads")
            del work  # and the request that it holds

    def _next(self) -> Callable[[], None] | None:
        """The next piece of work; None when there was none for so long."""
        with self._changed:
            self._idle += 1
            try:
                if self._changed.wait_for(lambda: self._work, self._idle_s):
                    return self._work.popleft()
                self._count -= 1
                return None
            finally:
                self._idle -= 1


run_on_spare_thread = SpareThreads().run
