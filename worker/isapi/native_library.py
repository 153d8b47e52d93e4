"""A shared object of the kind that Windows calls a DLL: entry points, and DllMain."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import c_int32, c_uint32, c_void_p

from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError

__all__ = ["NativeLibrary"]

_PROCESS_DETACH, _PROCESS_ATTACH, _THREAD_ATTACH, _THREAD_DETACH = range(4)


class NativeLibrary:
    """One loaded file."""

    def __init__(self, path: str) -> None:
        """dlopen. Raises ImageError with what the loader says."""
        self.path = path
        self._threads = threading.local()
        try:
            self._library = ctypes.CDLL(path, mode=ctypes.DEFAULT_MODE, use_errno=True)
        except OSError as error:
            raise ImageError(path, Win32.MOD_NOT_FOUND, str(error)) from None
        self._main = self.entry("DllMain", c_int32, c_void_p, c_uint32, c_void_p)

    def entry(self, name: str, result: type, *arguments: type) -> Callable[..., int] | None:
        """An exported function, None if there is none of that name."""
        try:
            function = self._library[name]
        except AttributeError:
            return None
        function.restype = result
        function.argtypes = arguments
        entry: Callable[..., int] = function
        return entry

    def require(self, name: str, result: type, *arguments: type) -> Callable[..., int]:
        """The same; ImageError where it is missing."""
        found = self.entry(name, result, *arguments)
        if found is None:
            raise ImageError(self.path, Win32.PROC_NOT_FOUND, f"it does not export {name}")
        return found

    # ── DllMain ─────────────────────────────────────────────────────────────────────────────────

    def attach_process(self) -> None:
        """DLL_PROCESS_ATTACH. Raises ImageError where it answers FALSE."""
        if self._main is not None and not self._main(self._library._handle, _PROCESS_ATTACH, None):
            raise ImageError(self.path, Win32.DLL_INIT_FAILED, "DllMain answered FALSE")
        self._threads.attached = True  # the thread that loads is not announced, as on Windows

    def attach_thread(self) -> None:
        """DLL_THREAD_ATTACH for a thread that calls in for the first time."""
        if self._main is not None and not getattr(self._threads, "attached", False):
            self._threads.attached = True
            self._main(self._library._handle, _THREAD_ATTACH, None)
            self._threads.detach = _AtThreadEnd(self)

    def detach_thread(self) -> None:
        """DLL_THREAD_DETACH: a thread that has called in ends."""
        if self._main is not None:
            self._main(self._library._handle, _THREAD_DETACH, None)

    def detach_process(self) -> None:
        """DLL_PROCESS_DETACH. Threads that end after it are not announced any more."""
        main, self._main = self._main, None
        if main is not None:
            main(self._library._handle, _PROCESS_DETACH, None)


class _AtThreadEnd:
    """Lies in the thread's own storage: goes when the thread goes, on that thread."""

    def __init__(self, library: NativeLibrary) -> None:
        self._library = library

    def __del__(self) -> None:
        self._library.detach_thread()
