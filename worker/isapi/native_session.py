"""One request in a compiled extension: the control block, and what its pointers point to.

Four C functions serve the whole process; they find the session by ConnID, a number of ours, so
that a wrong one is refused (87) and never followed. The last error of a thread is its errno: it is
set when a function answers FALSE, and httpext.h reads it as GetLastError().
"""

from __future__ import annotations

import ctypes
import itertools
from collections import deque
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_char_p, c_int32, c_uint32, c_void_p

from was.log import log_exception
from was.worker.isapi.constants import IoFlag, Win32
from was.worker.isapi.control_block import VERSION
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.native_memory import dword_at, set_dword, store_variable
from was.worker.isapi.native_types import EXTENSION_CONTROL_BLOCK, IO_COMPLETION
from was.worker.isapi.reply import Part
from was.worker.isapi.server_names import to_bytes
from was.worker.isapi.session import Completion, Session
from was.worker.threads.application_calls import outside

__all__ = ["NativeSession", "Support", "serve_support_functions", "set_callbacks"]

_sessions: dict[int, NativeSession] = {}
# The last blocks whose requests have ended: an extension that goes on using one finds our functions
# in it, and is refused. A thread that has just said DONE_WITH_SESSION for the second time, say.
_ended: deque[EXTENSION_CONTROL_BLOCK] = deque(maxlen=256)
_numbers = itertools.count(1)

# number of the request -> what serves it: (session, buffer, size, type), the last three being
# addresses
Support = Callable[["NativeSession", int, int, int], None]
_support: dict[int, Support] = {}


class NativeSession:
    """Keeps the control block and all it points to until the request is over."""

    def __init__(self, session: Session, enter: Callable[[str], None]) -> None:
        """`enter` is told before the extension is called back, on the thread that will call it."""
        self.session = session
        self.number = next(_numbers)
        self._enter = enter
        self._completion: tuple[int, int] | None = None
        self._preload = ctypes.create_string_buffer(session.preload)  # a NUL after it
        context, paths = session.context, session.paths
        block = self.block = EXTENSION_CONTROL_BLOCK()
        block.cbSize = ctypes.sizeof(EXTENSION_CONTROL_BLOCK)
        block.dwVersion = VERSION
        block.ConnID = self.number
        block.dwHttpStatusCode = 200
        block.lpszMethod = to_bytes("REQUEST_METHOD", context.method)
        block.lpszQueryString = to_bytes("QUERY_STRING", context.query)
        block.lpszPathInfo = to_bytes("PATH_INFO", paths.path_info)
        block.lpszPathTranslated = to_bytes("PATH_TRANSLATED", paths.path_translated)
        block.lpszContentType = to_bytes("CONTENT_TYPE", session.variable("CONTENT_TYPE"))
        block.cbTotalBytes = session.total_bytes
        block.cbAvailable = len(session.preload)
        block.lpbData = ctypes.addressof(self._preload)
        set_callbacks(block)
        self.address = ctypes.addressof(block)
        _sessions[self.number] = self
        session.on_end = self._ended

    def _ended(self) -> None:
        _sessions.pop(self.number, None)
        _ended.append(self.block)
        if self.block.dwHttpStatusCode != 200:
            self.session.log_status = self.block.dwHttpStatusCode
        if self.block.lpszLogData:
            self.session.add_log(self.block.lpszLogData.decode("latin-1"))

    # ── completions ─────────────────────────────────────────────────────────────────────────────

    def set_completion(self, function: int, argument: int) -> None:
        """HSE_REQ_IO_COMPLETION; NULL clears."""
        self._completion = (function, argument) if function else None

    def completion(self, function: int = 0, argument: int = 0) -> Completion:
        """What calls the extension back. Raises ServerFunctionError (87) if nothing is set."""
        if not function:
            if self._completion is None:
                raise invalid("HSE_REQ_IO_COMPLETION comes first")
            function, argument = self._completion
        call = IO_COMPLETION(function)

        def complete(count: int, error: int) -> None:
            self._enter("IO_COMPLETION")
            call(self.address, argument or None, count, error)

        return complete


