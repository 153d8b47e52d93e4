"""The head of a response as CGI programs write it (RFC 3875, 6): bytes in, fields out. Pure.

Lines end with LF or CRLF. `Status: 404 Not Found` sets the status; Location without one is a
redirect: to a URL the client's (302), to a path of this server ours. A first line `HTTP/1.x 200 OK`
is the head of a whole response (NPH).
"""

from __future__ import annotations

import re

from was.config.http_text import TEXT, TOKEN_CHARACTER, length_of
from was.known import keep

__all__ = ["HEAD_LIMIT", "Head", "HeadError", "parse_head"]

HEAD_LIMIT = 65536

_STATUS = re.compile(rf"([2-5][0-9]{{2}})(?:[ \t]+({TEXT.pattern}))?")
_STATUS_LINE = re.compile(r"HTTP/\d+(?:\.\d+)?[ \t]+([2-5][0-9]{2})(?:[ \t]+(.*))?")
_FIELD = re.compile(rf"({TOKEN_CHARACTER}+)[ \t]*:[ \t]*(.*?)[ \t]*")
_END = re.compile(rb"\r?\n(?:\r?\n)|\A\r?\n")

# Programs say the same again and again: heads up to this size are read once.
_KNOWN_LIMIT = 512
_MOST_KNOWN = 512


class HeadError(ValueError):
    """The bytes are no head; `text` is how they begin."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.text = text


class Head:
    """Status, fields and what the fields mean; not to be changed, since others have it as well."""

    __slots__ = (
        "content_length",
        "fields",
        "has_status",
        "is_raw",
        "location",
        "prepared",
        "reason",
        "status",
    )

    def __init__(self) -> None:
        self.status = 200
        self.reason = ""
        self.has_status = False  # the program said it
        self.is_raw = False  # NPH
        self.fields: list[tuple[str, str]] = []  # without Status and Content-Length
        self.location = ""
        self.content_length = -1
        # What is sent of the fields, also as a block; whoever works it out leaves it here.
        self.prepared: tuple[list[tuple[str, str]], bytes] | None = None

    @property
    def is_local_redirect(self) -> bool:
        """Whether another path of this server is to answer (RFC 3875, 6.2.2)."""
        return self.location.startswith("/") and not (self.has_status or self.is_raw)

    def has(self, name: str) -> bool:
        """Whether there is a field of this name, in lower case."""
        return any(key.lower() == name for key, _ in self.fields)


_known: dict[bytes, Head] = {}


def parse_head(data: bytes | bytearray, *, is_all: bool = False) -> tuple[Head, int] | None:
    """The head that `data` begins with, and where the body begins; None if it is not complete.

    `is_all`: nothing will follow. Raises HeadError.
    """
    end, begin = _find_end(data)
    if begin < 0:
        if is_all or len(data) > HEAD_LIMIT:
            reason = "there is no empty line after the headers"
            raise HeadError(reason, bytes(data[:HEAD_LIMIT]).decode("latin-1"))
        return None
    raw = bytes(data[:end])
    head = _known.get(raw)
    if head is None:
        head = _parse(raw)
        if end <= _KNOWN_LIMIT:
            keep(_known, raw, head, _MOST_KNOWN)
    return head, begin


def _find_end(data: bytes | bytearray) -> tuple[int, int]:
    """Where the head's last line ends, and where the body begins; -1 for both: not yet."""
    if data[:1] not in (b"\r", b"\n"):
        # Far quicker than the expression, which says the same.
        end, size = data.find(b"\n\r\n", 0, HEAD_LIMIT + 4), 3
        other = data.find(b"\n\n", 0, end if end >= 0 else HEAD_LIMIT + 4)
        if other >= 0:
            end, size = other, 2
        if end < 0:
            return -1, -1
        return end - (data[end - 1] == 13), end + size
    found = _END.search(data, 0, HEAD_LIMIT + 4)
    return (-1, -1) if found is None else found.span()


def _parse(raw: bytes) -> Head:
    text = raw.decode("latin-1")
    head = Head()
    lines = text.split("\n") if text else []
    for number, line in enumerate(lines):
        line = line.removesuffix("\r")
        if number == 0 and line.startswith("HTTP/"):
            _read_status(head, _STATUS_LINE.fullmatch(line), line, text)
            head.is_raw = True
        else:
            _read_field(head, line, text)
    if head.location and not head.has_status and not head.is_local_redirect:
        head.status = 302
    return head


def _read_field(head: Head, line: str, text: str) -> None:
    found = _FIELD.fullmatch(line)
    if found is None or "\0" in line:
        raise HeadError(f"not a header: {line[:200]!r}", text)
    name, value = found.group(1), found.group(2)
    lower = name.lower()
    if lower == "status" and not head.is_raw:
        _read_status(head, _STATUS.fullmatch(value), line, text)
    elif lower == "content-length":
        length = length_of(value)
        if length < 0:
            raise HeadError(f"not a Content-Length: {value[:200]!r}", text)
        if head.content_length not in (-1, length):
            raise HeadError(f"Content-Length is {head.content_length} and {value}", text)
        head.content_length = length
    elif lower == "transfer-encoding":
        raise HeadError("a body with codings, which are the server's business", text)
    else:
        if lower == "location":
            head.location = value
        head.fields.append((name, value))


def _read_status(head: Head, found: re.Match[str] | None, line: str, text: str) -> None:
    if found is None:
        raise HeadError(f"not a status: {line[:200]!r}", text)
    head.status = int(found.group(1))
    head.reason = (found.group(2) or "").strip()
    head.has_status = True
