"""What goes wrong with the HTTP Server API, by the numbers that Windows has for it."""

from __future__ import annotations

from was.errors import WasError
from was.ipc.program_messages import (
    ERROR_ACCESS_DENIED,
    ERROR_ALREADY_EXISTS,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_QUOTA,
    ERROR_NOT_READY,
    ERROR_NOT_SUPPORTED,
    ERROR_SHARING_VIOLATION,
)

__all__ = [
    "ERROR_ACCESS_DENIED",
    "ERROR_ALREADY_EXISTS",
    "ERROR_CONNECTION_INVALID",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_HANDLE_EOF",
    "ERROR_INVALID_PARAMETER",
    "ERROR_NOT_ENOUGH_QUOTA",
    "ERROR_NOT_READY",
    "ERROR_NOT_SUPPORTED",
    "ERROR_OPERATION_ABORTED",
    "ERROR_SHARING_VIOLATION",
    "HttpApiError",
]

ERROR_HANDLE_EOF = 38
ERROR_OPERATION_ABORTED = 995
ERROR_CONNECTION_INVALID = 1229


class HttpApiError(WasError):
    """A call of the HTTP Server API failed.

    `error` is the number that Windows' function of the same name would return; the text says it in
    words. You get ERROR_CONNECTION_INVALID when the client of a request has gone, ERROR_NOT_READY
    when no server runs at the home.
    """

    def __init__(self, error: int, detail: str) -> None:
        super().__init__(f"{detail} (error {error})")
        self.error = error
        self.detail = detail
