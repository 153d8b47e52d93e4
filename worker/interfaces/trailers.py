"""Trailer fields: what follows a response's body, for clients that get it in chunks.

RFC 9110, 6.5.1: fields that frame a message, route it, say who may have it or how its content is to
be read must come before the content, so they are refused here.
"""

from __future__ import annotations

from was.errors import LocalProtocolError
from was.worker.fields import HOP_BY_HOP, LISTENER_FIELDS, encode_field
from was.worker.interfaces.hresult import ERROR_INVALID_PARAMETER, HResultError

__all__ = ["check_trailer"]

_NEVER = (
    HOP_BY_HOP
    | LISTENER_FIELDS
    | {
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "expect",
        "expires",
        "host",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "www-authenticate",
    }
)


def check_trailer(name: str, value: str) -> None:
    """Raises HResultError, ERROR_INVALID_PARAMETER, for what must not or cannot follow a body."""
    if name.lower() in _NEVER:
        raise HResultError(ERROR_INVALID_PARAMETER, f"{name} cannot follow a body")
    try:
        encode_field((name, value))
    except LocalProtocolError as error:
        raise HResultError(ERROR_INVALID_PARAMETER, str(error)) from None
