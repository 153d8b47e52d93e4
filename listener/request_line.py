"""The request line, where it is not plain: verb, forms of the target, version, URL rules. Pure.

`head_scanner` reads the usual line (an origin-form target without escapes) by itself, and comes
here with every other one. RFC 9112 3 has four forms of target; of these CONNECT's is for proxies,
`*` is for OPTIONS alone and stands for "/" in the canonical path, and an absolute URL brings its
own authority.
"""

from __future__ import annotations

import re

from was.config.http_text import TOKEN_CHARACTER
from was.listener.head import Head, Limits, refusal
from was.listener.targets import UrlError, canonical_path

__all__ = ["PLAIN_METHODS", "check_partial_line", "match_line", "read_line"]

# What a target may hold: no blank, control character or "#". Bytes from 0x80 are accepted, as
# HTTP.SYS does: clients send raw UTF-8.
_TARGET = r"[!-\"$-~\x80-\xff]"
_ANY_LINE = re.compile(
    rf"({TOKEN_CHARACTER}++) ({_TARGET}++) HTTP/([0-9])\.([0-9])\r(?=\n)", re.ASCII
)
_METHOD = re.compile(rf"{TOKEN_CHARACTER}{{0,255}}+", re.ASCII)
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]", re.ASCII)
_ABSOLUTE = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?+://([^/?]*+)(.*+)", re.ASCII | re.DOTALL)

# Verbs that both engines know. Others are handed to them under another name.
PLAIN_METHODS = frozenset(
    (
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "MOVE", "COPY",
        "PROPFIND", "PROPPATCH", "MKCOL", "LOCK", "UNLOCK", "SEARCH",
    )
)  # fmt: skip
_KNOWN_METHODS = PLAIN_METHODS | {"CONNECT", "TRACK"}


def check_partial_line(line: str, limits: Limits) -> None:
    """Raise when no continuation can make this a request line."""
    method, space, rest = line.partition(" ")
    method = method.removesuffix("\r") if not space else method
    if _METHOD.fullmatch(method) is None or (space and not method):
        raise refusal("the request line does not begin with a verb", "Verb")
    url = rest.partition(" ")[0]
    if len(url) > limits.max_url_length or (len(line) > limits.max_request_bytes and url == rest):
        raise refusal(f"a URL of more than {limits.max_url_length} bytes", "URL_Length", 414)


def match_line(text: str, limits: Limits) -> re.Match[str]:
    """Match method, target and version, or say what is wrong with them."""
    match = _ANY_LINE.match(text)
    if match is not None:
        method, target, major, minor = match.groups()
        if len(method) > 255 or (method.upper() != method and method.upper() in _KNOWN_METHODS):
            # Verbs are case-sensitive: "get" is refused unless AllowCaseInsensitiveVerbs.
            raise refusal("not a verb; verbs are case-sensitive", "Verb")
        if (major, minor) not in {("1", "0"), ("1", "1")}:
            raise refusal(f"HTTP/{major}.{minor} is not spoken here", "Version_N/S", 505)
        if len(target) > limits.max_url_length:
            raise refusal(f"a URL of more than {limits.max_url_length} bytes", "URL_Length", 414)
        if method == "CONNECT":
            raise refusal("CONNECT is for proxies", "N/I", 501)
        return match
    line = text.partition("\n")[0].removesuffix("\r")
    check_partial_line(line, limits)
    words = line.split(" ")
    if len(words) == 3 and _VERSION.fullmatch(words[2]) is None:
        raise refusal("the request line does not end in a version", "BadRequest")
    if len(words) < 3:
        raise refusal("the request line has no version", "BadRequest")
    raise refusal("the URL holds a blank, a control character or a fragment", "URL")


def read_line(found: Head, text: str, limits: Limits) -> tuple[str | None, int]:
    """Fill in what the request line says; returns (authority of an absolute URL, its end)."""
    match = match_line(text, limits)
    method, target, _, minor = match.groups()
    found.method = method
    found.target = target
    found.version = 11 if minor == "1" else 10
    found.is_plain = method in PLAIN_METHODS and target.isascii()
    authority: str | None = None
    rest = target
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            authority, rest = absolute.groups()
            if not rest.startswith("/"):
                # RFC 9112 3.2.1: an empty path is "/"; `http://host?query` has one.
                rest = "/" + rest
        elif target == "*" and method == "OPTIONS":
            rest = "/"
        else:
            raise refusal("the URL begins with neither / nor http", "URL")
    raw_path, _, found.query = rest.partition("?")
    try:
        found.path = path = canonical_path(raw_path)
    except UrlError as error:
        raise refusal(str(error), "URL") from None
    if len(path) > limits.plain_path_length:
        segments = path.split("/")[1:]
        if 0 < limits.url_segment_max_count < len(segments):
            raise refusal(f"a URL of {len(segments)} segments", "URL")
        if 0 < limits.url_segment_max_length < max(map(len, segments)):
            raise refusal("a URL segment that is too long", "URL")
    return authority, match.end()
