"""Response fields of ASGI messages: pairs of bytes, checked and encoded once for each that recurs.

A pair becomes a line of the block that is sent and the pair of str that modules see. Pure but for
its bounded cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from was.errors import LocalProtocolError
from was.known import keep
from was.worker.fields import (
    CACHED_FIELDS,
    CACHED_VALUE_LENGTH,
    VARYING,
    encode_field,
    read_length,
)

__all__ = ["EncodedFields", "encode"]

_WHOLE_LIMIT = 256
_WHOLE_BLOCK_LIMIT = 2048
# Said by the listener, which alone knows the connection; an application may name them in vain.
_DROPPED = frozenset(
    {"transfer-encoding", "keep-alive", "proxy-connection", "te", "upgrade", "date", "trailer"}
)


class EncodedFields(msgspec.Struct, frozen=True, eq=False):
    """The fields of one message, as modules see them and as they are sent.

    Several messages may share one: nobody changes the list.
    """

    pairs: list[tuple[str, str]] = []
    block: bytes = b""
    content_length: int = -1
    must_close: bool = False


# An int is that of Content-Length; None: Connection says that it is to be closed.
_Field = tuple[tuple[str, str], bytes | int | None]
_cache: dict[tuple[bytes, bytes], _Field] = {}
# All the fields of messages whose fields had all come before, one by one.
_wholes: dict[tuple[tuple[bytes, bytes], ...], EncodedFields] = {}


def encode(headers: Iterable[Any]) -> EncodedFields:
    """Check and encode. Raises LocalProtocolError for what is no field."""
    whole: tuple[Any, ...] | None = None
    if isinstance(headers, list):
        items: list[Any] = headers
        whole = tuple(items)
        try:
            found = _wholes.get(whole)
        except TypeError:  # pairs that are lists, or no bytes
            whole = None
        else:
            if found is not None:
                return found
    pairs: list[tuple[str, str]] = []
    block = b""
    content_length, must_close = -1, False
    try:
        for item in headers:
            known = _cache.get(item) if item.__class__ is tuple else None
            if known is None:
                whole = None
                name, value = item
                known = _cache.get((name, value)) or _encode_one(name, value)
            pair, line = known
            if isinstance(line, int):
                if content_length not in (-1, line):
                    raise LocalProtocolError(f"Content-Length is {content_length} and {line}")
                content_length = line
            elif line is None:
                must_close = True
            elif line:
                pairs.append(pair)
                block += line
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(
            f"headers must be an iterable of pairs of bytes: {error}"
        ) from None
    found = EncodedFields(pairs, block, content_length, must_close)
    if whole is not None and len(block) <= _WHOLE_BLOCK_LIMIT:
        keep(_wholes, whole, found, _WHOLE_LIMIT)
    return found


def _encode_one(name: object, value: object) -> _Field:
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise LocalProtocolError(f"header name and value must be bytes: {name!r}: {value!r}")
    pair = name.decode("latin-1"), value.decode("latin-1").strip(" \t")
    lower = pair[0].lower()
    if lower == "content-length":
        return _keep(name, value, (pair, read_length(value)))
    if lower == "connection":
        return pair, None if "close" in pair[1].lower() else b""
    if lower in _DROPPED:
        return pair, b""
    known = pair, encode_field(pair)
    return known if lower in VARYING else _keep(name, value, known)


def _keep(name: bytes, value: bytes, field: _Field) -> _Field:
    if len(value) <= CACHED_VALUE_LENGTH:
        keep(_cache, (name, value), field, CACHED_FIELDS)
    return field
