"""Monitor: the thread that notices when whoever leads the request threads is held up.

It looks every MONITOR_INTERVAL_S while requests run, and sleeps else.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from typing import Protocol

__all__ = ["Monitor"]

MONITOR_INTERVAL_S = 0.002
# It goes to sleep after this many looks without a running request.
MONITOR_IDLE_LOOKS = 25


class Watched(Protocol):
    """The request threads, as the monitor sees them."""

    def is_idle(self) -> bool:
        """Whether nothing runs, as far as is known."""
        ...

    def is_late(self) -> bool:
        """Whether the leader has been at one thing for too long, and may be deposed."""
        ...

    def depose(self) -> None:
        """Give the lead to somebody else, if it is late still."""
        ...

    def unseen_work(self) -> tuple[int, ...] | None:
        """Descriptors that tell of work nobody may begin; None: who begins work wakes us."""
        ...


class Monitor:
    """Started once, stopped once; any thread wakes it."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._main, name="monitor", daemon=True)
        self._is_stopped = False
        # Who begins to run a request looks at this, and wakes it where it is false.
        self.is_awake = False

    def start(self) -> None:
        """Start its thread."""
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end soon."""
        self._is_stopped = True
        self.wake()

    def close(self) -> None:
        """After `stop`: wait for the thread, and give the descriptor back."""
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._fd)

    def wake(self) -> None:
        """Look again, and anew at what there is to look at."""
        self.is_awake = True
        with suppress(BlockingIOError):
            os.eventfd_write(self._fd, 1)

    def _main(self) -> None:
        watched = self._watched
        idle_looks = 0
        while not self._is_stopped:
            if idle_looks > MONITOR_IDLE_LOOKS:
                self._sleep()
                idle_looks = 0
            time.sleep(MONITOR_INTERVAL_S)
            idle_looks = idle_looks + 1 if watched.is_idle() else 0
            if watched.is_late():
                watched.depose()

    def _sleep(self) -> None:
        self.is_awake = False
        fds = self._watched.unseen_work()
        # The leader may have begun a request between our last look and the line above.
        if fds is None and not self._watched.is_idle():
            self.is_awake = True
            return
        poll = select.poll()
        for fd in (self._fd, *(fds or ())):
            poll.register(fd, select.POLLIN)
        poll.poll()
        self.is_awake = True
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)
