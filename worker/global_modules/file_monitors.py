"""FileMonitors: files and folders that modules want to hear of, told by the kernel.

A monitor of a file hears of that name in its folder; one of a folder hears of everything in it, not
below it, and of the folder itself. Whoever polls `fd` asks `changes`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from was.file_watch import OVERFLOW, FolderWatch
from was.worker.interfaces.hresult import (
    E_FAIL,
    ERROR_ACCESS_DENIED,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
    ERROR_PATH_NOT_FOUND,
    HResultError,
)
from was.worker.interfaces.stored_contexts import ModuleContextContainer

__all__ = ["FileMonitor", "FileMonitors"]


class FileMonitor:
    """IHttpFileMonitor: held until it is dereferenced; its stored contexts are told then."""

    def __init__(self, path: str, end: Callable[[FileMonitor], None]) -> None:
        self.path = path
        self.module_context_container = ModuleContextContainer()
        self._end = end

    def dereference_file_monitor(self) -> None:
        """Hear of it no more. Once; later calls do nothing."""
        end, self._end = self._end, _nothing
        end(self)


def _nothing(_: FileMonitor) -> None:
    pass


class FileMonitors:
    """All monitors of one worker. Any thread registers; one asks for changes."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` makes whoever polls look at `fd` again."""
        self._wake = wake
        self._lock = threading.Lock()
        self._watch: FolderWatch | None = None
        # By the folder that is watched for it.
        self._monitors: dict[str, list[FileMonitor]] = {}
        self._lost: set[str] = set()  # folders that went, and are watched when they come again
        self._is_closed = False

    @property
    def fd(self) -> int:
        """To be polled; -1 while nothing is monitored."""
        watch = self._watch
        return -1 if watch is None else watch.fd

    def register(self, path: str) -> FileMonitor:
        """Monitor a file, there or not, or a folder.

        HResultError: ERROR_INVALID_PARAMETER for a path that is not absolute, else what the
        system says of the folder (ERROR_PATH_NOT_FOUND, ERROR_ACCESS_DENIED …).
        """
        if not os.path.isabs(path):
            raise HResultError(ERROR_INVALID_PARAMETER, f"'{path}' is not an absolute path")
        path = os.path.normpath(path)
        monitor = FileMonitor(path, self._drop)
        with self._lock:
            if self._is_closed:
                raise HResultError(E_FAIL, "the worker ends")
            is_first = self._watch is None
            try:
                if self._watch is None:
                    self._watch = FolderWatch()
                self._watch.add(_folder_of(path))
            except OSError as error:
                raise HResultError(_as_win32(error), f"{path}: {error.strerror}") from error
            self._monitors.setdefault(_folder_of(path), []).append(monitor)
        if is_first:
            self._wake()
        return monitor

    def _drop(self, monitor: FileMonitor) -> None:
        with self._lock:
            for folder, monitors in list(self._monitors.items()):
                if monitor in monitors:
                    monitors.remove(monitor)
                    if not monitors:
                        del self._monitors[folder]
                        if self._watch is not None:
                            self._watch.keep(self._monitors)
        monitor.module_context_container.cleanup()

    def changes(self) -> list[tuple[str, FileMonitor]]:
        """(path, monitor) of what has changed since the last call. Never blocks."""
        found: list[tuple[str, FileMonitor]] = []
        with self._lock:
            if self._watch is None:
                return found
            changes = sorted(self._watch.changes())
            if any(change.folder == OVERFLOW for change in changes):
                return [(m.path, m) for monitors in self._monitors.values() for m in monitors]
            for folder in sorted(self._lost):
                if self._watch_again(folder):
                    found += ((m.path, m) for m in self._monitors.get(folder, ()))
            for change in changes:
                path = os.path.join(change.folder, change.name) if change.name else change.folder
                found += (
                    (path, monitor)
                    for monitor in self._monitors.get(change.folder, ())
                    if not change.name or monitor.path in (path, change.folder)
                )
                if not change.name:
                    self._watch_again(change.folder)
        return found

    def _watch_again(self, folder: str) -> bool:
        """The folder went; whether another one is there under its name."""
        if self._watch is None or folder not in self._monitors:
            self._lost.discard(folder)
            return False
        try:
            self._watch.add(folder)
        except OSError:
            self._lost.add(folder)
            return False
        self._lost.discard(folder)
        return True

    def close(self) -> None:
        """The worker ends: every monitor does."""
        with self._lock:
            self._is_closed = True
            monitors = [m for of_folder in self._monitors.values() for m in of_folder]
        for monitor in monitors:
            monitor.dereference_file_monitor()
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None


def _folder_of(path: str) -> str:
    return path if os.path.isdir(path) else os.path.dirname(path)


def _as_win32(error: OSError) -> int:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ERROR_PATH_NOT_FOUND
    return ERROR_ACCESS_DENIED if isinstance(error, PermissionError) else ERROR_NOT_SUPPORTED
