"""FastCGI 1.0: records to bytes and back. Pure.

A record is a header of eight bytes (version, type, request id, length, padding) and up to 65,535
bytes of content; id 0 is for records about the process as a whole. What is longer goes in several
records of one type, and an empty one ends such a stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "FLAG_KEEP_CONN",
    "IDS",
    "MAX_CONTENT",
    "EndRequest",
    "ProtocolStatus",
    "Record",
    "RecordError",
    "RecordReader",
    "RecordType",
    "Role",
    "abort_request",
    "begin_request",
    "decode_pairs",
    "encode_pairs",
    "get_values",
    "stream",
    "whole_answer",
    "whole_request",
]

VERSION = 1
MAX_CONTENT = 65535
FLAG_KEEP_CONN = 1
MANAGEMENT_ID = 0

_HEADER = struct.Struct(">BBHHBx")
_BEGIN = struct.Struct(">HB5x")
_END = struct.Struct(">IB3x")
_LONG = struct.Struct(">I")
_SHORT = [bytes((length,)) for length in range(128)]


class RecordType(IntEnum):
    """FCGI_*: what a record is."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


_PARAMS, _STDOUT = int(RecordType.PARAMS), int(RecordType.STDOUT)
_END_REQUEST = int(RecordType.END_REQUEST)


class Role(IntEnum):
    """What a process is asked to be for a request."""

    RESPONDER = 1
    AUTHORIZER = 2
    FILTER = 3


class ProtocolStatus(IntEnum):
    """How a request has ended, by END_REQUEST."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


class RecordError(ValueError):
    """The peer does not speak FastCGI 1.0."""


class Record(NamedTuple):
    """One record; `type` is a number, since later versions may have others."""

    type: int
    request_id: int
    content: bytes


class EndRequest(NamedTuple):
    """The content of END_REQUEST."""

    app_status: int
    protocol_status: int

    @classmethod
    def decode(cls, content: bytes) -> EndRequest:
        """Raises RecordError."""
        if len(content) < _END.size:
            raise RecordError("END_REQUEST is too short")
        return cls(*_END.unpack_from(content))


def encode(kind: int, request_id: int, content: bytes) -> bytes:
    """One record, padded to a multiple of eight bytes as the specification recommends."""
    padding = -len(content) % 8
    return _HEADER.pack(VERSION, kind, request_id, len(content), padding) + content + bytes(padding)


def begin_request(request_id: int, role: Role, flags: int) -> bytes:
    """The first record of a request."""
    return encode(RecordType.BEGIN_REQUEST, request_id, _BEGIN.pack(role, flags))


def abort_request(request_id: int) -> bytes:
    """Nobody wants the answer any more."""
    return encode(RecordType.ABORT_REQUEST, request_id, b"")


def stream(kind: RecordType, request_id: int, data: bytes) -> bytes:
    """Part of a stream in as many records as it takes; without data the record that ends it."""
    if len(data) <= MAX_CONTENT:
        return encode(kind, request_id, data)
    pieces = (data[at : at + MAX_CONTENT] for at in range(0, len(data), MAX_CONTENT))
    return b"".join([encode(kind, request_id, piece) for piece in pieces])


# Records that are the same in most requests. One that is alone on a connection has one of two ids:
# what a process says of a request after its end is nobody's then, and not the next one's.
IDS = (1, 2)
_BEGINS = {
    (number, keeps): begin_request(number, Role.RESPONDER, FLAG_KEEP_CONN * keeps)
    for number in IDS
    for keeps in (False, True)
}
_ENDS_OF_PARAMS = {number: encode(RecordType.PARAMS, number, b"") for number in IDS}
_ENDS_OF_STDIN = {number: encode(RecordType.STDIN, number, b"") for number in IDS}
_ENDS_OF_BOTH = {number: _ENDS_OF_PARAMS[number] + _ENDS_OF_STDIN[number] for number in IDS}
_PADDINGS = [bytes(length) for length in range(8)]


def whole_request(number: int, parameters: bytes, body: bytes, *, keep: bool) -> bytes:
    """All records of a request that is alone on its connection; its id is one of IDS."""
    length = len(parameters)
    if length > MAX_CONTENT:
        head = stream(RecordType.PARAMS, number, parameters)
    else:
        padding = -length % 8
        header = _HEADER.pack(VERSION, _PARAMS, number, length, padding)
        head = header + parameters + _PADDINGS[padding]
    if not body:
        return _BEGINS[number, keep] + head + _ENDS_OF_BOTH[number]
    stdin = stream(RecordType.STDIN, number, body)
    begin = _BEGINS[number, keep]
    return b"".join((begin, head, _ENDS_OF_PARAMS[number], stdin, _ENDS_OF_STDIN[number]))


def whole_answer(number: int, data: bytes) -> tuple[bytes, int] | None:
    """What a process has written to STDOUT, and its protocol status; None: more is to come.

    For an answer to `whole_request`. Raises RecordError where there is anything else in it.
    """
    at, end = 0, len(data) - _HEADER.size
    content: list[bytes] = []
    while at <= end:
        version, kind, request_id, length, padding = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if version != VERSION or request_id != number:
            raise RecordError("another version, or request")
        if kind == _STDOUT:
            content.append(data[at : at + length])
        elif kind != _END_REQUEST or length < _END.size or at + length + padding < len(data):
            raise RecordError("neither output nor the end")
        elif at + length + padding == len(data):
            output = content[0] if len(content) == 1 else b"".join(content)
            return output, _END.unpack_from(data, at)[1]
        at += length + padding
    return None


def get_values(names: Iterable[bytes]) -> bytes:
    """Ask what the process can do."""
    return encode(RecordType.GET_VALUES, MANAGEMENT_ID, encode_pairs(dict.fromkeys(names, b"")))


def encode_pairs(pairs: Mapping[bytes, bytes]) -> bytes:
    """Names and values, each after its length: one byte up to 127, else four."""
    parts: list[bytes] = []
    short = _SHORT
    for name, value in pairs.items():
        try:
            parts += (short[len(name)], short[len(value)], name, value)
        except IndexError:
            parts += (_length(len(name)), _length(len(value)), name, value)
    return b"".join(parts)


def _length(length: int) -> bytes:
    return _SHORT[length] if length <= 127 else _LONG.pack(length | 1 << 31)


def decode_pairs(data: bytes) -> dict[bytes, bytes]:
    """The reverse. Raises RecordError."""
    pairs: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        name_length, at = _read_length(data, at)
        value_length, at = _read_length(data, at)
        end = at + name_length + value_length
        if end > len(data):
            raise RecordError("a pair is longer than its record")
        pairs[data[at : at + name_length]] = data[at + name_length : end]
        at = end
    return pairs


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise RecordError("a pair has no length")
    if data[at] <= 127:
        return data[at], at + 1
    if at + 4 > len(data):
        raise RecordError("a length is cut short")
    return _LONG.unpack_from(data, at)[0] & 0x7FFFFFFF, at + 4


class RecordReader:
    """Bytes in, records out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that are complete now. Raises RecordError."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _HEADER.size:
                version, kind, request_id, length, padding = _HEADER.unpack_from(buffer, at)
                if version != VERSION:
                    raise RecordError(f"FastCGI version {version}")
                begin = at + _HEADER.size
                end = begin + length + padding
                if end > len(buffer):
                    return
                content = bytes(buffer[begin : begin + length])
                at = end
                yield Record(kind, request_id, content)
        finally:
            del buffer[:at]
