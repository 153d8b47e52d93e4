"""The head scanner: what a request is, decided once, before either protocol engine sees it.

The engines disagree about line ends, folds, lengths, codings and Host; every disagreement between
two readers of one byte stream is a way to smuggle a request past one of them. So the decisions are
made here, on exactly the bytes of one head, and the engines only frame what follows. The rules are
RFC 9110 and 9112 where they leave no choice, HTTP.SYS where they do, and the stricter of the two
where a lenient reading could be read in two ways: HTTP.SYS takes bare LF line ends, we do not.

How it is fast: one decode, one match for the request line, one findall for all fields. Whether
every line was a field needs no second look: a match begins with the LF before its line and ends
with a CR before the next LF, so the matches number as many as the lines, or some line was no field
(or hid a bare CR or LF); only then is it asked which, and why. All patterns are possessive, so no
input makes them go back: the time is linear.

A head: `scan`. Bytes that are not yet one: `find_end`, `skip_leading`, `check_incomplete`.
"""

from __future__ import annotations

import re

from was.errors import RemoteProtocolError
from was.listener.targets import UrlError, canonical_path

__all__ = ["Head", "Limits", "check_incomplete", "find_end", "scan", "skip_leading"]


class Limits:
    """HTTP.SYS's limits of a head (registry names in the manual), sizes in bytes."""

    __slots__ = (
        "max_field_length",
        "max_fields",
        "max_request_bytes",
        "max_url_length",
        "plain_path_length",
        "url_segment_max_count",
        "url_segment_max_length",
    )

    def __init__(
        self,
        max_request_bytes: int = 16384,
        max_field_length: int = 16384,
        url_segment_max_length: int = 260,
        url_segment_max_count: int = 255,
        max_url_length: int = 16384,
        max_fields: int = 1000,
    ) -> None:
        # MaxRequestBytes is raised to MaxFieldLength if it is lower.
        self.max_request_bytes = max(max_request_bytes, max_field_length)
        self.max_field_length = max_field_length
        self.url_segment_max_length = url_segment_max_length
        self.url_segment_max_count = url_segment_max_count
        self.max_url_length = max_url_length
        self.max_fields = max_fields
        # No path up to this length can break a segment limit (0 = no limit).
        self.plain_path_length = min(
            url_segment_max_length or max_url_length,
            url_segment_max_count or max_url_length,
            max_url_length,
        )


class Head:
    """What the scanner found. Made by `scan` only, which sets every attribute."""

    __slots__ = (
        "chunked",
        "content_length",
        "expect_continue",
        "fields",
        "has_query",
        "host",
        "is_plain",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "size",
        "target",
        "upgrade",
        "version",
    )

    method: str
    target: str  # as sent, Latin-1
    path: str  # canonical; begins with "/"
    raw_path: str  # the target's path, undecoded; "*" for OPTIONS *
    query: str
    has_query: bool
    version: int  # 10 or 11
    fields: list[tuple[str, str]]  # names as sent, values Latin-1 without surrounding blanks
    host: str  # lower-case, without port; "" = none (HTTP/1.0)
    content_length: int  # -1 = no field
    chunked: bool
    keep_alive: bool
    expect_continue: bool
    upgrade: str  # the Upgrade field where Connection names it, else ""
    size: int  # of the head, the empty line included
    is_plain: bool  # any engine can be handed the bytes as they are

    def __repr__(self) -> str:
        return f"<Head {self.method} {self.target} {self.size} bytes>"


_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # RFC 9110 5.6.2
# What a target may hold: no blank, control character or "#". Bytes from 0x80 are accepted, as
# HTTP.SYS does: clients send raw UTF-8.
_TARGET = r"[!-\"$-~\x80-\xff]"
# A plain target needs no work: no escape, no empty or dot segment, no backslash.
_PLAIN_LINE = re.compile(
    r"([A-Z]{1,32}+) ((/(?:[A-Za-z0-9_~!$&'()*+,;=:@\-][A-Za-z0-9_~!$&'()*+,;=:@\-.]*+/?+)*+)"
    r"(?:\?([!-\"$-~]*+))?+) HTTP/1\.([01])\r(?=\n)",
    re.ASCII,
)
_ANY_LINE = re.compile(rf"({_TOKEN}++) ({_TARGET}++) HTTP/([0-9])\.([0-9])\r(?=\n)", re.ASCII)
_METHOD = re.compile(rf"{_TOKEN}{{0,255}}+", re.ASCII)
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]", re.ASCII)
_FIELD_LINES = re.compile(rf"\n({_TOKEN}++):[ \t]*+([^\r]*+)\r(?=\n)", re.ASCII)
_AUTHORITY = re.compile(r"([A-Za-z0-9._~\-]++|\[[0-9A-Fa-f:.]++\])(?::([0-9]{0,5}))?+", re.ASCII)
_ABSOLUTE = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?+://([^/?]*+)(.*+)", re.ASCII | re.DOTALL)
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")

