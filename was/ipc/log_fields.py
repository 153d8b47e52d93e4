"""The columns of a W3C request log, and who fills them.

A line has a fixed order. The worker knows most of it and composes ONE string; the listener puts
time, outcome and counts round it:

    date time | s-sitename … cs-host | sc-status … time-taken | custom columns
    listener  | worker: `prefix`     | listener               | worker: `tail`

`composer` joins prefix and tail with TAIL_MARK (two spaces: no escaped field holds a space and none
is empty, so it cannot occur inside). Without custom columns the string is the bare prefix. Escaped
text is printable: the listener, which trusts no worker, asks `str.isprintable` and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import NamedTuple

__all__ = [
    "TAIL_MARK",
    "W3C_FIELDS",
    "WORKER_FIELDS",
    "Column",
    "bits_of",
    "composer",
    "escape",
    "flags_of",
]

TAIL_MARK = "  "


class Column(NamedTuple):
    """One column: its name in #Fields, its flag in logExtFileFlags, and who fills it."""

    name: str
    flag: str
    bit: int  # of the flag, as IIS's schema numbers them
    filled_by: str  # "worker" or "listener"


W3C_FIELDS: tuple[Column, ...] = (
    Column("date", "Date", 1, "listener"),
    Column("time", "Time", 2, "listener"),
    Column("s-sitename", "SiteName", 16, "worker"),
    Column("s-computername", "ComputerName", 32, "worker"),
    Column("s-ip", "ServerIP", 64, "worker"),
    Column("cs-method", "Method", 128, "worker"),
    Column("cs-uri-stem", "UriStem", 256, "worker"),
    Column("cs-uri-query", "UriQuery", 512, "worker"),
    Column("s-port", "ServerPort", 32768, "worker"),
    Column("cs-username", "UserName", 8, "worker"),
    Column("c-ip", "ClientIP", 4, "worker"),
    Column("cs-version", "ProtocolVersion", 524288, "worker"),
    Column("cs(User-Agent)", "UserAgent", 65536, "worker"),
    Column("cs(Cookie)", "Cookie", 131072, "worker"),
    Column("cs(Referer)", "Referer", 262144, "worker"),
    Column("cs-host", "Host", 1048576, "worker"),
    Column("sc-status", "HttpStatus", 1024, "listener"),
    Column("sc-substatus", "HttpSubStatus", 2097152, "listener"),
    Column("sc-win32-status", "Win32Status", 2048, "listener"),
    Column("sc-bytes", "BytesSent", 4096, "listener"),
    Column("cs-bytes", "BytesRecv", 8192, "listener"),
    Column("time-taken", "TimeTaken", 16384, "listener"),
)

# What who composes hands over, in this order, "" for what it does not know.
WORKER_FIELDS: tuple[Column, ...] = tuple(c for c in W3C_FIELDS if c.filled_by == "worker")


def bits_of(flags: Collection[str]) -> int:
    """Columns as one number, for a message."""
    return sum(column.bit for column in W3C_FIELDS if column.flag in flags)


def flags_of(bits: int) -> frozenset[str]:
    """And back."""
    return frozenset(column.flag for column in W3C_FIELDS if column.bit & bits)


def escape(value: str) -> str:
    """One value as one column: `+` for white space and what cannot be printed, `-` for nothing."""
    if value.isprintable():
        return value.replace(" ", "+") if value else "-"
    return "".join(c if c != " " and c.isprintable() else "+" for c in value)


def composer(flags: Collection[str]) -> Callable[[Sequence[str], Sequence[str]], str]:
    """What makes the worker's part of a line of a site: of `values` in the order of WORKER_FIELDS.

    The choice of columns is made once. With none of the worker's switched on the prefix is "-":
    "" means not to log.
    """
    chosen = [index for index, column in enumerate(WORKER_FIELDS) if column.flag in flags]
    breaks = len(chosen) - 1
    pick: Callable[[Sequence[str]], tuple[str, ...]] = (
        itemgetter(*chosen) if breaks > 0 else lambda values: tuple(values[i] for i in chosen)
    )

    def compose_line(values: Sequence[str], custom: Sequence[str] = ()) -> str:
        # All columns at once: LF holds the place of the separator while blanks become "+", and
        # what has nothing between two separators gets its "-".
        joined = "\n".join(pick(values))
        if "\n\n" in joined or joined[:1] == "\n" or joined[-1:] == "\n" or not joined:
            joined = "\n".join([value or "-" for value in pick(values)])
        prefix = joined.replace(" ", "+").replace("\n", " ")
        if not prefix.isprintable() or prefix.count(" ") != breaks:
            prefix = " ".join([escape(value) for value in pick(values)]) or "-"
        if custom:
            return prefix + TAIL_MARK + " ".join([escape(value) for value in custom])
        return prefix

    return compose_line
