"""A compiled extension: a Linux shared object with the entry points of httpext.h.

It is called with the interpreter's lock released, on the request's thread. What it breaks is this
process, so the entry point and the file are noted in the request's row before each call.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_uint32, c_void_p
from threading import get_ident

from was.log import log
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError
from was.worker.isapi.native_library import NativeLibrary
from was.worker.isapi.native_session import NativeSession, serve_support_functions
from was.worker.isapi.native_support import TABLE
from was.worker.isapi.native_types import HSE_VERSION_INFO
from was.worker.isapi.note import CallNote
from was.worker.isapi.session import Session
from was.worker.threads.application_calls import inside, settle

__all__ = ["NativeExtension"]

serve_support_functions(TABLE)


class NativeExtension:
    """One loaded shared object."""

    def __init__(self, path: str) -> None:
        """Load it, DllMain, GetExtensionVersion. Raises ImageError."""
        self.path = path
        self._notes = {n: CallNote(n, path) for n in ("HttpExtensionProc", "IO_COMPLETION")}
        library = self._library = NativeLibrary(path)
        get_version = library.require("GetExtensionVersion", c_int32, c_void_p)
        self._process = library.require("HttpExtensionProc", c_uint32, c_void_p)
        self._terminate = library.entry("TerminateExtension", c_int32, c_uint32)
        library.attach_process()
        info = HSE_VERSION_INFO()
        if not get_version(ctypes.addressof(info)):
            raise ImageError(path, Win32.DLL_INIT_FAILED, "GetExtensionVersion answered FALSE")
        description = info.lpszExtensionDesc.decode("utf-8", "replace")
        log("isapi_loaded", library=path, description=description)

    def call(self, session: Session) -> int:
        """HttpExtensionProc on this thread, marked."""
        exchange, proof = session.context.exchange, session.proof
        self._notes["HttpExtensionProc"].leave(exchange)

        def enter(entry_point: str) -> None:
            self._notes[entry_point].leave(exchange)
            self._library.attach_thread()

        native = NativeSession(session, enter)
        self._library.attach_thread()
        inside[proof] = get_ident()
        try:
            status = self._process(native.address)
        finally:
            if inside.pop(proof, None) is None:
                settle(proof)
        return status

    def terminate(self, flags: int) -> None:
        """TerminateExtension, if it has one, then DllMain(DLL_PROCESS_DETACH)."""
        log("isapi_ending", library=self.path)
        if self._terminate is not None:
            self._terminate(int(flags))
        self._library.detach_process()