_CONTROLS = bytes(c for c in (*range(32), 127) if c not in b"\t\r\n")

# Verbs that both engines know. Others are handed to them under another name.
_PLAIN_METHODS = frozenset(
    (
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "MOVE", "COPY",
        "PROPFIND", "PROPPATCH", "MKCOL", "LOCK", "UNLOCK", "SEARCH",
    )
)  # fmt: skip
_KNOWN_METHODS = _PLAIN_METHODS | {"CONNECT", "TRACK"}

# Field names that mean something here. Every other name is memorised as 0 in the spelling that
# was sent: there are few, and the memory is bounded.
_HOST, _LENGTH, _CODING, _CONNECTION, _EXPECT, _UPGRADE, _PROXY = range(1, 8)
_SPECIAL = {
    "host": _HOST,
    "content-length": _LENGTH,
    "transfer-encoding": _CODING,
    "connection": _CONNECTION,
    "expect": _EXPECT,
    "upgrade": _UPGRADE,
    "proxy-connection": _PROXY,  # means nothing to us, but llhttp takes it for Connection
}
_names: dict[str, int] = {}
_NAMES_LIMIT = 2048

# What every engine understands in the same way; any other Connection is told to them in one of
# these forms.
_KEEP_ALIVE = ["keep-alive"]
_CLOSE = ["close"]

_hosts: dict[str, str] = {}
_HOSTS_LIMIT = 2048


def _refuse(detail: str, reason: str, status: int = 400) -> RemoteProtocolError:
    return RemoteProtocolError(detail, status=status, reason=reason, page=reason)


# ── bytes that are not yet a head ───────────────────────────────────────────────────────────────


def find_end(buffer: bytes | bytearray, start: int) -> int:
    """The index just past the empty line, -1 when there is none from `start` on.

    An empty line that ends in bare LF is found too, so that its sender is answered (by `scan`)
    instead of waited for; one that lies before a proper end needs no search, `scan` will see it.
    `start` may be the length seen last time less 3.
    """
    end = buffer.find(b"\n\r\n", start)
    if end >= 0:
        return end + 3
    end = buffer.find(b"\n\n", start)
    return end + 2 if end >= 0 else -1


def skip_leading(buffer: bytes | bytearray) -> int:
    """How many bytes of empty lines to drop before a request line: at most two lines.

    RFC 9112 2.2: a server SHOULD ignore at least one empty line (CRLF) before the request line.
    """
    if not buffer.startswith(b"\r\n"):
        return 0
    return 4 if buffer.startswith(b"\r\n\r\n") else 2


def check_incomplete(buffer: bytes | bytearray, limits: Limits) -> None:
    """Raise RemoteProtocolError when no continuation can make these bytes a head we take."""
    if not buffer or buffer == b"\r":
        return
    size = len(buffer)
    text = bytes(buffer).decode("latin-1")
    line, line_end, _ = text.partition("\n")
    if line.startswith("\x16\x03"):
        raise _refuse("a TLS handshake on a port without TLS", "BadRequest")
    if line_end:
        _check_line_ends(bytes(buffer))
        _any_request_line(text, limits)
    else:
        _check_partial_line(line, limits)
    if size > limits.max_request_bytes:
        raise _refuse(f"a head of more than {limits.max_request_bytes} bytes", "RequestLength")
    if size - buffer.rfind(b"\n") - 1 > limits.max_field_length:
        raise _refuse(f"a line of more than {limits.max_field_length} bytes", "FieldLength")


def _check_partial_line(line: str, limits: Limits) -> None:
    method, space, rest = line.partition(" ")
    method = method.removesuffix("\r") if not space else method
    if _METHOD.fullmatch(method) is None or (space and not method):
        raise _refuse("the request line does not begin with a verb", "Verb")
    url = rest.partition(" ")[0]
    if len(url) > limits.max_url_length or (len(line) > limits.max_request_bytes and url == rest):
        raise _refuse(f"a URL of more than {limits.max_url_length} bytes", "URL_Length", 414)


def _check_line_ends(head: bytes) -> None:
    if _BARE_LINE_END.search(head):
        raise _refuse("a line that does not end in CR LF", "Invalid_CR/LF")


# ── a head ──────────────────────────────────────────────────────────────────────────────────────


