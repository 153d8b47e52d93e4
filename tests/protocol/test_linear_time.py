"""No input makes a reader go back over what it has read.

Each input is so long that work growing with the square of its length (10^11 steps and more) would
run into the time limit of the test run; no clock is read.
"""

from __future__ import annotations

import pytest

from was.errors import LocalProtocolError, RemoteProtocolError
from was.listener.engines.body_end import BodyEnd
from was.listener.head import Head, Limits
from was.listener.head_scanner import check_incomplete, find_end, scan
from was.listener.headers import check_block

SIZE = 400_000
WIDE = Limits(
    max_request_bytes=1 << 24,
    max_field_length=1 << 24,
    url_segment_max_length=0,
    url_segment_max_count=0,
    max_url_length=1 << 24,
    max_fields=1 << 24,
)

LINE = b"GET / HTTP/1.1\r\n"
HEADS = {
    "one long value": LINE + b"X: " + b"a" * SIZE,
    "blanks in a value": LINE + b"X:" + b" \t" * SIZE,
    "blanks and letters": LINE + b"X:" + b" a" * SIZE,
    "blanks before CR": LINE + (b"X: a" + b" " * 100 + b"\r\n") * (SIZE // 100),
    "a name without end": LINE + b"a" * SIZE,
    "names without values": LINE + b"a:\r\n" * SIZE,
    "colons": LINE + b":" * SIZE,
    "line feeds": LINE + b"\n" * SIZE,
    "carriage returns": LINE + b"\r" * SIZE,
    "CR LF a": LINE + b"\r\na" * SIZE,
    "CR LF blank": LINE + b"X: a\r\n " * SIZE,
    "a verb without end": b"A" * SIZE,
    "slashes": b"GET " + b"/" * SIZE + b" HTTP/1.1\r\n",
    "segments": b"GET " + b"/a" * SIZE + b" HTTP/1.1\r\n",
    "segments without end": b"GET " + b"/a" * SIZE,
    "dot segments": b"GET " + b"/a/.." * SIZE + b" HTTP/1.1\r\n",
    "dots": b"GET /" + b"." * SIZE + b" HTTP/1.1\r\n",
    "escapes": b"GET /" + b"%41" * SIZE + b" HTTP/1.1\r\n",
    "wide escapes": b"GET /" + b"%u0041" * SIZE + b" HTTP/1.1\r\n",
    "question marks": b"GET /" + b"?" * SIZE + b" HTTP/1.1\r\n",
    "absolute": b"GET http://" + b"a" * SIZE + b" HTTP/1.1\r\n",
    "a host without end": LINE + b"Host: " + b"a." * SIZE,
    "connection options": LINE + b"Connection: " + b"a," * SIZE,
    "many Connection fields": LINE + b"Connection: a\r\n" * 20_000,
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_read_in_linear_time(name):
    """Accepted or refused, half a megabyte of anything is read once."""
    head = HEADS[name] + b"\r\nHost: a\r\n\r\n"
    find_end(head)
    for read in (scan, check_incomplete):
        try:
            read(head, WIDE)
        except RemoteProtocolError:
            continue


def test_a_response_block_is_checked_in_linear_time():
    """A worker's block, good or bad, is read once."""
    for block in (b"a: b\r\n" * SIZE, b"a" * SIZE, b"a:" + b" " * SIZE + b"\r", b"\n" * SIZE):
        try:
            check_block(block)
        except LocalProtocolError:
            continue


@pytest.mark.parametrize(
    "body",
    [b"\r\n" * SIZE, b"1\r\n\r\r\n" * 50_000, b"1;a=b\r\nx\r\n" * 50_000, b"0" * SIZE,
     b"5;" + b'a="' * SIZE, b'5;a="' + rb"\"" * 2000 + b"\r\n",
     b"0\r\n" + b"a: b\r\n" * SIZE, b"0\r\n" + b"a" * SIZE],
)  # fmt: skip
def test_the_end_of_a_body_is_found_in_linear_time(body):
    """Chunks cost by their number, not by what was read before them; the rest is bounded."""
    head = Head()
    head.chunked = True
    end = BodyEnd(Limits())
    end.begin(head)
    try:
        end.advance(body)
    except RemoteProtocolError:
        assert not end.is_complete
