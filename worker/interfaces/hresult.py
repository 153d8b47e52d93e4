"""HRESULTs of IIS's interfaces, and the exception that carries one.

Where the documents of httpserv.h have a method return an HRESULT other than S_OK, ours raises
HResultError. A Win32 code x is 0x80070000 | x.
"""

from __future__ import annotations

from was.errors import WasError

__all__ = [
    "ERROR_ACCESS_DENIED",
    "ERROR_ALREADY_ASSIGNED",
    "ERROR_ALREADY_EXISTS",
    "ERROR_CONNECTION_INVALID",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_HANDLE_EOF",
    "ERROR_INSUFFICIENT_BUFFER",
    "ERROR_INVALID_DATA",
    "ERROR_INVALID_HANDLE",
    "ERROR_INVALID_INDEX",
    "ERROR_INVALID_PARAMETER",
    "ERROR_LOGON_FAILURE",
    "ERROR_MOD_NOT_FOUND",
    "ERROR_NOT_ENOUGH_MEMORY",
    "ERROR_NOT_FOUND",
    "ERROR_NOT_SUPPORTED",
    "ERROR_OPERATION_ABORTED",
    "ERROR_PATH_NOT_FOUND",
    "ERROR_PROC_NOT_FOUND",
    "ERROR_STACK_OVERFLOW",
    "E_ACCESSDENIED",
    "E_BAD_EXE_FORMAT",
    "E_CANNOT_CONNECT",
    "E_DISABLED_BY_POLICY",
    "E_FAIL",
    "E_FILE_NOT_FOUND",
    "E_INVALIDARG",
    "E_INVALID_DATA",
    "E_INVALID_INDEX",
    "E_INVALID_NAME",
    "E_LOGON_FAILURE",
    "E_NOTIMPL",
    "E_NOT_SUPPORTED",
    "E_SHARING_PAUSED",
    "E_UNEXPECTED",
    "E_WAIT_TIMEOUT",
    "S_OK",
    "HResultError",
    "from_win32",
]

S_OK = 0
E_NOTIMPL = 0x80004001
E_FAIL = 0x80004005
E_UNEXPECTED = 0x8000FFFF
E_INVALIDARG = 0x80070057

# What responses have for an HRESULT: those of Win32 codes.
E_FILE_NOT_FOUND = 0x80070002
E_ACCESSDENIED = 0x80070005
E_INVALID_DATA = 0x8007000D
E_NOT_SUPPORTED = 0x80070032
E_SHARING_PAUSED = 0x80070046
E_INVALID_NAME = 0x8007007B
E_BAD_EXE_FORMAT = 0x800700C1
E_WAIT_TIMEOUT = 0x80070102
E_DISABLED_BY_POLICY = 0x800704EC
E_LOGON_FAILURE = 0x8007052E
E_INVALID_INDEX = 0x80070585
E_CANNOT_CONNECT = 0x80072EFD

ERROR_FILE_NOT_FOUND = 2
ERROR_PATH_NOT_FOUND = 3
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_INVALID_DATA = 13
ERROR_HANDLE_EOF = 38
ERROR_NOT_SUPPORTED = 50
ERROR_ALREADY_ASSIGNED = 85
ERROR_INVALID_PARAMETER = 87
ERROR_INSUFFICIENT_BUFFER = 122
ERROR_MOD_NOT_FOUND = 126
ERROR_PROC_NOT_FOUND = 127
ERROR_ALREADY_EXISTS = 183
ERROR_OPERATION_ABORTED = 995
ERROR_STACK_OVERFLOW = 1001
ERROR_NOT_FOUND = 1168
ERROR_CONNECTION_INVALID = 1229
ERROR_LOGON_FAILURE = 1326
ERROR_INVALID_INDEX = 1413


def from_win32(code: int) -> int:
    """HRESULT_FROM_WIN32; 0 and what is an HRESULT already stay as they are."""
    return 0x80070000 | code if 0 < code < 0x10000 else code


class HResultError(WasError):
    """A method of the module API failed; `hresult` is the HRESULT that IIS would return.

    You get this from `was.api` objects when you ask for what cannot be had. Raised out of a
    notification it is an exception like any other: 500.0.
    """

    def __init__(self, code: int, detail: str) -> None:
        """`code` is an HRESULT or a Win32 code."""
        self.hresult = from_win32(code)
        super().__init__(f"{detail} (0x{self.hresult:08X})")
