"""What goes wrong with the HTTP Server API, by the numbers that Windows has for it."""

from __future__ import annotations

from was.errors import WasError

__all__ = [
    "ERROR_ACCESS_DENIED",
    "ERROR_ALREADY_EXISTS",
    "ERROR_CONNECTION_INVALID",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_HANDLE_EOF",
    "ERROR_INVALID_PARAMETER",
    "ERROR_NOT_READY",
    "ERROR_NOT_SUPPORTED",
    "ERROR_OPERATION_ABORTED",
    "ERROR_SHARING_VIOLATION",
    "HttpApiError",
]

ERROR_FILE_NOT_FOUND = 2
ERROR_ACCESS_DENIED = 5
ERROR_NOT_READY = 21
ERROR_SHARING_VIOLATION = 32
ERROR_HANDLE_EOF = 38
ERROR_NOT_SUPPORTED = 50
ERROR_INVALID_PARAMETER = 87
ERROR_ALREADY_EXISTS = 183
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
