"""A compiled filter: a Linux shared object with the entry points of httpfilt.h."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ctypes import c_int32, c_uint32, c_void_p

from was.log import log
from was.worker.isapi import filter_data as data
from was.worker.isapi import native_filter_types as types
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError
from was.worker.isapi.filter_flags import Notify
from was.worker.isapi.filter_session import Connection, FilterSession
from was.worker.isapi.native_filter_calls import (
    HEADER_ADDRESSES,
    REVISION,
    TOKEN_ADDRESS,
    FilterCall,
)
from was.worker.isapi.native_library import NativeLibrary
from was.worker.isapi.note import CallNote

__all__ = ["NativeFilter"]

_USER_BYTES = 257
_PATH_BYTES = 4096


class NativeFilter:
    """One loaded shared object."""

    def __init__(self, path: str) -> None:
        """Load it, DllMain, GetFilterVersion. Raises ImageError."""
        self.path = path
        self.note = CallNote("HttpFilterProc", path)
        self._library = NativeLibrary(path)
        get_version = self._library.require("GetFilterVersion", c_int32, c_void_p)
        self._process = self._library.require(
            "HttpFilterProc", c_uint32, c_void_p, c_uint32, c_void_p
        )
        self._terminate = self._library.entry("TerminateFilter", c_int32, c_uint32)
        self._library.attach_process()
        version = types.HTTP_FILTER_VERSION()
        version.dwServerFilterVersion = REVISION
        if not get_version(ctypes.addressof(version)):
            raise ImageError(path, Win32.DLL_INIT_FAILED, "GetFilterVersion answered FALSE")
        self.flags: int = version.dwFlags
        log("isapi_loaded", library=path, description=version.lpszFilterDesc.decode("latin-1"))

    def notify(self, session: FilterSession, event: int, shown: object) -> int:
        """HttpFilterProc on this thread."""
        headers = shown if isinstance(shown, data.Headers) else None
        with (
            FilterCall(session.connection, session, headers) as call,
            _structure(shown) as structure,
        ):
            ctypes.set_errno(0)
            status = self._enter(call, event, structure)
            session.last_error = ctypes.get_errno()
            return status

    def end_connection(self, connection: Connection) -> None:
        """END_OF_NET_SESSION: the filter gives back what it kept."""
        if self.flags & Notify.END_OF_NET_SESSION:
            with FilterCall(connection, None, None) as call:
                self._enter(call, Notify.END_OF_NET_SESSION, None)

    def _enter(self, call: FilterCall, event: int, structure: ctypes.Structure | None) -> int:
        contexts = call.connection.contexts
        call.block.pFilterContext = contexts.get(self)
        self._library.attach_thread()
        address = None if structure is None else ctypes.addressof(structure)
        status = self._process(ctypes.addressof(call.block), int(event), address)
        contexts[self] = call.block.pFilterContext
        return status

    def terminate(self) -> None:
        """TerminateFilter, if it has one, then DllMain(DLL_PROCESS_DETACH)."""
        log("isapi_ending", library=self.path)
        if self._terminate is not None:
            self._terminate(0)
        self._library.detach_process()


# ── what an event shows, as its structure, and back ─────────────────────────────────────────────


@contextmanager
def _structure(shown: object) -> Generator[ctypes.Structure | None]:
    """The structure for what an event shows; what the filter has changed in it is taken over."""
    for kind, make in _MAKERS.items():
        if isinstance(shown, kind):
            structure, take = make(shown)
            yield structure
            take()
            return
    yield None


_Made = tuple[ctypes.Structure, Callable[[], None]]


def _headers(shown: data.Headers) -> _Made:
    made = types.HTTP_FILTER_PREPROC_HEADERS()
    made.GetHeader, made.SetHeader, made.AddHeader = HEADER_ADDRESSES
    made.HttpStatus = shown.status
    return made, lambda: None


def _auth_complete(shown: data.AuthComplete) -> _Made:
    made = types.HTTP_FILTER_AUTH_COMPLETE_INFO()
    made.GetHeader, made.SetHeader, made.AddHeader = HEADER_ADDRESSES
    made.GetUserToken = TOKEN_ADDRESS
    made.HttpStatus = 200
    return made, lambda: None


def _url_map(shown: data.UrlMap) -> _Made:
    path = os.fsencode(shown.path)
    buffer = ctypes.create_string_buffer(path, max(_PATH_BYTES, len(path) + 1))
    made = types.HTTP_FILTER_URL_MAP_EX()
    made.pszURL = os.fsencode(shown.url)
    made.pszPhysicalPath = ctypes.addressof(buffer)
    made.cbPathBuff = len(buffer)

    def take() -> None:
        shown.path = os.fsdecode(buffer.value)

    return made, take


def _authentication(shown: data.Authentication) -> _Made:
    user = ctypes.create_string_buffer(shown.user.encode()[: _USER_BYTES - 1], _USER_BYTES)
    password = ctypes.create_string_buffer(shown.password.encode()[: _USER_BYTES - 1], _USER_BYTES)
    sent = user.value, password.value
    made = types.HTTP_FILTER_AUTHENT()
    made.pszUser, made.cbUserBuff = ctypes.addressof(user), _USER_BYTES
    made.pszPassword, made.cbPasswordBuff = ctypes.addressof(password), _USER_BYTES

    def take() -> None:
        if (user.value, password.value) != sent:
            shown.user = user.value.decode("utf-8", "replace")
            shown.password = password.value.decode("utf-8", "replace")

    return made, take


def _access_denied(shown: data.AccessDenied) -> _Made:
    made = types.HTTP_FILTER_ACCESS_DENIED()
    made.pszURL, made.pszPhysicalPath = os.fsencode(shown.url), os.fsencode(shown.path)
    made.dwReason = shown.reason
    return made, lambda: None


def _raw_data(shown: data.RawData) -> _Made:
    buffer = ctypes.create_string_buffer(shown.data, len(shown.data) + 1)
    made = types.HTTP_FILTER_RAW_DATA()
    made.pvInData = ctypes.addressof(buffer)
    made.cbInData = made.cbInBuffer = len(shown.data)
    keep = [buffer]  # until the filter has been called

    def take() -> None:
        count = made.cbInData
        shown.data = ctypes.string_at(made.pvInData, count) if made.pvInData and count else b""
        keep.clear()

    return made, take


_LOG_FIELDS = {
    "pszClientHostName": "client",
    "pszClientUserName": "user",
    "pszServerName": "server",
    "pszOperation": "operation",
    "pszTarget": "target",
    "pszParameters": "parameters",
}


def _log(shown: data.LogFields) -> _Made:
    made = types.HTTP_FILTER_LOG()
    sent: dict[str, bytes] = {}
    for name, ours in _LOG_FIELDS.items():
        sent[name] = getattr(shown, ours).encode("utf-8", "surrogateescape")
        setattr(made, name, sent[name])
    made.dwHttpStatus, made.dwWin32Status = shown.status, shown.win32

    def take() -> None:
        for name, ours in _LOG_FIELDS.items():
            value = getattr(made, name) or b""
            if value != sent[name]:
                setattr(shown, ours, value.decode("utf-8", "surrogateescape"))

    return made, take


_MAKERS: dict[type, Callable[..., _Made]] = {
    data.AuthComplete: _auth_complete,
    data.Headers: _headers,
    data.UrlMap: _url_map,
    data.Authentication: _authentication,
    data.AccessDenied: _access_denied,
    data.RawData: _raw_data,
    data.LogFields: _log,
}
