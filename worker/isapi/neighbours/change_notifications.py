"""Notifications of changed folders, by number: what FindFirstChangeNotification hands out.

A handle is signalled from the first change until FindNextChangeNotification, as on Windows. Closing
it ends a wait for it, which extensions rely on to end their watching threads.
"""

from __future__ import annotations

import itertools
import os
import select
import threading
import time
from contextlib import suppress

from was.file_watch import FolderWatch
from was.worker.isapi.neighbours import winerror
from was.worker.isapi.neighbours.pywintypes import error

__all__ = ["close", "first", "rearm", "wait"]

_numbers = itertools.count(0x20000000, 4)  # neither descriptors nor ports
_open: dict[int, _Notification] = {}


class _Notification:
    """One folder, with or without those below it."""

    def __init__(self, folder: str, is_tree: bool) -> None:
        self._watch = FolderWatch()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self.is_closed = False
        self.is_signalled = False
        self._watch.add(folder)
        for at, _, _ in os.walk(folder) if is_tree else ():
            self._watch.add(at)

    def wait(self, limit_s: float | None) -> bool:
        """Whether it is signalled; waits for that, or for its end."""
        deadline = None if limit_s is None else time.monotonic() + limit_s
        poll = select.poll()
        poll.register(self._watch.fd, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        while not (self.is_signalled or self.is_closed):
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not poll.poll(None if left_s is None else left_s * 1000) and left_s == 0.0:
                return False
            with self._lock:
                self.is_signalled |= bool(self._watch.changes())
        return self.is_signalled

    def end(self) -> None:
        """Wake who waits. The descriptors go with the last user."""
        self.is_closed = True
        os.eventfd_write(self._bell, 1)

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self._bell)
            os.close(self._watch.fd)


def first(folder: str, is_tree: bool) -> int:
    """A handle for a folder's changes. Raises `error` 2 if it cannot be watched."""
    try:
        made = _Notification(folder, is_tree)
    except OSError as failure:
        text = failure.strerror or ""
        raise error(winerror.ERROR_FILE_NOT_FOUND, "FindFirstChangeNotification", text) from None
    number = next(_numbers)
    _open[number] = made
    return number


def wait(handle: int, limit_s: float | None) -> bool:
    """Whether a handle is signalled within so many seconds. Raises `error` 6."""
    notification = _find(handle, "WaitForSingleObject")
    has_changed = notification.wait(limit_s)
    if notification.is_closed:
        raise _invalid("WaitForSingleObject")
    return has_changed


def rearm(handle: int) -> None:
    """Wait for the next change. Raises `error` 6."""
    _find(handle, "FindNextChangeNotification").is_signalled = False


def close(handle: int) -> None:
    """No more notifications. Raises `error` 6."""
    _find(handle, "FindCloseChangeNotification").end()
    del _open[handle]


def _find(handle: int, function: str) -> _Notification:
    found = _open.get(handle)
    if found is None:
        raise _invalid(function)
    return found


def _invalid(function: str) -> error:
    return error(winerror.ERROR_INVALID_HANDLE, function, "not a handle of this process")
