"""A compiled extension: a Linux shared object with the entry points of httpext.h.

It is called with the interpreter's lock released, on the request's thread. What it breaks is this
process, so the entry point and the file are noted in the request's row before each call.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import c_int32, c_uint32, c_void_p
from threading import get_ident

from was.log import log
from was.worker.application_calls import inside, settle
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError
from was.worker.isapi.native_session import NativeSession, serve_support_functions
from was.worker.isapi.native_support import TABLE
from was.worker.isapi.native_types import HSE_VERSION_INFO
from was.worker.isapi.note import CallNote
from was.worker.isapi.session import Session

__all__ = ["NativeExtension"]

serve_support_functions(TABLE)

_PROCESS_DETACH, _PROCESS_ATTACH, _THREAD_ATTACH, _THREAD_DETACH = range(4)


class NativeExtension:
    """One loaded shared object."""

    def __init__(self, path: str) -> None:
        """Load it, DllMain, GetExtensionVersion. Raises ImageError."""
        self.path = path
        self._notes = {
            name: CallNote(name, path) for name in ("HttpExtensionProc", "IO_COMPLETION")
        }
        self._threads = threading.local()
        try:
            self._library = ctypes.CDLL(path, mode=ctypes.DEFAULT_MODE)
        except OSError as error:
            raise ImageError(path, Win32.MOD_NOT_FOUND, str(error)) from None
        self._main = self._entry("DllMain", c_int32, c_void_p, c_uint32, c_void_p)
        get_version = self._entry("GetExtensionVersion", c_int32, c_void_p)
        process = self._entry("HttpExtensionProc", c_uint32, c_void_p)
        self._terminate = self._entry("TerminateExtension", c_int32, c_uint32)
        for name, found in (("GetExtensionVersion", get_version), ("HttpExtensionProc", process)):
            if found is None:
                raise ImageError(path, Win32.PROC_NOT_FOUND, f"it does not export {name}")
        assert get_version is not None
        assert process is not None
        self._process = process
        self._attach_process()
        info = HSE_VERSION_INFO()
        if not get_version(ctypes.addressof(info)):
            raise ImageError(path, Win32.DLL_INIT_FAILED, "GetExtensionVersion answered FALSE")
        description = info.lpszExtensionDesc.decode("utf-8", "replace")
        log("isapi_loaded", library=path, description=description)

    def _entry(self, name: str, result: type, *arguments: type) -> Callable[..., int] | None:
        try:
            function = self._library[name]
        except AttributeError:
            return None
        function.restype = result
        function.argtypes = arguments
        entry: Callable[..., int] = function
        return entry

    # ── DllMain ─────────────────────────────────────────────────────────────────────────────────

    def _attach_process(self) -> None:
        if self._main is not None and not self._main(self._library._handle, _PROCESS_ATTACH, None):
            raise ImageError(self.path, Win32.DLL_INIT_FAILED, "DllMain answered FALSE")
        self._threads.attached = True  # the thread that loads is not announced, as on Windows

    def _attach_thread(self) -> None:
        """A thread that calls in for the first time."""
        if self._main is not None and not getattr(self._threads, "attached", False):
            self._threads.attached = True
            self._main(self._library._handle, _THREAD_ATTACH, None)
            self._threads.detach = _AtThreadEnd(self)

    def detach_thread(self) -> None:
        """A thread that has called in ends."""
        if self._main is not None:
            self._main(self._library._handle, _THREAD_DETACH, None)

    # ── calls ───────────────────────────────────────────────────────────────────────────────────

    def call(self, session: Session) -> int:
        """HttpExtensionProc on this thread, marked."""
        exchange, proof = session.context.exchange, session.proof
        self._notes["HttpExtensionProc"].leave(exchange)

        def enter(entry_point: str) -> None:
            self._notes[entry_point].leave(exchange)
            self._attach_thread()

        native = NativeSession(session, enter)
        self._attach_thread()
        inside[proof] = get_ident()
        try:
            status = self._process(native.address)
        finally:
            if inside.pop(proof, None) is None:
                settle(proof)
        return status

    def terminate(self, flags: int) -> None:
        """TerminateExtension, if it has one, then DllMain(DLL_PROCESS_DETACH)."""
        main, self._main = self._main, None
        log("isapi_ending", library=self.path)
        if self._terminate is not None:
            self._terminate(int(flags))
        if main is not None:
            main(self._library._handle, _PROCESS_DETACH, None)


class _AtThreadEnd:
    """Lies in the thread's own storage: goes when the thread goes, on that thread."""

    def __init__(self, extension: NativeExtension) -> None:
        self._extension = extension

    def __del__(self) -> None:
        self._extension.detach_thread()
