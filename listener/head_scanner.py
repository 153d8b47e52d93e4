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
input makes them go back: the time is linear. A possessive group must not fail half-way through one
of its rounds: before Python 3.11.5 it would keep what that round had taken (gh-106052).

A head: `scan`. Bytes that are not yet one: `find_end`, `skip_leading`, `check_incomplete`.
"""

from __future__ import annotations

import re

from was.config.http_text import HEAD_CONTROLS, TOKEN_CHARACTER, length_of
from was.known import keep
from was.listener.head import Head, Limits, refusal
from was.listener.request_line import PLAIN_METHODS, check_partial_line, match_line, read_line

__all__ = ["check_incomplete", "find_end", "scan", "skip_leading"]


# A plain target needs no work: no escape, no empty or dot segment, no backslash.
_PLAIN_LINE = re.compile(
    r"([A-Z]{1,32}+) ((/(?:[A-Za-z0-9_~!$&'()*+,;=:@\-][A-Za-z0-9_~!$&'()*+,;=:@\-.]*+/?+)*+)"
    r"(?:\?([!-\"$-~]*+))?+) HTTP/1\.([01])\r(?=\n)",
    re.ASCII,
)
_FIELD_LINES = re.compile(rf"\n({TOKEN_CHARACTER}++):[ \t]*+([^\r]*+)\r(?=\n)", re.ASCII)
_AUTHORITY = re.compile(r"([A-Za-z0-9._~\-]++|\[[0-9A-Fa-f:.]++\])(?::([0-9]{0,5}))?+", re.ASCII)

_EMPTY_LINES = re.compile(rb"(?:\r\n)*")  # not possessive: it may fail half-way

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


# ── bytes that are not yet a head ───────────────────────────────────────────────────────────────


def find_end(buffer: bytes | bytearray) -> int:
    """The index just past the empty line, -1 when there is none.

    An empty line that ends in bare LF is found too, so that its sender is answered (by `scan`)
    instead of waited for; one that lies before a proper end needs no search, `scan` will see it.
    """
    end = buffer.find(b"\n\r\n")
    if end >= 0:
        return end + 3
    end = buffer.find(b"\n\n")
    return end + 2 if end >= 0 else -1


def skip_leading(buffer: bytes | bytearray) -> int:
    """How many bytes of empty lines to drop before a request line.

    RFC 9112 2.2: a server SHOULD ignore at least one empty line (CRLF) before the request line. All
    are, since how many come at once is the network's affair; the time for the head runs meanwhile.
    """
    match = _EMPTY_LINES.match(buffer)
    return match.end() if match is not None else 0


def check_incomplete(buffer: bytes | bytearray, limits: Limits) -> None:
    """Raise RemoteProtocolError when no continuation can make these bytes a head we take."""
    if not buffer or buffer == b"\r":
        return
    size = len(buffer)
    text = bytes(buffer).decode("latin-1")
    line, line_end, _ = text.partition("\n")
    if line.startswith("\x16\x03"):
        raise refusal("a TLS handshake on a port without TLS", "BadRequest")
    if line_end:
        _check_line_ends(buffer)
        match_line(text, limits)
    else:
        check_partial_line(line, limits)
    if size > limits.max_request_bytes:
        raise refusal(f"a head of more than {limits.max_request_bytes} bytes", "RequestLength")
    if size - buffer.rfind(b"\n") - 1 > limits.max_field_length:
        raise refusal(f"a line of more than {limits.max_field_length} bytes", "FieldLength")


def _check_line_ends(head: bytes | bytearray) -> None:
    # By counting, at memory speed: an incomplete head is looked at again with every segment. A CR
    # at the very end may still get its LF.
    ends = head.count(b"\r\n")
    if head.count(b"\n") != ends or head.count(b"\r") - head.endswith(b"\r") != ends:
        raise refusal("a line that does not end in CR LF", "Invalid_CR/LF")


# ── a head ──────────────────────────────────────────────────────────────────────────────────────


def scan(head: bytes, limits: Limits) -> Head:
    """Read a head: the bytes up to the empty line and with it. Raises RemoteProtocolError."""
    size = len(head)
    if size > limits.max_request_bytes:
        check_incomplete(head, limits)
    text = head.decode("latin-1")
    line = _PLAIN_LINE.match(text)
    if line is not None and line.end(3) - line.start(3) <= limits.plain_path_length:
        method, target, path, query, minor = line.groups()
        is_plain = method in PLAIN_METHODS
        found = Head(
            method,
            target,
            path,
            query or "",
            11 if minor == "1" else 10,
            is_plain,
            size,
        )
        authority = None
        fields_start = line.end()
        if (not is_plain and method == "CONNECT") or len(target) > limits.max_url_length:
            match_line(text, limits)
    else:
        _check_line_ends(head)
        found = Head(size=size)
        authority, fields_start = read_line(found, text, limits)
    found.fields = fields = _FIELD_LINES.findall(text, fields_start)
    lines = text.count("\n")
    if (
        len(fields) != lines - 2
        or not text.endswith("\r\n\r\n")
        or len(head.translate(None, HEAD_CONTROLS)) != size
        or size > limits.max_field_length
        or lines > limits.max_fields
    ):
        _explain(head, text[fields_start:], len(fields) - lines + 2, limits)
    if " \r" in text or ("\t" in text and "\t\r" in text):
        found.fields = fields = [(name, value.rstrip(" \t")) for name, value in fields]
        found.is_plain = False  # llhttp refuses a tab after `chunked`
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
                raise refusal("more than one Host field", "Hostname")
            host = value
        elif kind == _CONNECTION:
            connection = f"{connection},{value}" if connection else value
        elif kind == _LENGTH:
            if length is not None:
                # RFC 9110 8.6 would let equal ones pass; two readers may differ about them.
                raise refusal("more than one Content-Length field", "Number")
            length = value
        elif kind == _CODING:
            if coding is not None:
                raise refusal("more than one Transfer-Encoding field", "Header")
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
            raise refusal("no Host field", "Hostname")
    else:
        known = _hosts.get(host)
        found.host = known if known is not None else _read_host(host)
    if authority is not None:
        # RFC 9112 3.2.2: the target's authority replaces the Host field, for applications as well:
        # what the site is not bound to is not to reach them.
        found.host = _read_host(authority)
        rest = [field for field in fields if field[0].lower() != "host"]
        found.fields = [("Host", authority), *rest]

    if length is not None:
        found.content_length = size = length_of(length)
        if size < 0:
            raise refusal("Content-Length is not a number", "Number")
    if coding is not None:
        found.chunked = _read_coding(coding, length is not None, found.version)
    if connection:
        options = [option.strip(" \t").lower() for option in connection.split(",")]
        found.keep_alive = "close" not in options and (
            found.version == 11 or "keep-alive" in options
        )
        if options != _KEEP_ALIVE and options != _CLOSE:
            found.is_plain = False
        if upgrade and found.version == 11 and "upgrade" in options:
            found.upgrade = upgrade
    elif found.version != 11:
        found.keep_alive = False
    if upgrade:
        found.is_plain = False
    # RFC 9110 10.1.1: an HTTP/1.0 client's expectation is ignored.
    if expect is not None and found.version == 11:
        found.expect_continue = _read_expectation(expect)


def _memorise(name: str) -> int:
    kind = _SPECIAL.get(name.lower(), 0)
    if len(name) <= 64:
        keep(_names, name, kind, _NAMES_LIMIT)
    return kind


def _read_host(value: str) -> str:
    """Host without port, lower-case. RFC 9112 3.2: an invalid value is answered 400."""
    match = _AUTHORITY.fullmatch(value)
    if match is None or (match[2] and int(match[2]) > 65535) or len(value) > 262:
        raise refusal("the Host is not a host", "Hostname")
    host = match[1].lower()
    return keep(_hosts, value, host, _HOSTS_LIMIT)


def _read_coding(value: str, has_length: bool, version: int) -> bool:
    if version == 10:
        # RFC 9112 6.1: its framing is faulty; whoever forwarded it did not understand it.
        raise refusal("Transfer-Encoding in HTTP/1.0", "Header")
    if has_length:
        raise refusal("both Transfer-Encoding and Content-Length", "Header")
    if value.lower() != "chunked":
        raise refusal("a transfer coding other than chunked", "N/I", 501)
    return True


def _read_expectation(value: str) -> bool:
    if value.lower() != "100-continue":
        raise refusal("an expectation other than 100-continue", "Precondition", 417)
    return True


# ── what is wrong with the fields ───────────────────────────────────────────────────────────────

_FIELD_LINE = re.compile(rf"{TOKEN_CHARACTER}++:", re.ASCII)


def _explain(head: bytes, text: str, matched: int, limits: Limits) -> None:
    """Raise for the first fault of a head; return when it has none after all.

    Called when the quick look saw that something may be wrong: a long head has not broken the
    limit of one field yet.
    """
    _check_line_ends(head)
    if not text.endswith("\r\n\r\n"):
        raise refusal("the head does not end with an empty line", "Invalid_CR/LF")
    lines = text[1:-4].split("\r\n") if len(text) > 4 else []
    if len(lines) > limits.max_fields:
        raise refusal(f"more than {limits.max_fields} fields", "RequestLength")
    for line in lines:
        if len(line) > limits.max_field_length:
            raise refusal(f"a field of more than {limits.max_field_length} bytes", "FieldLength")
        if line[:1] in {" ", "\t"}:
            raise refusal("a field continued on the next line", "Header")
        if _FIELD_LINE.match(line) is None:
            raise refusal("a line that is no header field", "Header")
    if matched != 0 or len(head.translate(None, HEAD_CONTROLS)) != len(head):
        raise refusal("a control character in a header field", "Header")
