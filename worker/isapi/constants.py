"""Numbers of httpext.h and winerror.h that both kinds of extensions see."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "MAX_PATH",
    "IoFlag",
    "Status",
    "TerminateFlag",
    "Win32",
]

MAX_PATH = 260


class Status(IntEnum):
    """HSE_STATUS_: what HttpExtensionProc answers, and what DONE_WITH_SESSION is told."""

    SUCCESS = 1
    SUCCESS_AND_KEEP_CONN = 2
    PENDING = 3
    ERROR = 4


class IoFlag(IntFlag):
    """HSE_IO_."""

    SYNC = 0x1
    ASYNC = 0x2
    DISCONNECT_AFTER_SEND = 0x4
    SEND_HEADERS = 0x8
    FINAL_SEND = 0x10
    CACHE_RESPONSE = 0x20
    TRY_SKIP_CUSTOM_ERRORS = 0x40
    NODELAY = 0x1000


class TerminateFlag(IntEnum):
    """HSE_TERM_."""

    ADVISORY_UNLOAD = 1
    MUST_UNLOAD = 2


class Win32(IntEnum):
    """The error numbers that server functions fail with."""

    ACCESS_DENIED = 5
    INVALID_HANDLE = 6
    NOT_ENOUGH_MEMORY = 8
    NOT_SUPPORTED = 50
    NETNAME_DELETED = 64
    INVALID_PARAMETER = 87
    INSUFFICIENT_BUFFER = 122
    MOD_NOT_FOUND = 126
    PROC_NOT_FOUND = 127
    BAD_EXE_FORMAT = 193
    OPERATION_ABORTED = 995
    NOT_FOUND = 1168
    DLL_INIT_FAILED = 1114
    LOGON_FAILURE = 1326
    INVALID_INDEX = 1413
    WSAEINVAL = 10022
    WSAECONNRESET = 10054