# ── the four functions ──────────────────────────────────────────────────────────────────────────


def _get_server_variable(native: NativeSession, name: bytes | None, buffer: int, size: int) -> None:
    if not name or not size:
        raise invalid("a NULL pointer")
    asked = name.decode("latin-1")
    store_variable(asked, native.session.variable(asked), buffer, size)


def _write_client(native: NativeSession, buffer: int, size: int, flags: int) -> None:
    count = dword_at(size)
    data = ctypes.string_at(buffer, count) if buffer and count else b""
    parts: list[Part] = [data]
    if flags & IoFlag.ASYNC:
        native.session.do_later(lambda r: r.write(parts, flush=True), native.completion())
        return
    set_dword(size, native.session.do_now(lambda reply: reply.write(parts)))


def _read_client(native: NativeSession, buffer: int, size: int) -> None:
    if not buffer:
        raise invalid("a NULL pointer")
    data = native.session.read(dword_at(size))
    ctypes.memmove(buffer, data, len(data))
    set_dword(size, len(data))


def _support_function(
    native: NativeSession, request: int, buffer: int, size: int, kind: int
) -> None:
    serve = _support.get(request)
    if serve is None:
        raise invalid(f"no support function has the number {request}")
    serve(native, buffer, size, kind)


def _answer(connection: int | None, serve: Callable[..., None], *arguments: object) -> int:
    """Run one function for the extension: TRUE, or FALSE with the last error set."""
    native = _sessions.get(connection or 0)
    if native is None:
        ctypes.set_errno(Win32.INVALID_PARAMETER)
        return 0
    try:
        outside(native.session.proof, serve, native, *arguments)
    except ServerFunctionError as error:
        ctypes.set_errno(error.number)
        return 0
    except BaseException as error:  # noqa: BLE001 nothing may be raised into C
        log_exception("module_failed", error, request=native.session.context.request_id)
        ctypes.set_errno(Win32.OPERATION_ABORTED)
        return 0
    return 1


def _on_get_server_variable(connection: int | None, name: bytes, buffer: int, size: int) -> int:
    return _answer(connection, _get_server_variable, name, buffer or 0, size or 0)


def _on_write_client(connection: int | None, buffer: int, size: int, flags: int) -> int:
    return _answer(connection, _write_client, buffer or 0, size or 0, flags)


def _on_read_client(connection: int | None, buffer: int, size: int) -> int:
    return _answer(connection, _read_client, buffer or 0, size or 0)


def _on_support(connection: int | None, request: int, buffer: int, size: int, kind: int) -> int:
    return _answer(connection, _support_function, request, buffer or 0, size or 0, kind or 0)


_VARIABLE_TYPE = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p, c_void_p, use_errno=True)
_WRITE_TYPE = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, c_uint32, use_errno=True)
_READ_TYPE = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, use_errno=True)
_SUPPORT_TYPE = CFUNCTYPE(c_int32, c_void_p, c_uint32, c_void_p, c_void_p, c_void_p, use_errno=True)
# For the life of the process: the extension may hold these addresses.
_CALLBACKS = (
    _VARIABLE_TYPE(_on_get_server_variable),
    _WRITE_TYPE(_on_write_client),
    _READ_TYPE(_on_read_client),
    _SUPPORT_TYPE(_on_support),
)
_ADDRESSES = tuple(ctypes.cast(function, c_void_p).value for function in _CALLBACKS)


def set_callbacks(block: EXTENSION_CONTROL_BLOCK) -> None:
    """Put the server's functions into a control block."""
    (
        block.GetServerVariable,
        block.WriteClient,
        block.ReadClient,
        block.ServerSupportFunction,
    ) = _ADDRESSES


def serve_support_functions(table: dict[int, Support]) -> None:
    """Say what serves each HSE_REQ_."""
    _support.update(table)
