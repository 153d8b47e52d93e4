"""Both engines behind one interface: whole, byte by byte, with trailing data, compared."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was.errors import RemoteProtocolError
from was.listener.engines import Engine, select
from was.listener.head import Limits
from was.listener.head_scanner import scan

LIMITS = Limits()
ENGINES = ("h11", "llhttp")
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def head_of(*fields: bytes, line: bytes = b"POST /x HTTP/1.1") -> bytes:
    return line + b"\r\nHost: a\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def read(engine: Engine, head: bytes, body: bytes, step: int) -> tuple[bytes, bool, bytes]:
    """Body, whether it ended, and what is left over, when `body` comes `step` bytes at a time."""
    if engine.begin(head, scan(head, LIMITS)):
        return b"", True, body
    gathered = b""
    for start in range(0, len(body), step):
        pieces, is_complete, rest = engine.feed(body[start : start + step])
        gathered += b"".join(pieces)
        if is_complete:
            return gathered, True, rest + body[start + step :]
        assert rest == b""
    return gathered, False, b""


@pytest.fixture(params=ENGINES)
def engine(request):
    return select(request.param)(LIMITS)


GOOD = [
    ("no body", head_of(line=b"GET / HTTP/1.1"), b"", b""),
    ("post without length", head_of(), b"", b""),
    ("length 0", head_of(b"Content-Length: 0"), b"", b""),
    ("length", head_of(b"Content-Length: 11"), b"hello\r\n\r\nab", b"hello\r\n\r\nab"),
    ("length in 1.0", head_of(b"Content-Length: 3", b"Connection: keep-alive",
                              line=b"POST / HTTP/1.0"), b"abc", b"abc"),
    ("chunks", head_of(CHUNKED), b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!"),
    ("no chunk", head_of(CHUNKED), b"0\r\n\r\n", b""),
    ("zeros in sizes", head_of(CHUNKED), b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    ("hexadecimal", head_of(CHUNKED), b"aB\r\n" + b"x" * 171 + b"\r\n0\r\n\r\n", b"x" * 171),
    ("CR LF in chunks", head_of(CHUNKED), b"8\r\n\r\n\r\n0\r\n\r\r\n0\r\n\r\n",
     b"\r\n\r\n0\r\n\r"),
    ("extensions", head_of(CHUNKED), b'1;a;b=c;d="e f"\r\nx\r\n0;z\r\n\r\n', b"x"),
    ("trailers", head_of(CHUNKED), b"1\r\nx\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", b"x"),
    ("blanks after a coding", head_of(CHUNKED + b"\t "), b"1\r\nx\r\n0\r\n\r\n", b"x"),
    ("blanks after a length", head_of(b"Content-Length: \t2\t "), b"ab", b"ab"),
    ("unknown verb", head_of(b"Content-Length: 2", line=b"BREW / HTTP/1.1"), b"ab", b"ab"),
    ("delete with body", head_of(b"Content-Length: 2", line=b"DELETE / HTTP/1.1"), b"ab", b"ab"),
    ("get with body", head_of(b"Content-Length: 2", line=b"GET / HTTP/1.1"), b"ab", b"ab"),
    ("head with chunks", head_of(CHUNKED, line=b"HEAD / HTTP/1.1"), b"1\r\nx\r\n0\r\n\r\n", b"x"),
    ("raw bytes in the URL", head_of(b"Content-Length: 2", line=b"PUT /\xc3\xa4 HTTP/1.1"),
     b"ab", b"ab"),
    ("upgrade", head_of(b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 2"),
     b"ab", b"ab"),
    ("upgrade in 1.0", head_of(b"Upgrade: x", b"Connection: upgrade, keep-alive",
                               line=b"GET / HTTP/1.0"), b"", b""),
    ("h2c", head_of(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings",
                    line=b"GET / HTTP/1.1"), b"", b""),
    ("options asterisk", head_of(line=b"OPTIONS * HTTP/1.1"), b"", b""),
    ("absolute", head_of(line=b"GET http://b/ HTTP/1.1"), b"", b""),
    ("odd characters", head_of(line=b"GET /{|}^`\\\"<>?[]{}|\\^` HTTP/1.1"), b"", b""),
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(("head", "body", "expected"), [c[1:] for c in GOOD],
                         ids=[c[0] for c in GOOD])  # fmt: skip
def test_a_body_is_the_same_however_it_arrives(engine, head, body, expected, step):
    """Whole or in pieces, with a next message behind: one body, and the next message untouched."""
    for _ in range(3):
        assert read(engine, head, body + NEXT, step) == (expected, True, NEXT)


def test_one_engine_reads_many_messages(engine):
    """An engine is reused for all messages of a connection, whatever their framing."""
    for _ in range(2):
        for _, head, body, expected in GOOD:
            assert read(engine, head, body, 4)[:2] == (expected, True)


BAD_CHUNKS = [
    ("no size", b"\r\nx", "Number"),
    ("letters", b"xyz\r\n", "Number"),
    ("0x", b"0x5\r\nhello\r\n", "Number"),
    ("sign", b"+5\r\nhello\r\n", "Number"),
    ("negative", b"-1\r\n", "Number"),
    ("underscore", b"1_0\r\n", "Number"),
    ("blank before", b" 5\r\nhello\r\n", "Number"),
    ("blank after", b"5 \r\nhello\r\n", "Number"),
    ("tab after", b"5\t\r\nhello\r\n", "Number"),
    ("overflow", b"fffffffffffffffff\r\n", "Number"),
    ("2**64 + 5", b"10000000000000005\r\nhello\r\n", "Number"),
    ("bare LF after size", b"5\nhello\r\n", "Number"),
    ("bare CR in extension", b"5;a=\rb\r\nhello\r\n", "Number"),
    ("bare LF in extension", b"5;a\nhello\r\n", "Number"),
    ("NUL in extension", b"5;\x00\r\nhello\r\n", "Number"),
    ("empty extension", b"5;\r\nhello\r\n", "Number"),
    ("open quote", b'5;a="b\r\nhello\r\n', "Number"),
    ("escaped last quote", b'5;a="b\\"\r\nhello\r\n', "Number"),
    ("escaped line end", b'5;a="b\\\r\n"\r\nhello\r\n', "Number"),
    ("chunk longer than its size", b"5\r\nhello!\r\n0\r\n\r\n", "BadRequest"),
    ("chunk shorter than its size", b"5\r\nhell\r\n0\r\n\r\n", "BadRequest"),
    ("LF after data", b"5\r\nhello\n0\r\n\r\n", "BadRequest"),
    ("CR and more after data", b"5\r\nhello\rX\n0\r\n\r\n", "BadRequest"),
    ("trailer without colon", b"0\r\nGET / HTTP/1.1\r\n\r\n", "Header"),
    ("folded trailer", b"0\r\nX: a\r\n b\r\n\r\n", "Header"),
    ("bare LF in trailers", b"0\r\nX: a\n\r\n", "Header"),
    ("bare LF at the end", b"0\r\n\n", "Header"),
    ("length as trailer", b"0\r\ncontent-length: 5\r\n\r\n", "Header"),
    ("coding as trailer", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", "Header"),
    ("close as trailer", b"0\r\nConnection: close\r\n\r\n", "Header"),
    ("upgrade as trailer", b"0\r\nUPGRADE: x\r\n\r\n", "Header"),
    ("trailer with NUL", b"0\r\nX: \x00\r\n\r\n", "Header"),
    ("long extension", b"5;" + b"a" * 5000 + b"\r\n", "BadRequest"),
    ("endless size", b"0" * 5000, "BadRequest"),
    ("long trailer", b"0\r\nX: " + b"a" * 17000, "FieldLength"),
    ("long trailers", b"0\r\n" + b"X: aaaaaaaaaa\r\n" * 2000, "RequestLength"),
]


@pytest.mark.parametrize("step", [1, 3, 100_000])
@pytest.mark.parametrize(("body", "reason"), [c[1:] for c in BAD_CHUNKS],
                         ids=[c[0] for c in BAD_CHUNKS])  # fmt: skip
def test_malformed_chunks_are_refused(engine, body, reason, step):
    """Chunk sizes, extensions, ends and trailers have one grammar, and bounds.

    In pieces llhttp may see a fault before the line it is in has come whole; it knows no reasons.
    """
    is_whole = step > len(body)
    if step < 100 and len(body) > 1000:
        step *= 97
    with pytest.raises(RemoteProtocolError) as caught:
        read(engine, head_of(CHUNKED), body, step)
    assert caught.value.status == 400
    assert caught.value.reason in ({reason} if is_whole else {reason, "BadRequest"})


@pytest.mark.parametrize("body", [b"", b"5", b"5\r", b"5\r\nhel", b"5\r\nhello\r", b"0\r\n",
                                  b"0\r\nX: a\r\n", b"0\r\nX: a\r\n\r"])  # fmt: skip
def test_an_unended_body_waits(engine, body):
    """A body that has not ended is not complete, whatever it looks like."""
    assert read(engine, head_of(CHUNKED), body, 1)[1] is False


@st.composite
def chunked_bodies(draw) -> tuple[bytes, bytes]:
    """A chunked coding and the body it stands for."""
    data = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    extension = st.sampled_from([b"", b";a", b";a=b", b';q="x y"', rb';q="\"\\;"'])
    coding = b"".join(
        draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % len(piece)
        + draw(extension) + b"\r\n" + piece + b"\r\n" for piece in data
    )  # fmt: skip
    trailers = draw(st.sampled_from([b"", b"A: b\r\n", b"A:\r\nB: c d\r\n"]))
    return coding + b"0" + draw(extension) + b"\r\n" + trailers + b"\r\n", b"".join(data)


@settings(max_examples=150, deadline=None)
@given(chunked_bodies(), st.binary(max_size=40), st.integers(1, 60))
def test_engines_agree_about_every_good_chunked_body(coded, trailing, step):
    """Any chunked coding is read as the body it stands for; what follows it is left over."""
    coding, body = coded
    for name in ENGINES:
        engine = select(name)(LIMITS)
        assert read(engine, head_of(CHUNKED), coding + trailing, step) == (body, True, trailing)


@settings(max_examples=300, deadline=None)
@given(chunked_bodies(), st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)),
                                  min_size=1, max_size=3), st.integers(1, 60))  # fmt: skip
def test_engines_agree_about_damaged_chunked_bodies(coded, damage, step):
    """With bytes replaced both engines give one body and one left-over, or one refuses it.

    Where only one refuses, the other must not have ended the message somewhere else.
    """
    data = bytearray(coded[0])
    for at, patch in damage:
        data[at % len(data) : at % len(data) + 1] = patch
    outcomes = []
    for name in ENGINES:
        try:
            outcomes.append(read(select(name)(LIMITS), head_of(CHUNKED), bytes(data) + NEXT, step))
        except RemoteProtocolError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


TOKENS = st.text(st.sampled_from("aZ09-_!#$%&'*+.^`|~"), min_size=1, max_size=6)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255).filter(
    lambda c: not 127 <= ord(c) < 128), max_size=12)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        ["GET", "POST", "PUT", "X-Y", "OPTIONS", "SEARCH", "MOVE", "SOURCE", "M-SEARCH"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=12),
    st.lists(st.tuples(TOKENS, VALUES), max_size=5),
    st.sampled_from(["", "Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"]),
    st.sampled_from(["", "Connection: close\r\n", "Upgrade: x\r\nConnection: Upgrade\r\n"]),
    st.sampled_from(["1.0", "1.1"]),
)
def test_what_the_scanner_accepts_both_engines_accept(verb, path, fields, framing, conn, version):
    """A head the scanner takes is taken by both engines, with one body and one left-over."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    text = f"{verb} /{path} HTTP/{version}\r\nHost: a\r\n{lines}{framing}{conn}\r\n"
    head = text.encode("latin-1")
    try:
        scan(head, LIMITS)
    except RemoteProtocolError:
        return
    body = b"4\r\nabcd\r\n0\r\n\r\n" if "chunked" in framing else b"abcd"
    first, second = (read(select(name)(LIMITS), head, body + NEXT, 5) for name in ENGINES)
    assert first == second
    assert first[:2] == (b"abcd" if framing else b"", True)


