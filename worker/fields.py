"""Response fields: checked, then encoded to "Name: value" lines, once for each that recurs.

Every field of a response passes through `encode_field`, whoever set it, so nothing with a line
break or control character can leave (response splitting). Fields that the listener owns (framing
and connection) are refused by `LISTENER_FIELDS`; Content-Length is taken out by its setters.
"""

from __future__ import annotations

from was.config.http_text import CONTROL, TOKEN, length_of
from was.config.listener_fields import LISTENER_FIELDS, OWNED
from was.errors import LocalProtocolError
from was.ipc.messages import FIELDS_BYTES
from was.known import keep

__all__ = [
    "CACHED_FIELDS",
    "CACHED_VALUE_LENGTH",
    "HOP_BY_HOP",
    "LISTENER_FIELDS",
    "VARYING",
    "beside",
    "bounded",
    "encode_field",
    "encode_fields",
    "read_length",
]

# Of a connection, not of a message (RFC 2616, 13.5.1), and what the listener owns;
# what a program says of the length is the one thing that is asked of it.
HOP_BY_HOP = (OWNED - {"content-length"}) | {
    "proxy-authenticate",
    "proxy-authorization",
    "trailers",
}

# What one part of a response says with these adds to what another has said.
_ADDING = frozenset({"link", "set-cookie", "vary", "www-authenticate"})

# For all caches of encoded fields, here and at the interfaces. Values of VARYING differ from
# response to response: caching them would only turn the cache over.
VARYING = frozenset({"set-cookie", "etag", "last-modified", "location", "content-range"})
CACHED_VALUE_LENGTH = 256
CACHED_FIELDS = 2048

_cache: dict[tuple[str, str], bytes] = {}


def encode_field(field: tuple[str, str]) -> bytes:
    """One line of a block. Raises LocalProtocolError for a name or value HTTP does not allow."""
    name, value = field
    if not TOKEN.fullmatch(name):
        raise LocalProtocolError(f"not a field name: {name!r}")
    if CONTROL.search(value):
        raise LocalProtocolError(f"control character in the value of {name}: {value!r}")
    try:
        line = f"{name}: {value}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"the value of {name} is not latin-1: {value!r}") from None
    if len(value) <= CACHED_VALUE_LENGTH and name.lower() not in VARYING:
        keep(_cache, field, line, CACHED_FIELDS)
    return line


def read_length(value: str | bytes) -> int:
    """What a Content-Length says. Raises LocalProtocolError where that is no length."""
    length = length_of(value)
    if length < 0:
        raise LocalProtocolError(f"not a Content-Length: {value!r}")
    return length


def beside(before: list[tuple[str, str]], fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of the fields before may be sent with these, which count where both cannot."""
    said = {(name.lower(), value) for name, value in fields}
    names = {name for name, _ in said} - _ADDING
    return [f for f in before if f[0].lower() not in names and (f[0].lower(), f[1]) not in said]


def bounded(block: bytes) -> bytes:
    """The block. Raises LocalProtocolError for more than a response may have.

    What the listener reads of one message is bounded: it takes a worker that says more for broken.
    """
    if len(block) > FIELDS_BYTES:
        raise LocalProtocolError(f"{len(block)} bytes of fields, {FIELDS_BYTES} is the most")
    return block


def encode_fields(fields: list[tuple[str, str]]) -> bytes:
    """The block of these fields, in order."""
    try:
        return b"".join([_cache[field] for field in fields])
    except KeyError:
        return b"".join([_cache.get(field) or encode_field(field) for field in fields])
