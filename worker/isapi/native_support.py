"""ServerSupportFunction for compiled extensions: one function for each HSE_REQ_ that is served."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from was.worker.isapi import native_types as types
from was.worker.isapi.constants import MAX_PATH, IoFlag, Status, Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.native_memory import (
    bytes_at,
    descriptor_of,
    dword_at,
    memory_at,
    normalize_at,
    optional_text,
    set_dword,
    store,
    structure_at,
    text_at,
    wide,
    wide_at,
)
from was.worker.isapi.native_session import NativeSession, Support
from was.worker.isapi.reply import FilePart, Part, Reply, check_vector
from was.worker.isapi.site_paths import normalize, url_text
from was.worker.isapi.tokens import token_of, user_name_of

__all__ = ["TABLE"]

# ── answers ─────────────────────────────────────────────────────────────────────────────────────


def _redirect(native: NativeSession, buffer: int, size: int, _kind: int) -> None:
    url = bytes_at(buffer, size).decode("latin-1")
    native.session.do_now(lambda reply: reply.redirect(url))


def _send_header(native: NativeSession, buffer: int, _size: int, kind: int) -> None:
    """The older form never keeps the connection."""

    def send(reply: Reply) -> None:
        reply.send_headers(text_at(buffer), text_at(kind))
        reply.disconnect_after()

    native.session.do_now(send)


def _send_header_ex(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    info = structure_at(types.HSE_SEND_HEADER_EX_INFO, buffer)
    status = text_at(info.pszStatus or 0, info.cchStatus or -1)
    headers = text_at(info.pszHeader or 0, info.cchHeader or -1)
    native.session.do_now(
        lambda reply: reply.send_headers(status.rstrip("\0"), headers.rstrip("\0"))
    )


def _done(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    native.session.done(dword_at(buffer) if buffer else Status.SUCCESS)


def _custom_error(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    info = structure_at(types.HSE_CUSTOM_ERROR_INFO, buffer)
    status, sub_status = (info.pszStatus or b"").decode("latin-1"), int(info.uHttpSubError)

    def send(reply: Reply) -> int:
        reply.send_custom_error(status, sub_status)
        return 0

    if info.fAsync:
        native.session.do_later(send, native.completion())
    else:
        native.session.do_now(send)


def _transmit_file(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    info = structure_at(types.HSE_TF_INFO, buffer)
    flags = int(info.dwFlags)
    if not flags & IoFlag.ASYNC:
        raise invalid("HSE_IO_ASYNC is missing in dwFlags")
    status = (info.pszStatusCode or b"").decode("latin-1")
    head = memory_at(info.pHead, info.HeadLength)
    parts: list[Part] = [] if flags & IoFlag.SEND_HEADERS else [head]
    if info.hFile:
        parts.append(FilePart(descriptor_of(info.hFile), int(info.Offset), int(info.BytesToWrite)))
    parts.append(memory_at(info.pTail, info.TailLength))
    completion = native.completion(info.pfnHseIO or 0, info.pContext or 0)
    headers = head.decode("latin-1") if flags & IoFlag.SEND_HEADERS else None
    native.session.do_later(lambda r: r.send(flags, status, headers, parts), completion)


def _vector_send(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    vector = structure_at(types.HSE_RESPONSE_VECTOR, buffer)
    flags = int(vector.dwFlags)
    check_vector(flags, vector.pszStatus is not None, vector.pszHeaders is not None)
    if vector.nElementCount and not vector.lpElementArray:
        raise invalid("a NULL pointer")
    parts = [_element(vector.lpElementArray[index]) for index in range(vector.nElementCount)]
    status = (vector.pszStatus or b"").decode("latin-1")
    headers = optional_text(vector.pszHeaders)
    if flags & IoFlag.ASYNC:
        native.session.do_later(
            lambda r: r.send(flags, status, headers, parts), native.completion()
        )
    else:
        native.session.do_now(lambda r: r.send(flags, status, headers, parts))


def _element(element: types.HSE_VECTOR_ELEMENT) -> Part:
    size, offset = int(element.cbSize), int(element.cbOffset)
    if element.ElementType == 1:
        return FilePart(descriptor_of(element.pvContext), offset, size)
    if element.ElementType != 0 or not element.pvContext or size == 0:
        raise invalid("not an element of a response vector")
    return ctypes.string_at(element.pvContext + offset, size)


# ── the connection and the log ──────────────────────────────────────────────────────────────────


def _append_log(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    native.session.append_log(text_at(buffer))


def _io_completion(native: NativeSession, buffer: int, _size: int, kind: int) -> None:
    native.set_completion(buffer, kind)


def _is_keep_conn(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    set_dword(buffer, native.session.keeps_connection())


def _is_connected(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    set_dword(buffer, native.session.is_connected())


def _close_connection(native: NativeSession, _buffer: int, _size: int, _kind: int) -> None:
    native.session.close_connection()


def _set_flush_flag(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    def set_flag(reply: Reply) -> None:
        reply.flushes = bool(buffer)  # the value itself, in the place of a pointer

    native.session.do_now(set_flag)


def _async_read(native: NativeSession, buffer: int, size: int, kind: int) -> None:
    if not buffer or not dword_at(kind) & IoFlag.ASYNC:
        raise invalid("a buffer, and HSE_IO_ASYNC in the flags")

    def take(data: bytes) -> None:
        ctypes.memmove(buffer, data, len(data))

    native.session.read_later(dword_at(size), take, native.completion())


def _cancel_io(native: NativeSession, _buffer: int, _size: int, _kind: int) -> None:
    native.session.cancel_operation()


# ── facts ───────────────────────────────────────────────────────────────────────────────────────


def _token(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    if not buffer:
        raise invalid("a NULL pointer")
    ctypes.c_void_p.from_address(buffer).value = token_of(native.session.context.user)


def _cert_info(_native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    """Connections without a client certificate: one of no bytes."""
    info = structure_at(types.CERT_CONTEXT_EX, buffer)
    info.CertContext.cbCertEncoded = 0
    info.dwCertificateFlags = 0


def _is_in_process(_native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    set_dword(buffer, 0)


def _trace_info(_native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    info = structure_at(types.HSE_TRACE_INFO, buffer)
    ctypes.memset(ctypes.addressof(info), 0, ctypes.sizeof(info))


def _report_unhealthy(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    native.session.report_unhealthy(text_at(buffer))


def _nothing(_native: NativeSession, _buffer: int, _size: int, _kind: int) -> None:
    """HSE_REQ_ABORTIVE_CLOSE: ignored since IIS 5.1."""


def _not_here(_native: NativeSession, _buffer: int, _size: int, _kind: int) -> None:
    raise ServerFunctionError(Win32.NOT_SUPPORTED, "an object of the Windows platform")


# ── paths ───────────────────────────────────────────────────────────────────────────────────────


def _map_path(native: NativeSession, buffer: int, size: int, _kind: int) -> None:
    raw = os.fsencode(native.session.map_path(url_text(bytes_at(buffer))))
    store(raw + b"\0", buffer, size, len(raw))


def _map_wide_path(native: NativeSession, buffer: int, size: int, _kind: int) -> None:
    raw = wide(native.session.map_path(wide_at(buffer)))
    store(raw, buffer, size, len(raw) - 2)


def _map_path_ex(native: NativeSession, buffer: int, size: int, kind: int) -> None:
    info = structure_at(types.HSE_URL_MAPEX_INFO, kind)
    url = url_text(bytes_at(buffer, size))
    path = native.session.map_path(url)
    raw = os.fsencode(path)
    info.lpszPath = raw[: MAX_PATH - 1]
    _set_matching(native, info, url, path, lambda text: len(os.fsencode(text)))
    if len(raw) >= MAX_PATH:
        raise ServerFunctionError(Win32.INSUFFICIENT_BUFFER, "the path is longer than MAX_PATH")


def _map_wide_path_ex(native: NativeSession, buffer: int, _size: int, kind: int) -> None:
    info = structure_at(types.HSE_UNICODE_URL_MAPEX_INFO, kind)
    url = wide_at(buffer)
    path = native.session.map_path(url)
    raw = wide(path)
    ctypes.memmove(ctypes.addressof(info), raw[: (MAX_PATH - 1) * 2] + b"\0\0", min(len(raw), 520))
    _set_matching(native, info, url, path, lambda text: len(wide(text)) // 2 - 1)
    if len(raw) // 2 > MAX_PATH:
        raise ServerFunctionError(Win32.INSUFFICIENT_BUFFER, "the path is longer than MAX_PATH")


_URL_FLAGS = {"READ": 1, "WRITE": 2, "EXECUTE": 4, "SCRIPT": 0x200}


def _set_matching(
    native: NativeSession,
    info: types.HSE_URL_MAPEX_INFO | types.HSE_UNICODE_URL_MAPEX_INFO,
    url: str,
    path: str,
    size_of: Callable[[str], int],
) -> None:
    application = native.session.context.application
    info.dwFlags = sum(
        _URL_FLAGS.get(right.name, 0) for right in application.settings.handlers.access_policy
    )
    root = application.root_of(normalize(url)).rstrip("/")
    info.cchMatchingPath = size_of(root) if path.startswith(root) else 0
    info.cchMatchingURL = max(0, size_of(normalize(url)) - size_of(path[len(root) :]))


def _normalize(_native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    normalize_at(buffer)


# ── child requests ──────────────────────────────────────────────────────────────────────────────


def _exec_url(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    _execute(native, buffer, lambda address: url_text(bytes_at(address)), text_at)


def _exec_wide_url(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    _execute(native, buffer, wide_at, wide_at)


def _execute(
    native: NativeSession,
    buffer: int,
    read_url: Callable[[int], str],
    read_name: Callable[[int], str],
) -> None:
    from was.worker.interfaces.user import HttpUser
    from was.worker.isapi.child_urls import execute_url  # not every extension has children

    info = structure_at(types.HSE_EXEC_URL_INFO, buffer)
    user: HttpUser | None = None
    if info.pUserInfo:
        given = info.pUserInfo.contents
        name = read_name(given.pszCustomUserName or 0)
        if not name and given.hImpersonationToken:
            known = user_name_of(given.hImpersonationToken)
            if known is None:
                raise ServerFunctionError(Win32.INVALID_HANDLE, "not a token")
            name = known
        kind = (given.pszCustomAuthType or b"").decode("latin-1")
        user = HttpUser(name, authentication_type=kind)
    entity = None
    if info.pEntity:
        entity = memory_at(info.pEntity.contents.lpbData, info.pEntity.contents.cbAvailable)
    execute_url(
        native.session,
        native.completion(),
        read_url(info.pszUrl) if info.pszUrl else None,
        optional_text(info.pszMethod),
        optional_text(info.pszChildHeaders),
        int(info.dwExecUrlFlags),
        entity,
        user,
    )


def _exec_status(native: NativeSession, buffer: int, _size: int, _kind: int) -> None:
    status, child = structure_at(types.HSE_EXEC_URL_STATUS, buffer), native.session.child
    if child.status == 0:
        raise invalid("no child request has ended")
    status.uHttpStatusCode = child.status
    status.uHttpSubStatus = child.sub_status
    status.dwWin32Error = child.win32


TABLE: dict[int, Support] = {
    1: _redirect,  # SEND_URL_REDIRECT_RESP
    2: _redirect,  # SEND_URL
    3: _send_header,
    4: _done,
    1001: _map_path,
    1003: _append_log,
    1005: _io_completion,
    1006: _transmit_file,
    1008: _is_keep_conn,
    1010: _async_read,
    1011: _token,
    1012: _map_path_ex,
    1014: _nothing,
    1015: _cert_info,
    1016: _send_header_ex,
    1017: _close_connection,
    1018: _is_connected,
    1023: _map_wide_path,
    1024: _map_wide_path_ex,
    1025: _exec_wide_url,
    1026: _exec_url,
    1027: _exec_status,
    1028: _custom_error,
    1030: _is_in_process,
    1032: _report_unhealthy,
    1033: _normalize,
    1037: _vector_send,
    1042: _trace_info,
    1043: _set_flush_flag,
    1044: _trace_info,
    1049: _cancel_io,
    **dict.fromkeys(
        # SSPI, ACLs, triggers, fragments, anonymous tokens, kernel cache, ETW, configuration
        # objects, worker settings, protocol managers, channel bindings
        (1002, 1007, 1020, 1034, 1035, 1036, 1038, 1040, 1041, 1045, 1046, 1047, 1048, 1050),
        _not_here,
    ),
}
