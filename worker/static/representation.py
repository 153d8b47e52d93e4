"""Conditional and range requests on one representation (RFC 9110, 13 and 14). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from was.worker.http_dates import parse_date

__all__ = [
    "MAX_RANGES",
    "conditions_of",
    "entity_tag",
    "evaluate_conditions",
    "fields_of_304",
    "parse_ranges",
    "wants_range",
]

# More than this is an attack or a mistake: the whole file is sent instead.
MAX_RANGES = 16

_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)
_CONDITIONAL = frozenset(
    {
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
    }
)
_OF_A_BODY = frozenset({"content-type", "content-encoding", "content-length"})


def entity_tag(modified_ns: int, size: int, more: str = "") -> str:
    """The strong tag of a file, and of what else the representation is made of."""
    return f'"{modified_ns:x}:{size:x}{more}"'


def conditions_of(fields: list[tuple[str, str]]) -> dict[str, str]:
    """Those of a request's fields that the functions below are about, by lower-case name."""
    found: dict[str, str] = {}
    for name, value in fields:
        # All of them, and few others, begin so: one comparison instead of a lower() for each.
        if name[0] in "iIrR" and (lower := name.lower()) in _CONDITIONAL:
            found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found


def evaluate_conditions(fields: dict[str, str], etag: str, modified: int) -> int:
    """0 to go on, 304 or 412; `fields` are `conditions_of`, `modified` is in seconds."""
    if_match = fields.get("if-match")
    if if_match is not None:
        if not _is_listed(etag, if_match, weak=False):
            return 412
    elif (since := fields.get("if-unmodified-since")) is not None:
        date = parse_date(since)
        if date is not None and modified > date:
            return 412
    if_none_match = fields.get("if-none-match")
    if if_none_match is not None:
        return 304 if _is_listed(etag, if_none_match, weak=True) else 0
    since = fields.get("if-modified-since")
    if since is not None:
        date = parse_date(since)
        if date is not None and modified <= date:
            return 304
    return 0


def _is_listed(etag: str, listed: str, *, weak: bool) -> bool:
    """Whether it is among them, by the weak comparison or the strong one (RFC 9110, 8.8.3.2)."""
    if listed.strip() == "*":
        return True
    if not etag or (not weak and etag.startswith("W/")):
        return False
    wanted = etag.removeprefix("W/")
    for candidate in listed.split(","):
        text = candidate.strip()
        if (text.removeprefix("W/") if weak else text) == wanted:
            return True
    return False


def fields_of_304(
    fields: Iterable[tuple[str, str]], conditions: dict[str, str]
) -> list[tuple[str, str]]:
    """What a 304 says of the 200 it stands for: nothing that describes a body (RFC 9110, 15.4.5).

    Its validator is as weak as the client's, whose copy was compressed or rewritten on its way: by
    a strong one a cache would not find it (RFC 9111, 4.3.4).
    """
    asked = conditions.get("if-none-match", "")
    return [
        (name, f"W/{value}" if name.lower() == "etag" and f"W/{value}" in asked else value)
        for name, value in fields
        if name.lower() not in _OF_A_BODY
    ]


def wants_range(fields: dict[str, str], etag: str, modified: int) -> bool:
    """Whether Range is to be honoured: it is there, and If-Range fits."""
    if "range" not in fields:
        return False
    if_range = fields.get("if-range")
    if if_range is None:
        return True
    text = if_range.strip()
    if text.startswith('"'):
        return bool(etag) and text == etag
    return parse_date(text) == modified


def parse_ranges(text: str, size: int) -> list[tuple[int, int]] | None:
    """The (offset, length) pairs wanted of `size` bytes, in order, overlaps and gaps of 0 merged.

    None: ignore the field (another unit, bad syntax, too many). []: none can be satisfied.
    """
    unit, _, ranges = text.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    parts = ranges.split(",", MAX_RANGES)
    if len(parts) > MAX_RANGES or not ranges.strip(" \t,"):
        return None
    found: list[tuple[int, int]] = []
    for part in parts:
        if not part.strip():
            continue  # RFC 9110 5.6.1: elements of a list may be empty
        match = _RANGE.fullmatch(part.strip())
        if match is None or len(part) > 40:
            return None
        first, last = match.groups()
        if first:
            start = int(first)
            end = int(last) + 1 if last else size
            if end <= start and last:
                return None
            if start < size:
                found.append((start, min(end, size)))
        elif last:
            if int(last) > 0 and size > 0:
                found.append((max(0, size - int(last)), size))
        else:
            return None
    if len(found) > 1:
        found = _merge(found)
    return [(start, end - start) for start, end in found]


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
