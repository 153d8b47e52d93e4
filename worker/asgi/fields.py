"""Response fields of ASGI messages: pairs of bytes, checked and encoded once for each that recurs.

A pair becomes a line of the block that is sent and the pair of str that modules see. Pure but for
its bounded cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from was.errors import LocalProtocolError
from was.worker.fields import encode_field, read_length

__all__ = ["EncodedFields", "encode"]

_CACHE_LIMIT = 2048
_CACHED_VALUE_LIMIT = 256
_VARYING = frozenset({"set-cookie", "etag", "last-modified", "location", "content-range"})
# Said by the listener, which alone knows the connection; an application may name them in vain.
_DROPPED = frozenset(
    {"transfer-encoding", "keep-alive", "proxy-connection", "te", "upgrade", "date", "trailer"}
)

_Field = tuple[tuple[str, str], bytes | int]  # an int is that of Content-Length
_cache: dict[tuple[bytes, bytes], _Field] = {}


class EncodedFields(msgspec.Struct, eq=False):
    """The fields of one message, as modules see them and as they are sent."""

    pairs: list[tuple[str, str]] = []
    block: bytes = b""
    content_length: int = -1
    must_close: bool = False


def encode(headers: Iterable[Any]) -> EncodedFields:
    """Check and encode. Raises LocalProtocolError for what is no field."""
    found = EncodedFields()
    block = b""
    pairs = found.pairs
    try:
        for item in headers:
            known = _cache.get(item) if item.__class__ is tuple else None
            if known is None:
                name, value = item
                known = _cache.get((name, value)) or _encode_one(name, value, found)
            pair, line = known
            if type(line) is int:
                found.content_length = line
            elif line:
                pairs.append(pair)
                block += line  # type: ignore[operator]
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(
            f"headers must be an iterable of pairs of bytes: {error}"
        ) from None
    found.block = block
    return found


def _encode_one(name: object, value: object, found: EncodedFields) -> _Field:
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise LocalProtocolError(f"header name and value must be bytes: {name!r}: {value!r}")
    pair = name.decode("latin-1"), value.decode("latin-1").strip(" \t")
    lower = pair[0].lower()
    if lower == "content-length":
        return _keep(name, value, (pair, read_length(value)))
    if lower == "connection":
        found.must_close = found.must_close or "close" in pair[1].lower()
        return pair, b""
    if lower in _DROPPED:
        return pair, b""
    known = pair, encode_field(pair)
    return known if lower in _VARYING else _keep(name, value, known)


def _keep(name: bytes, value: bytes, field: _Field) -> _Field:
    if len(value) <= _CACHED_VALUE_LIMIT:
        if len(_cache) >= _CACHE_LIMIT:
            _cache.clear()
        _cache[name, value] = field
    return field
