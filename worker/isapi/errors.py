"""How server functions fail, and why an extension cannot be loaded."""

from __future__ import annotations

from was.errors import WasError
from was.worker.isapi.constants import Win32

__all__ = ["ImageError", "ServerFunctionError", "invalid"]


class ServerFunctionError(WasError):
    """A server function answers FALSE; `number` is what GetLastError says then.

    An extension in Python gets it as isapi.ExtensionError.
    """

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = int(number)


class ImageError(WasError):
    """An extension cannot be loaded: the file, the reason, and a Win32 error number."""

    def __init__(self, path: str, number: int, reason: str, traceback: str = "") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.number = int(number)
        self.reason = reason
        self.traceback = traceback


def invalid(text: str) -> ServerFunctionError:
    """ERROR_INVALID_PARAMETER."""
    return ServerFunctionError(Win32.INVALID_PARAMETER, text)
