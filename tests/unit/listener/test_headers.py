"""Response heads: nothing a worker sends can split one, and every head says what it must."""

from __future__ import annotations

import email.utils

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.listener_fields import OWNED
from was.errors import LocalProtocolError
from was.ipc.messages import REASON_LENGTH
from was.listener import headers
from was.listener.headers import check_block, http_date, response_head

DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"
DATE_AND_SERVER = b"Date: " + DATE + b"\r\nServer: was\r\n"


@pytest.mark.parametrize(
    ("block", "flags"),
    [
        (b"", (False, False)),
        (b"A: b\r\n", (False, False)),
        (b"A:\r\nB:\tc d\xe4\r\n", (False, False)),
        (b"DATE: x\r\n", (True, False)),
        (b"X: y\r\nserver: x\r\nDate: z\r\n", (True, True)),
        (b"X-Date: Date: Server:\r\n", (False, False)),
    ],
)
def test_a_good_block_passes_and_says_what_it_brings(block, flags):
    """Date and Server are a worker's to send; the listener learns that they are there."""
    for _ in range(2):
        assert check_block(block) == flags


@pytest.mark.parametrize(
    "block",
    [
        b"A: b", b"A: b\n", b"A: b\r", b"\r\n", b"A: b\r\n\r\n", b"A: b\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"A: b\nC: d\r\n", b"A: b\rC: d\r\n", b"A: b\r\r\n", b"A: b\x00\r\n", b"A\x00: b\r\n",
        b"A : b\r\n", b" A: b\r\n", b"A: b\r\n c\r\n", b": b\r\n", b"A\r\n", b"\xe4: b\r\n",
        b"A: \x7f\r\n", b"A: b\r\nC", b"\nA: b\r\n", b"A: b\rC\nD: e\r\n", b"A: b\r\n\n",
    ],
)  # fmt: skip
def test_a_block_that_could_split_a_response_is_refused(block):
    """Stray line ends, control characters and names that are none; also on a second try."""
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            check_block(block)


@pytest.mark.parametrize("name", sorted(OWNED))
def test_framing_and_connection_fields_are_the_listeners(name):
    """A worker that sends one is refused, in any spelling."""
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(LocalProtocolError, match=f"(?i){name}"):
            check_block(b"A: b\r\n" + spelling.encode() + b": x\r\n")


@given(st.lists(st.sampled_from([b"A", b":", b" ", b"\r\n", b"\r", b"\n", b"\x00", b"\xff", b"e"])))
def test_what_passes_is_lines_and_nothing_else(parts):
    """Property: an accepted block is exactly its own field lines."""
    block = b"".join(parts)
    try:
        check_block(block)
    except LocalProtocolError:
        return
    for line in block.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b":")
        assert colon
        assert name.isalnum()
        assert not set(value) & set(b"\r\n\x00")
    assert block == b"" or block.endswith(b"\r\n")


def test_the_memory_of_blocks_is_bounded():
    """Ever new blocks do not make the listener grow; long ones are not kept at all."""
    for number in range(3000):
        check_block(b"X: %d\r\n" % number)
        check_block(b"X-%d: y\r\n" % number)
    assert len(headers._CHECKED) <= 1024
    assert len(headers._KINDS) <= 2048
    long = b"X: " + b"a" * 600 + b"\r\n"
    check_block(long)
    assert long not in headers._CHECKED


def test_a_response_head_is_complete():
    """Status line, the worker's block, framing, Date, Server, persistence, empty line."""
    head = response_head(11, 200, "OK", b"A: b\r\n", 5, False, True, DATE_AND_SERVER)
    assert head == (
        b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nDate: " + DATE
        + b"\r\nServer: was\r\nConnection: close\r\n\r\n"
    )  # fmt: skip
    assert response_head(11, 304, "", b"", -1, False, False, b"") == (
        b"HTTP/1.1 304 Not Modified\r\n\r\n"
    )
    assert b"Connection: keep-alive\r\n" in response_head(10, 200, "", b"", 0, False, False, b"")
    assert response_head(11, 299, "", b"", 0, False, False, b"Server: x\r\n").startswith(
        b"HTTP/1.1 299 \r\n"
    )


@pytest.mark.parametrize(("length", "chunked"), [(0, False), (5, False), (-1, True)])
def test_a_client_can_read_the_head(length, chunked):
    """An independent reader finds the framing that was meant."""
    head = response_head(11, 200, "", b"", length, chunked, False, DATE_AND_SERVER)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(head)
    event = client.next_event()
    assert isinstance(event, h11.Response)
    names = dict(event.headers)
    assert (names.get(b"content-length"), b"transfer-encoding" in names) == (
        None if chunked else b"%d" % length, chunked
    )  # fmt: skip


@pytest.mark.parametrize(
    ("version", "status", "reason", "chunked"),
    [(11, 99, "", False), (11, 1000, "", False), (11, 200, "a\r\nb", False),
     (11, 200, "a\x00", False), (11, 200, "\u0100", False),
     (11, 200, "a" * (REASON_LENGTH + 1), False), (10, 200, "", True)],
)  # fmt: skip
def test_an_impossible_head_is_refused(version, status, reason, chunked):
    """Status, reason and coding are checked too: they come from a worker."""
    with pytest.raises(LocalProtocolError):
        response_head(version, status, reason, b"", -1, chunked, False, b"")


@given(st.integers(0, 2**35))
def test_dates_are_those_of_the_calendar(second):
    """Property: the date equals the standard library's, and stays for the whole second."""
    expected = email.utils.formatdate(second, usegmt=True).encode()
    assert http_date(second) == expected
    assert http_date(second + 0.5) == expected
