"""pywintypes: the error that win32 functions raise, and OVERLAPPED."""

from __future__ import annotations

from typing import Any

__all__ = ["OVERLAPPED", "error"]


class error(Exception):
    """A win32 function failed: (winerror, funcname, strerror)."""

    def __init__(self, winerror: int = 0, funcname: str = "", strerror: str = "") -> None:
        super().__init__(winerror, funcname, strerror)
        self.winerror = winerror
        self.funcname = funcname
        self.strerror = strerror


class OVERLAPPED:
    """What travels through a completion port, with any object."""

    def __init__(self) -> None:
        self.object: Any = None
        self.Offset = 0
        self.OffsetHigh = 0
