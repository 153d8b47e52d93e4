"""Response heads: what a worker may say in one, and the bytes the client gets. Pure.

A worker sends its fields as a block of "Name: value CR LF" lines. The listener trusts no worker,
and a block with a stray line end is a response splitting; so every block is checked, and because
an application sends the same block again and again, a good one is remembered (bounded).
Framing, persistence and hop-by-hop fields are the listener's own: a worker that sends one is
mistaken about what will be on the wire.
"""

from __future__ import annotations

import re
import sys
from http import HTTPStatus
from typing import NamedTuple

from was.config.http_text import HEAD_CONTROLS, TEXT, TOKEN_CHARACTER
from was.config.listener_fields import OWNED
from was.errors import LocalProtocolError
from was.ipc.messages import REASON_LENGTH
from was.known import keep

__all__ = [
    "BlockFlags",
    "check_block",
    "http_date",
    "response_head",
    "without_empty_server",
]


class BlockFlags(NamedTuple):
    """Which fields a good block brings along, so that the listener adds only what is missing."""

    has_date: bool
    has_server: bool


# A line from the LF before it to the CR at its end: as many matches as lines, or one is no field.
_LINES = re.compile(rb"\n(" + TOKEN_CHARACTER.encode() + rb"++):[^\r]*+\r(?=\n)")
_EMPTY_SERVER = re.compile(rb"^Server:[ \t]*\r\n", re.IGNORECASE | re.MULTILINE)
_CHECKED: dict[bytes, BlockFlags] = {}
_CHECKED_LIMIT = 1024
_CHECKED_BYTES = 512

# Names in the spellings seen, and what they are here; bounded.
_PLAIN, _OWNED, _DATE, _SERVER = range(4)
_KINDS: dict[bytes, int] = {}
_KINDS_LIMIT = 2048


def check_block(block: bytes) -> BlockFlags:
    """Check a block of field lines. Raises LocalProtocolError with the reason."""
    flags = _CHECKED.get(block)
    if flags is not None:
        return flags
    names = _LINES.findall(b"\n" + block)
    if len(names) != block.count(b"\n") or (block and not block.endswith(b"\r\n")):
        raise LocalProtocolError(f"not a block of header fields: {_first_bad_line(block)!r}")
    if len(block.translate(None, HEAD_CONTROLS)) != len(block):
        raise LocalProtocolError("a control character in a header field")
    has_date = has_server = False
    for name in names:
        kind = _KINDS.get(name)
        if kind is None:
            kind = _memorise(name)
        if kind == _OWNED:
            raise LocalProtocolError(f"the listener alone sends {name.decode('ascii')}")
        if kind == _DATE:
            has_date = True
        elif kind == _SERVER:
            has_server = True
    flags = _FLAGS[has_date, has_server]
    if len(block) <= _CHECKED_BYTES:
        keep(_CHECKED, block, flags, _CHECKED_LIMIT)
    return flags


def without_empty_server(block: bytes) -> bytes:
    """A good block without its Server field, where that is empty: there is to be none at all."""
    return _EMPTY_SERVER.sub(b"", block)


def _memorise(name: bytes) -> int:
    text = name.decode("ascii").lower()
    kind = _OWNED if text in OWNED else {"date": _DATE, "server": _SERVER}.get(text, _PLAIN)
    if len(name) <= 64:
        keep(_KINDS, name, kind, _KINDS_LIMIT)
    return kind


_FLAGS = {(d, s): BlockFlags(d, s) for d in (False, True) for s in (False, True)}


def _first_bad_line(block: bytes) -> bytes:
    for line in block.split(b"\r\n")[:-1]:
        if not _LINES.match(b"\n" + line + b"\r\n") or b"\n" in line or b"\r" in line:
            return line[:80]
    return block[-80:]


_REASONS = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: dict[tuple[int, str], bytes] = {}
_STATUS_LINES_LIMIT = 512

# What is said about persistence.
_CLOSE = b"Connection: close\r\n\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n\r\n"
_END = b"\r\n"


def response_head(
    version: int,
    status: int,
    reason: str,
    block: bytes,
    content_length: int,
    chunked: bool,
    close: bool,
    standing: bytes,
) -> bytes:
    """The bytes of a response head. `block` has been checked; it decides nothing here.

    `version` is the client's: HTTP.SYS too answers 1.0 clients with HTTP/1.1, as RFC 9110 2.5
    wants; but they are told that the connection stays, and `chunked` is not for them.
    `content_length` -1 = none is said. `standing` is whole lines that are the same in every
    response (Date, Server). Raises LocalProtocolError for a status or reason that cannot be one.
    """
    line = _STATUS_LINES.get((status, reason))
    if line is None:
        line = _status_line(status, reason)
    end = _CLOSE if close else _KEEP_ALIVE if version == 10 else _END
    if chunked:
        if version == 10:
            raise LocalProtocolError("an HTTP/1.0 client cannot read chunks")
        return b"%b%bTransfer-Encoding: chunked\r\n%b%b" % (line, block, standing, end)
    if content_length >= 0:
        return b"%b%bContent-Length: %d\r\n%b%b" % (line, block, content_length, standing, end)
    return b"%b%b%b%b" % (line, block, standing, end)


def _status_line(status: int, reason: str) -> bytes:
    if not 100 <= status <= 999:
        raise LocalProtocolError(f"{status} is not a status code")
    if len(reason) > REASON_LENGTH or TEXT.fullmatch(reason) is None:
        raise LocalProtocolError(f"a reason that cannot be sent: {reason!r:.80}")
    text = reason or _REASONS.get(status, "")
    line = f"HTTP/1.1 {status} {text}\r\n".encode("latin-1")
    if len(reason) <= 64:
        keep(_STATUS_LINES, (status, sys.intern(reason)), line, _STATUS_LINES_LIMIT)
    return line


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip

_date_second = -1
_date_text = b""


def http_date(unix_time: float) -> bytes:
    """IMF-fixdate of a time (RFC 9110 5.6.7); the last second's text is kept."""
    global _date_second, _date_text  # a memory of one value
    second = int(unix_time)
    if second != _date_second:
        days, rest = divmod(second, 86400)
        year, month, day = _civil_date(days)
        _date_text = (
            f"{_DAYS[(days + 3) % 7]}, {day:02d} {_MONTHS[month - 1]} {year:04d} "
            f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d} GMT"
        ).encode("ascii")
        _date_second = second
    return _date_text


def _civil_date(days: int) -> tuple[int, int, int]:
    """Year, month, day of a count of days since 1970-01-01.

    In eras of 400 years counted from 1 March, so that the leap day is the last day of a year.
    """
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day
