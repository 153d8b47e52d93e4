"""win32file: completion ports as queues, files to transmit as descriptors, changed folders."""

from __future__ import annotations

import itertools
import os
import queue
from typing import Any

from was.worker.isapi.neighbours import change_notifications, win32event
from was.worker.isapi.neighbours.pywintypes import error

__all__ = [
    "FILE_FLAG_OVERLAPPED",
    "FILE_FLAG_SEQUENTIAL_SCAN",
    "FILE_SHARE_READ",
    "GENERIC_READ",
    "INVALID_HANDLE_VALUE",
    "OPEN_EXISTING",
    "CloseHandle",
    "CreateFile",
    "CreateIoCompletionPort",
    "FileHandle",
    "FindCloseChangeNotification",
    "FindFirstChangeNotification",
    "FindNextChangeNotification",
    "GetQueuedCompletionStatus",
    "PostQueuedCompletionStatus",
    "error",
]

INVALID_HANDLE_VALUE = -1
GENERIC_READ = 0x80000000
FILE_SHARE_READ = 1
OPEN_EXISTING = 3
FILE_FLAG_SEQUENTIAL_SCAN = 0x08000000
FILE_FLAG_OVERLAPPED = 0x40000000

ERROR_INVALID_HANDLE = 6
ERROR_NOT_SUPPORTED = 50

_Packet = tuple[int, int, int, Any]
_ports: dict[int, queue.SimpleQueue[_Packet]] = {}
_numbers = itertools.count(0x40000000, 4)  # far from descriptors


class FileHandle:
    """An open file; its int is a descriptor. Closed with the object."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __int__(self) -> int:
        return self._fd

    def Close(self) -> None:
        """Close it; again is harmless."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    close = Close

    def __del__(self) -> None:
        self.Close()


def CreateFile(
    name: str,
    access: int,
    share: int,
    attributes: object,
    disposition: int,
    flags: int,
    template: object,
) -> FileHandle:
    """Open an existing file to read."""
    del share, attributes, flags, template
    if access != GENERIC_READ or disposition != OPEN_EXISTING:
        raise error(ERROR_NOT_SUPPORTED, "CreateFile", "only reading existing files")
    try:
        return FileHandle(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as failure:
        number = {1: 5, 2: 2, 13: 5}.get(failure.errno or 0, 2)
        raise error(number, "CreateFile", failure.strerror or "") from None


def CreateIoCompletionPort(file: object, port: int | None, key: int, threads: int) -> int:
    """A new port; files cannot be tied to it."""
    del key, threads
    if file != INVALID_HANDLE_VALUE or port:
        raise error(ERROR_NOT_SUPPORTED, "CreateIoCompletionPort", "ports take posts only")
    number = next(_numbers)
    _ports[number] = queue.SimpleQueue()
    return number


def PostQueuedCompletionStatus(port: int, count: int, key: int, overlapped: Any) -> None:
    """Put a packet into the port."""
    _port(port, "PostQueuedCompletionStatus").put((0, count, key, overlapped))


def GetQueuedCompletionStatus(port: int, timeout: int) -> _Packet:
    """The next packet: (error, bytes, key, overlapped); WAIT_TIMEOUT after `timeout` ms."""
    packets = _port(port, "GetQueuedCompletionStatus")
    try:
        return packets.get(timeout=None if timeout == win32event.INFINITE else timeout / 1000)
    except queue.Empty:
        return win32event.WAIT_TIMEOUT, 0, 0, None


def CloseHandle(handle: int | FileHandle) -> None:
    """Close a port or a file."""
    if isinstance(handle, FileHandle):
        handle.Close()
    elif _ports.pop(handle, None) is None:
        raise error(ERROR_INVALID_HANDLE, "CloseHandle", "not a port of this process")


def FindFirstChangeNotification(folder: str, is_tree: bool, kinds: int) -> int:
    """A handle to wait for: it is signalled by a change of any kind in the folder."""
    del kinds
    return change_notifications.first(folder or ".", bool(is_tree))


def FindNextChangeNotification(handle: int) -> None:
    """Have it signalled by the next change."""
    change_notifications.rearm(handle)


def FindCloseChangeNotification(handle: int) -> None:
    """Close it; who waits for it gets error 6."""
    change_notifications.close(handle)


def _port(number: int, function: str) -> queue.SimpleQueue[_Packet]:
    packets = _ports.get(number)
    if packets is None:
        raise error(ERROR_INVALID_HANDLE, function, "not a port of this process")
    return packets