def scan(head: bytes, limits: Limits) -> Head:
    """Read a head: the bytes up to the empty line and with it. Raises RemoteProtocolError."""
    size = len(head)
    if size > limits.max_request_bytes:
        check_incomplete(head, limits)
    text = head.decode("latin-1")
    found = Head()
    line = _PLAIN_LINE.match(text)
    if line is not None and line.end(3) - line.start(3) <= limits.plain_path_length:
        found.method, found.target, path, query, minor = line.groups()
        found.path = found.raw_path = path
        found.has_query = query is not None
        found.query = query or ""
        found.version = 11 if minor == "1" else 10
        found.is_plain = found.method in _PLAIN_METHODS
        authority = None
        fields_start = line.end()
        if (not found.is_plain and found.method == "CONNECT") or (
            line.end(2) - line.start(2) > limits.max_url_length
        ):
            _any_request_line(text, limits)
    else:
        _check_line_ends(head)
        authority, fields_start = _read_request_line(found, text, limits)
    found.size = size
    found.fields = fields = _FIELD_LINES.findall(text, fields_start)
    lines = text.count("\n")
    if (
        len(fields) != lines - 2
        or not text.endswith("\r\n\r\n")
        or len(head.translate(None, _CONTROLS)) != size
        or size > limits.max_field_length
        or lines > limits.max_fields
    ):
        _explain(head, text[fields_start:], len(fields) - lines + 2, limits)
    if " \r" in text or ("\t" in text and "\t\r" in text):
        found.fields = fields = [(name, value.rstrip(" \t")) for name, value in fields]
    _read_fields(found, fields, authority)
    return found


def _read_fields(found: Head, fields: list[tuple[str, str]], authority: str | None) -> None:
    """Host, framing, persistence and expectation: everything that fields decide."""
    host: str | None = None
    length = coding = expect = None
    connection = upgrade = ""
    names = _names
    for name, value in fields:
        kind = names.get(name)
        if not kind:
            if kind is None:
                kind = _memorise(name)
            if not kind:
                continue
        if kind == _HOST:
            if host is not None:
                raise _refuse("more than one Host field", "Hostname")
            host = value
        elif kind == _CONNECTION:
            connection = f"{connection},{value}" if connection else value
        elif kind == _LENGTH:
            if length is not None:
                # RFC 9110 8.6 would let equal ones pass; two readers may differ about them.
                raise _refuse("more than one Content-Length field", "Number")
            length = value
        elif kind == _CODING:
            if coding is not None:
                raise _refuse("more than one Transfer-Encoding field", "Header")
            coding = value
        elif kind == _EXPECT:
            expect = value if expect is None else f"{expect},{value}"
        elif kind == _PROXY:
            found.is_plain = False
        else:
            upgrade = f"{upgrade}, {value}" if upgrade else value

    if host is None:
        # RFC 9112 3.2: a 1.1 request without exactly one Host is answered 400.
        if found.version == 11:
            raise _refuse("no Host field", "Hostname")
        found.host = ""
    else:
        known = _hosts.get(host)
        found.host = known if known is not None else _read_host(host)
    if authority is not None:
        # RFC 9112 3.2.2: the target's authority replaces the Host field.
        found.host = _read_host(authority)

    found.content_length = -1 if length is None else _read_length(length)
    found.chunked = coding is not None and _read_coding(coding, length is not None, found.version)
    if connection:
        options = [option.strip(" \t").lower() for option in connection.split(",")]
        found.keep_alive = "close" not in options and (
            found.version == 11 or "keep-alive" in options
        )
        if options != _KEEP_ALIVE and options != _CLOSE:
            found.is_plain = False
        if upgrade and found.version == 11 and "upgrade" in options:
            found.upgrade = upgrade
        else:
            found.upgrade = ""
    else:
        found.keep_alive = found.version == 11
        found.upgrade = ""
    if upgrade:
        found.is_plain = False
    # RFC 9110 10.1.1: an HTTP/1.0 client's expectation is ignored.
    found.expect_continue = expect is not None and found.version == 11 and _read_expectation(expect)


def _memorise(name: str) -> int:
    kind = _SPECIAL.get(name.lower(), 0)
    if len(_names) >= _NAMES_LIMIT:
        _names.clear()
    if len(name) <= 64:
        _names[name] = kind
    return kind


def _read_host(value: str) -> str:
    """Host without port, lower-case. RFC 9112 3.2: an invalid value is answered 400."""
    match = _AUTHORITY.fullmatch(value)
    if match is None or (match[2] and int(match[2]) > 65535) or len(value) > 262:
        raise _refuse("the Host is not a host", "Hostname")
    host = match[1].lower()
    if len(_hosts) >= _HOSTS_LIMIT:
        _hosts.clear()
    _hosts[value] = host
    return host


