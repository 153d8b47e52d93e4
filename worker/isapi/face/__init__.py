"""isapi: what extensions written for pywin32's package of this name import.

In a worker `import isapi` finds this package (see was.worker.isapi.import_names).
"""

from __future__ import annotations

__all__ = ["ExtensionError", "FilterError", "ISAPIError", "InternalReloadException"]


class ISAPIError(Exception):
    """A server function has failed: `errno` is the Win32 error, `funcname` the function."""

    def __init__(
        self, errno: int, strerror: str | None = None, funcname: str | None = None
    ) -> None:
        super().__init__(errno, strerror, funcname)
        self.errno = errno
        self.strerror = strerror
        self.funcname = funcname

    def __str__(self) -> str:
        text = self.strerror if self.strerror is not None else f"error {self.errno}"
        return f"({self.errno}, {self.funcname!r}, {text!r})"


class ExtensionError(ISAPIError):
    """Of an extension's control block."""


class FilterError(ISAPIError):
    """Of a filter's context."""


class InternalReloadException(Exception):
    """Raised by HttpExtensionProc: have the module loaded anew, and call the new object."""
