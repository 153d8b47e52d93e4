"""What compiled filters call: the functions of HTTP_FILTER_CONTEXT and of the header structures.

They find the call they belong to by ServerContext, a number of ours. Errors are left in errno, as
native_session does.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_char_p, c_int32, c_uint32, c_void_p
from typing import Any

from was.log import log_exception
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.filter_data import Headers
from was.worker.isapi.filter_flags import Request
from was.worker.isapi.filter_session import Connection, FilterSession
from was.worker.isapi.native_filter_types import HTTP_FILTER_CONTEXT
from was.worker.isapi.native_memory import (
    dword_at,
    normalize_at,
    set_dword,
    store,
    store_variable,
    text_at,
)
from was.worker.isapi.tokens import token_of
from was.worker.threads.application_calls import outside

__all__ = ["HEADER_ADDRESSES", "REVISION", "TOKEN_ADDRESS", "FilterCall"]

REVISION = 0x00070000

_calls: dict[int, FilterCall] = {}
_numbers = itertools.count(1)


class FilterCall:
    """One call of HttpFilterProc, while it runs."""

    def __init__(
        self, connection: Connection, session: FilterSession | None, headers: Headers | None
    ) -> None:
        """`session` is None at END_OF_NET_SESSION: there is no request any more."""
        self.connection = connection
        self.session = session
        self.headers = headers
        self.number = next(_numbers)
        block = self.block = HTTP_FILTER_CONTEXT()
        block.cbSize = ctypes.sizeof(HTTP_FILTER_CONTEXT)
        block.Revision = REVISION
        block.ServerContext = self.number
        block.fIsSecurePort = connection.secure
        (
            block.GetServerVariable,
            block.AddResponseHeaders,
            block.WriteClient,
            block.AllocMem,
            block.ServerSupportFunction,
        ) = _CONTEXT_ADDRESSES

    def __enter__(self) -> FilterCall:
        _calls[self.number] = self
        return self

    def __exit__(self, *_: object) -> None:
        del _calls[self.number]

    @property
    def request(self) -> FilterSession:
        """The request. Raises ServerFunctionError where there is none."""
        if self.session is None:
            raise invalid("the connection has ended")
        return self.session


def _answer(context: int | None, serve: Callable[..., Any], *arguments: object) -> int:
    call = _find(context)
    if call is None:
        ctypes.set_errno(Win32.INVALID_PARAMETER)
        return 0
    proof = call.session.context.proof if call.session is not None else 0
    try:
        outside(proof, serve, call, *arguments)
    except ServerFunctionError as error:
        ctypes.set_errno(error.number)
        return 0
    except BaseException as error:  # noqa: BLE001 nothing may be raised into C
        log_exception("module_failed", error)
        ctypes.set_errno(Win32.OPERATION_ABORTED)
        return 0
    return 1


def _find(context: int | None) -> FilterCall | None:
    if not context:
        return None
    return _calls.get(HTTP_FILTER_CONTEXT.from_address(context).ServerContext or 0)


# ── of the context ──────────────────────────────────────────────────────────────────────────────


def _variable(call: FilterCall, name: bytes | None, buffer: int, size: int) -> None:
    if not name or not size:
        raise invalid("a NULL pointer")
    asked = name.decode("latin-1")
    store_variable(asked, call.request.variable(asked), buffer, size)


def _add_headers(call: FilterCall, text: bytes | None) -> None:
    call.request.add_headers((text or b"").decode("latin-1"))


def _write(call: FilterCall, buffer: int, size: int) -> None:
    call.request.write_client(ctypes.string_at(buffer, dword_at(size)) if buffer else b"")


def _support(call: FilterCall, request: int, data: int, first: int, second: int) -> None:
    session = call.request
    match request:
        case Request.SEND_RESPONSE_HEADER:
            session.send_headers(text_at(data), text_at(first))
        case Request.ADD_HEADERS_ON_DENIAL:
            session.add_denial_headers(text_at(data))
        case Request.GET_CONNID:
            set_dword(data, 0)
        case Request.GET_PROPERTY if first == 1:  # the site's number
            set_dword(data, session.context.message.site_id)
        case Request.NORMALIZE_URL:
            normalize_at(data)
        case Request.DISABLE_NOTIFICATIONS:
            session.disable(first)
        case Request.SET_NEXT_READ_SIZE | Request.SET_PROXY_INFO | Request.GET_PROPERTY:
            raise ServerFunctionError(Win32.NOT_SUPPORTED, "not to be had here")
        case _:
            raise invalid(f"no support function has the number {request}")
    del second


# ── of the header structures ────────────────────────────────────────────────────────────────────


def _headers(call: FilterCall) -> Headers:
    if call.headers is None:
        raise ServerFunctionError(Win32.NOT_SUPPORTED, "this event has no headers")
    return call.headers


def _get_header(call: FilterCall, name: bytes | None, buffer: int, size: int) -> None:
    value = _headers(call).get((name or b"").decode("latin-1"))
    store(value.encode("latin-1", "replace") + b"\0", buffer, size)


def _set_header(call: FilterCall, name: bytes | None, value: bytes | None) -> None:
    text = (value or b"").decode("latin-1")
    _headers(call).set((name or b"").decode("latin-1"), text)


def _add_header(call: FilterCall, name: bytes | None, value: bytes | None) -> None:
    text = (value or b"").decode("latin-1")
    _headers(call).add((name or b"").decode("latin-1"), text)


def _get_token(call: FilterCall, handle: int) -> None:
    if not handle:
        raise invalid("a NULL pointer")
    c_void_p.from_address(handle).value = token_of(call.request.context.user)


# ── as C functions ──────────────────────────────────────────────────────────────────────────────


def _on_variable(context: int | None, name: bytes, buffer: int, size: int) -> int:
    return _answer(context, _variable, name, buffer or 0, size or 0)


def _on_add_headers(context: int | None, text: bytes, reserved: int) -> int:
    return _answer(context, _add_headers, text)


def _on_write(context: int | None, buffer: int, size: int, reserved: int) -> int:
    return _answer(context, _write, buffer or 0, size or 0)


def _on_alloc(context: int | None, size: int, reserved: int) -> int:
    """Memory that lives as long as the connection; NULL for a wrong context."""
    call = _find(context)
    if call is None or size == 0:
        return 0
    memory = ctypes.create_string_buffer(size)
    call.connection.memory.append(memory)
    return ctypes.addressof(memory)


def _on_support(context: int | None, request: int, data: int, first: int, second: int) -> int:
    return _answer(context, _support, request, data or 0, first or 0, second or 0)


def _on_get_header(context: int | None, name: bytes, buffer: int, size: int) -> int:
    return _answer(context, _get_header, name, buffer or 0, size or 0)


def _on_set_header(context: int | None, name: bytes, value: bytes) -> int:
    return _answer(context, _set_header, name, value)


def _on_add_header(context: int | None, name: bytes, value: bytes) -> int:
    return _answer(context, _add_header, name, value)


def _on_get_token(context: int | None, handle: int) -> int:
    return _answer(context, _get_token, handle or 0)


_FOUR = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p, c_void_p, use_errno=True)
_TEXT = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_uint32, use_errno=True)
_WRITE = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, c_uint32, use_errno=True)
_ALLOC = CFUNCTYPE(c_void_p, c_void_p, c_uint32, c_uint32)
_SUPPORT = CFUNCTYPE(c_int32, c_void_p, c_uint32, c_void_p, c_void_p, c_void_p, use_errno=True)
_PAIR = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_char_p, use_errno=True)
_TOKEN = CFUNCTYPE(c_int32, c_void_p, c_void_p, use_errno=True)

# For the life of the process: filters may hold these addresses.
_CONTEXT_FUNCTIONS = (
    _FOUR(_on_variable),
    _TEXT(_on_add_headers),
    _WRITE(_on_write),
    _ALLOC(_on_alloc),
    _SUPPORT(_on_support),
)
_HEADER_FUNCTIONS = (_FOUR(_on_get_header), _PAIR(_on_set_header), _PAIR(_on_add_header))
_TOKEN_FUNCTION = _TOKEN(_on_get_token)

_CONTEXT_ADDRESSES = tuple(ctypes.cast(f, c_void_p).value for f in _CONTEXT_FUNCTIONS)
HEADER_ADDRESSES = tuple(ctypes.cast(f, c_void_p).value for f in _HEADER_FUNCTIONS)
TOKEN_ADDRESS = ctypes.cast(_TOKEN_FUNCTION, c_void_p).value
