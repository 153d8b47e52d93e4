"""The canonical path of a request target: what HTTP.SYS makes of a raw URL, once, for everybody.

In this order, so that nothing decoded later can undo a check made earlier: percent-decode (exactly
once; UTF-8, else Latin-1, as EnableNonUTF8 and FavorUTF8 say), backslash to slash, runs of slashes
to one, dot segments away without ever leaving the root. Everything behind (routing, request
filtering, handlers, files) sees this path only.
"""

from __future__ import annotations

import re

from was.config.urls import tidy_path

__all__ = ["UrlError", "canonical_path"]

# AllowRestrictedChars = 0: no escape may decode to a control character. The lone surrogates would
# not survive any encoding.
_RESTRICTED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPES = re.compile(rb"%(?:u([0-9A-Fa-f]{4})|([0-9A-Fa-f]{2}))|%")


class UrlError(ValueError):
    """The path is none: a bad escape, or a character that no path may hold."""


def canonical_path(raw_path: str) -> str:
    """Decode and normalise `raw_path`, bytes as Latin-1 text. Raises UrlError."""
    data = raw_path.encode("latin-1")
    if b"%" in data:
        data = _unescape(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        if "%u" in raw_path:
            raise UrlError("a %u escape beside bytes that are no UTF-8") from None
        text = data.decode("latin-1")
    if _RESTRICTED.search(text):
        raise UrlError("an escape stands for a character that no URL may hold")
    return tidy_path(text)


def _unescape(data: bytes) -> bytes:
    pieces: list[bytes] = []
    high = ""  # first half of a %uD8xx%uDCxx pair
    end = 0
    for match in _ESCAPES.finditer(data):
        wide: bytes | None = match[1]
        narrow: bytes | None = match[2]
        if high and (wide is None or match.start() != end):
            raise UrlError("half of a surrogate pair")
        pieces.append(data[end : match.start()])
        end = match.end()
        if narrow is not None:
            pieces.append(_BYTES[int(narrow, 16)])
            continue
        if wide is None:
            raise UrlError("a % that begins no escape")
        unit = chr(int(wide, 16))
        if not high and "\ud800" <= unit <= "\udbff":
            high = unit
            continue
        try:
            pieces.append((high + unit).encode("utf-16", "surrogatepass").decode("utf-16").encode())
        except UnicodeDecodeError:
            raise UrlError("half of a surrogate pair") from None
        high = ""
    if high:
        raise UrlError("half of a surrogate pair")
    pieces.append(data[end:])
    return b"".join(pieces)


_BYTES = [bytes([number]) for number in range(256)]
