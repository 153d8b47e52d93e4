"""win32api: errors and their texts, and where a handle's module lies."""

from __future__ import annotations

import sys
import threading

from was.worker.isapi.neighbours import winerror
from was.worker.isapi.neighbours.pywintypes import error

__all__ = [
    "FormatMessage",
    "GetConsoleTitle",
    "GetLastError",
    "GetModuleFileName",
    "SetLastError",
    "error",
]

_thread = threading.local()

_NAMES = {
    number: name for name, number in vars(winerror).items() if name.startswith(("ERROR_", "WAIT_"))
}


def FormatMessage(number: int) -> str:
    """The name of a Win32 error, its number where none is known."""
    return _NAMES.get(number, f"error {number}")


def SetLastError(number: int) -> None:
    """The thread's last error: why a filter answers SF_STATUS_REQ_ERROR."""
    _thread.error = int(number)


def GetLastError() -> int:
    """What SetLastError has set on this thread."""
    return int(getattr(_thread, "error", 0))


def GetModuleFileName(handle: int) -> str:
    """The file of the extension that was loaded with a handle (sys.isapidllhandle)."""
    from was.worker.isapi.python_image import file_of_handle

    path = file_of_handle(handle)
    if path is None:
        if handle == 0:
            return sys.executable
        raise error(winerror.ERROR_INVALID_HANDLE, "GetModuleFileName", "not a module's handle")
    return path


def GetConsoleTitle() -> str:
    """A worker has no console."""
    raise error(winerror.ERROR_INVALID_HANDLE, "GetConsoleTitle", "there is no console")
