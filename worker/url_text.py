"""URL paths as text in a Location, a link or a field, and back; the name in a Host field."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote, unquote

__all__ = ["as_bytes", "host_name", "quote_path", "read_url", "tidy_url"]

_SAFE = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=:@"
)
_UNSAFE = re.compile(r"[^!#-;=?-\[\]_a-z~]|%(?![0-9A-Fa-f]{2})")


def as_bytes(text: str) -> str:
    """Text as what its bytes are in latin-1; what holds more than that is decoded, and UTF-8."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text


def host_name(host: str) -> str:
    """A Host field without its port; the brackets of an IPv6 address stay."""
    name, colon, port = host.rpartition(":")
    return name if colon and not port.endswith("]") else host


def tidy_url(text: str) -> str:
    """What is a URL, or meant to be, with what no URL may hold quoted."""
    return _UNSAFE.sub(lambda m: quote(m[0].encode("utf-8", "surrogateescape"), safe=""), text)


def quote_path(path: str) -> str:
    """A decoded path, percent-encoded; one leading slash only, since two would name a host."""
    raw = path.encode("utf-8", "surrogateescape")
    text = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw)
    return "/" + text.lstrip("/") if text.startswith("//") else text


def read_url(url: str) -> tuple[str, str]:
    """The canonical path (decoded, no dot segments, one slash in front) and the query of a URL."""
    path, _, query = url.partition("#")[0].partition("?")
    scheme, colon, rest = path.partition("://")
    if colon and "/" not in scheme:
        path = "/" + rest.partition("/")[2]
    path = unquote(path, errors="surrogateescape")
    tail = "/" if path.endswith(("/", "/.", "/..")) else ""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return (path if path == "/" else path + tail), query
