"""Status lines and header blocks as extensions write them (pure)."""

from __future__ import annotations

import re

from was.config.http_text import TOKEN
from was.worker.isapi.errors import invalid

__all__ = ["is_method", "parse_header_block", "parse_status"]

_STATUS = re.compile(r"\s*(?:HTTP/\d+\.\d+\s+)?(\d{3})(?:\s+(.*?))?\s*", re.DOTALL)
_END = re.compile(r"\r?\n\r?\n")


def is_method(text: str) -> bool:
    """Whether a request may have this method (RFC 9110, 5.6.2: a token)."""
    return TOKEN.fullmatch(text) is not None


def parse_status(text: str) -> tuple[int, str]:
    """Code and reason of "200 OK"; nothing at all is 200 OK. Raises ServerFunctionError (87)."""
    if not text.strip():
        return 200, "OK"
    match = _STATUS.fullmatch(text)
    if match is None or not 200 <= int(match[1]) <= 599 or not (match[2] or "").isprintable():
        raise invalid(f"not a status line: {text[:80]!r}")
    return int(match[1]), match[2] or ""


def parse_header_block(text: str) -> tuple[list[tuple[str, str]], str]:
    """The fields up to the empty line, and what follows it, which is body.

    A line that begins with a blank continues the one before (RFC 9112, 5.2: joined by a blank).
    Raises ServerFunctionError (87) for a line without a name.
    """
    found = _END.search(text)
    if text.startswith(("\r\n", "\n")):
        head, rest = "", text[2 if text.startswith("\r\n") else 1 :]
    elif found is None:
        head, rest = text, ""
    else:
        head, rest = text[: found.start()], text[found.end() :]
    fields: list[tuple[str, str]] = []
    for line in head.replace("\r\n", "\n").split("\n"):
        if not line:
            continue
        if line[0] in " \t" and fields:
            name, value = fields[-1]
            fields[-1] = name, f"{value} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise invalid(f"not a header line: {line[:80]!r}")
        fields.append((name.strip(), value.strip()))
    return fields, rest
