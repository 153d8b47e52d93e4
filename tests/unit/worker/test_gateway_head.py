"""Heads of responses as CGI programs write them (RFC 3875, 6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.worker.gateway.head import HEAD_LIMIT, HeadError, parse_head

HEADS = [
    (b"Content-Type: a/b\n\nbody", 200, [("Content-Type", "a/b")], b"body"),
    (b"Content-Type: a/b\r\n\r\n", 200, [("Content-Type", "a/b")], b""),
    (b"X: 1\r\nStatus: 404 Not here\nY:2\n\r\nz", 404, [("X", "1"), ("Y", "2")], b"z"),
    (b"Status: 299\n\n", 299, [], b""),
    (b"Location: http://a/\n\n", 302, [("Location", "http://a/")], b""),
    (b"Location: /a\n\n", 200, [("Location", "/a")], b""),
    (b"Status: 303\nLocation: /a\n\n", 303, [("Location", "/a")], b""),
    (b"HTTP/1.0 201 Made\r\nA: b\r\n\r\nc", 201, [("A", "b")], b"c"),
    (b"\nall body", 200, [], b"all body"),
]


@pytest.mark.parametrize(("data", "status", "fields", "body"), HEADS)
def test_heads_are_read(data, status, fields, body):
    """Either line end, Status in any place, a status line first."""
    head, at = parse_head(data)
    assert (head.status, head.fields, data[at:]) == (status, fields, body)


@pytest.mark.parametrize("data", [head[0] for head in HEADS])
def test_a_head_may_come_in_any_pieces(data):
    """As long as the empty line is not there it is incomplete; what follows changes nothing."""
    _, end = parse_head(data)
    assert [cut for cut in range(end) if parse_head(data[:cut]) is not None] == []
    assert parse_head(data + b"more")[1] == end


@pytest.mark.parametrize(
    "data",
    [
        b"words\n\n",
        b"Status: 20\n\n",
        b"Status: 2000\n\n",
        b"Status: 600\n\n",
        b"Content-Length: 1\nContent-Length: 2\n\n",
        b": x\n\n",
        b"A B: x\n\n",
        b"A: x\n y\n\n",
        b"Content-Length: -1\n\n",
        b"HTTP/1.1 ok\n\n",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
        b"A: \0\n\n",
    ],
)
def test_what_is_no_head_is_refused(data):
    """Neither folds nor names or numbers that HTTP does not allow."""
    with pytest.raises(HeadError):
        parse_head(data)


def test_a_head_has_a_limit():
    """64 KiB without an empty line are no head, and neither is an output that ends before one."""
    with pytest.raises(HeadError):
        parse_head(b"A: " + b"x" * HEAD_LIMIT)
    with pytest.raises(HeadError):
        parse_head(b"A: b\n", is_all=True)
    assert parse_head(b"A: b\n") is None


def test_a_local_redirect_has_neither_status_nor_scheme():
    """RFC 3875, 6.2.2; with a status the client is redirected (6.2.3)."""
    assert parse_head(b"Location: /a\n\n")[0].is_local_redirect
    for data in (b"Status: 302\nLocation: /a\n\n", b"Location: http://a/\n\n"):
        assert not parse_head(data)[0].is_local_redirect


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(data):
    """Any output is a head, an incomplete one or refused."""
    try:
        found = parse_head(data)
    except HeadError:
        return
    assert found is None or found[1] <= len(data)