# fmt: off
OPTIONS = st.sampled_from(["close", "keep-alive", "Close", "x", "upgrade", "close x", "x close",
                           "closed", "keep-alive-x", "", " close", "te;close", "\tclose"])
# fmt: on


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(
        st.sampled_from(["Connection", "Proxy-Connection", "connection", "Keep-Alive", "Upgrade"]),
        st.lists(OPTIONS, min_size=1, max_size=3).map(",".join)), max_size=3),
    st.sampled_from(["1.0", "1.1"]),
    st.booleans(),
)  # fmt: skip
def test_engines_go_on_whenever_the_scanner_keeps_the_connection(fields, version, has_body):
    """Persistence is the scanner's decision: no engine is deaf to the next message."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    length = "Content-Length: 2\r\n" if has_body else ""
    head = f"PUT / HTTP/{version}\r\nHost: a\r\n{lines}{length}\r\n".encode()
    if not scan(head, LIMITS).keep_alive:
        return
    for name in ENGINES:
        engine = select(name)(LIMITS)
        for _ in range(2):
            assert read(engine, head, b"ab" if has_body else b"", 9)[1] is True


def test_auto_is_llhttp_where_it_is_installed():
    """`auto` prefers llhttp; both names give what they say."""
    assert select("auto") is select("llhttp")
    assert select("h11") is not select("llhttp")


def test_auto_is_h11_without_httptools(monkeypatch):
    """Without httptools `auto` falls back and `llhttp` says what is missing."""
    import sys

    monkeypatch.delitem(sys.modules, "was.listener.engines.llhttp", raising=False)
    monkeypatch.setitem(sys.modules, "httptools", None)
    assert select("auto").__name__ == "H11Engine"
    with pytest.raises(ImportError):
        select("llhttp")
