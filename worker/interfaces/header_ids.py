"""HTTP_HEADER_ID: the numbers that HTTP.SYS knows common fields by."""

from __future__ import annotations

from was.worker.interfaces.hresult import ERROR_INVALID_PARAMETER, HResultError

__all__ = ["request_field", "response_field"]

_BOTH = (
    "Cache-Control",
    "Connection",
    "Date",
    "Keep-Alive",
    "Pragma",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
    "Warning",
    "Allow",
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-MD5",
    "Content-Range",
    "Expires",
    "Last-Modified",
)
_REQUEST = (
    *_BOTH,
    "Accept",
    "Accept-Charset",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cookie",
    "Expect",
    "From",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Max-Forwards",
    "Proxy-Authorization",
    "Referer",
    "Range",
    "TE",
    "Translate",
    "User-Agent",
)
_RESPONSE = (
    *_BOTH,
    "Accept-Ranges",
    "Age",
    "ETag",
    "Location",
    "Proxy-Authenticate",
    "Retry-After",
    "Server",
    "Set-Cookie",
    "Vary",
    "WWW-Authenticate",
)


def request_field(name: str | int) -> str:
    """A field's name; `name` may be its number. HResultError: ERROR_INVALID_PARAMETER."""
    return name if isinstance(name, str) else _look_up(_REQUEST, name)


def response_field(name: str | int) -> str:
    """The same for fields of responses."""
    return name if isinstance(name, str) else _look_up(_RESPONSE, name)


def _look_up(names: tuple[str, ...], number: int) -> str:
    if 0 <= number < len(names):
        return names[number]
    raise HResultError(ERROR_INVALID_PARAMETER, f"no such HTTP_HEADER_ID: {number}")