def _read_length(value: str) -> int:
    # Digits only: int() would take "+1", "1_0", " 1" and digits of other scripts.
    if not (value.isdigit() and value.isascii()) or len(value) > 18:
        raise _refuse("Content-Length is not a number", "Number")
    return int(value)


def _read_coding(value: str, has_length: bool, version: int) -> bool:
    if version == 10:
        # RFC 9112 6.1: its framing is faulty; whoever forwarded it did not understand it.
        raise _refuse("Transfer-Encoding in HTTP/1.0", "Header")
    if has_length:
        raise _refuse("both Transfer-Encoding and Content-Length", "Header")
    if value.lower() != "chunked":
        raise _refuse("a transfer coding other than chunked", "N/I", 501)
    return True


def _read_expectation(value: str) -> bool:
    if value.lower() != "100-continue":
        raise _refuse("an expectation other than 100-continue", "Precondition", 417)
    return True


# ── the request line, where it is not plain ─────────────────────────────────────────────────────


def _any_request_line(text: str, limits: Limits) -> re.Match[str]:
    """Match method, target and version, or say what is wrong with them."""
    match = _ANY_LINE.match(text)
    if match is not None:
        method, target, major, minor = match.groups()
        if len(method) > 255 or (method.upper() != method and method.upper() in _KNOWN_METHODS):
            # Verbs are case-sensitive: "get" is refused unless AllowCaseInsensitiveVerbs.
            raise _refuse("not a verb; verbs are case-sensitive", "Verb")
        if (major, minor) not in {("1", "0"), ("1", "1")}:
            raise _refuse(f"HTTP/{major}.{minor} is not spoken here", "Version_N/S", 505)
        if len(target) > limits.max_url_length:
            raise _refuse(f"a URL of more than {limits.max_url_length} bytes", "URL_Length", 414)
        if method == "CONNECT":
            raise _refuse("CONNECT is for proxies", "N/I", 501)
        return match
    line = text.partition("\n")[0].removesuffix("\r")
    _check_partial_line(line, limits)
    words = line.split(" ")
    if len(words) == 3 and _VERSION.fullmatch(words[2]) is None:
        raise _refuse("the request line does not end in a version", "BadRequest")
    if len(words) < 3:
        raise _refuse("the request line has no version", "BadRequest")
    raise _refuse("the URL holds a blank, a control character or a fragment", "URL")


def _read_request_line(found: Head, text: str, limits: Limits) -> tuple[str | None, int]:
    """Fill in what the request line says; returns (authority of an absolute URL, its end)."""
    match = _any_request_line(text, limits)
    method, target, _, minor = match.groups()
    found.method = method
    found.target = target
    found.version = 11 if minor == "1" else 10
    found.is_plain = method in _PLAIN_METHODS and target.isascii()
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
            raise _refuse("the URL begins with neither / nor http", "URL")
    raw_path, mark, found.query = rest.partition("?")
    found.has_query = mark != ""
    found.raw_path = "*" if target == "*" else raw_path
    try:
        found.path = path = canonical_path(raw_path)
    except UrlError as error:
        raise _refuse(str(error), "URL") from None
    if len(path) > limits.plain_path_length:
        segments = path.split("/")[1:]
        if 0 < limits.url_segment_max_count < len(segments):
            raise _refuse(f"a URL of {len(segments)} segments", "URL")
        if 0 < limits.url_segment_max_length < max(map(len, segments)):
            raise _refuse("a URL segment that is too long", "URL")
    return authority, match.end()


# ── what is wrong with the fields ───────────────────────────────────────────────────────────────

_FIELD_LINE = re.compile(rf"{_TOKEN}++:", re.ASCII)


def _explain(head: bytes, text: str, matched: int, limits: Limits) -> None:
    """Raise for the first fault of a head; return when it has none after all.

    Called when the quick look saw that something may be wrong: a long head has not broken the
    limit of one field yet.
    """
    _check_line_ends(head)
    if not text.endswith("\r\n\r\n"):
        raise _refuse("the head does not end with an empty line", "Invalid_CR/LF")
    lines = text[1:-4].split("\r\n") if len(text) > 4 else []
    if len(lines) > limits.max_fields:
        raise _refuse(f"more than {limits.max_fields} fields", "RequestLength")
    for line in lines:
        if len(line) > limits.max_field_length:
            raise _refuse(f"a field of more than {limits.max_field_length} bytes", "FieldLength")
        if line[:1] in {" ", "\t"}:
            raise _refuse("a field continued on the next line", "Header")
        if _FIELD_LINE.match(line) is None:
            raise _refuse("a line that is no header field", "Header")
    if matched != 0 or len(head.translate(None, _CONTROLS)) != len(head):
        raise _refuse("a control character in a header field", "Header")
