"""IHttpServer::AssociateWithThreadPool: a routine is called when its descriptor is ready.

One thread waits for all of them; each call has a thread of its own, so that one that takes long
holds up no other. A descriptor is looked at again when its call has come back.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from was.log import log_exception
from was.worker.interfaces.hresult import ERROR_ALREADY_EXISTS, ERROR_INVALID_HANDLE, HResultError

__all__ = ["DescriptorCallbacks"]

Routine = Callable[[int], None]


class DescriptorCallbacks:
    """The descriptors of one worker's modules. Any thread; the thread starts with the first."""

    def __init__(self, run: Callable[[Callable[[], None]], None]) -> None:
        """`run` runs a callable on another thread."""
        self._run = run
        self._lock = threading.Lock()
        self._routines: dict[int, Routine] = {}
        self._epoll: select.epoll | None = None
        self._stop_fd = -1
        self._thread: threading.Thread | None = None

    def associate(self, fd: int, routine: Routine) -> None:
        """Call `routine(fd)` each time the descriptor can be read, or its other end has gone.

        HResultError: ERROR_INVALID_HANDLE for what cannot be waited for, ERROR_ALREADY_EXISTS.
        """
        with self._lock:
            if fd in self._routines:
                raise HResultError(ERROR_ALREADY_EXISTS, f"descriptor {fd} has a routine")
            epoll = self._start()
            try:
                epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)
            except (OSError, ValueError) as error:
                raise HResultError(ERROR_INVALID_HANDLE, f"descriptor {fd}: {error}") from error
            self._routines[fd] = routine

    def dissociate(self, fd: int) -> None:
        """No more calls for the descriptor; before it is closed. One that runs goes on."""
        with self._lock:
            if self._routines.pop(fd, None) is not None and self._epoll is not None:
                with suppress(OSError, ValueError):
                    self._epoll.unregister(fd)

    def _start(self) -> select.epoll:
        if self._epoll is None:
            self._epoll = select.epoll()
            self._stop_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._epoll.register(self._stop_fd, select.EPOLLIN)
            self._thread = threading.Thread(target=self._wait, name="descriptors", daemon=True)
            self._thread.start()
        return self._epoll

    def _wait(self) -> None:
        epoll = self._epoll
        assert epoll is not None
        while True:
            for fd, _ in epoll.poll():
                if fd == self._stop_fd:
                    return
                routine = self._routines.get(fd)
                if routine is not None:
                    self._run(partial(self._call, fd, routine))

    def _call(self, fd: int, routine: Routine) -> None:
        try:
            routine(fd)
        except BaseException as error:  # noqa: BLE001 whatever a module raises ends here
            log_exception("module_failed", error, during="a descriptor's routine")
        with self._lock:
            if self._routines.get(fd) is routine and self._epoll is not None:
                with suppress(OSError, ValueError):  # closed by now
                    self._epoll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def close(self) -> None:
        """The worker ends: wait for nothing any more."""
        with self._lock:
            self._routines = {}
            thread = self._thread
        if thread is None:
            return
        os.eventfd_write(self._stop_fd, 1)
        thread.join()
        with self._lock:
            if self._epoll is not None:
                self._epoll.close()
            os.close(self._stop_fd)
            self._epoll, self._thread, self._stop_fd = None, None, -1
