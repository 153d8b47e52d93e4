"""HTTP/1.1 as a client meets it on the socket, with each protocol engine."""

import hashlib

import pytest
from harness.server import wait_for
from support.running import asgi_config, place, run_server, simple_config
from support.wire import Wire, get


@pytest.fixture(scope="module")
def site(engine):
    with run_server(simple_config("probe:application"), place("probe.py"), engine=engine) as it:
        yield it


@pytest.fixture(scope="module")
def streams(engine):
    config = simple_config("streams:application")
    with run_server(config, place("streams.py"), engine=engine) as it:
        yield it


def test_connections_are_kept_alive(site):
    """Many requests go over one connection; each has a Date."""
    with Wire(site.port()) as wire:
        for _ in range(20):
            answer = wire.request("/")
            assert (answer.status, answer.will_close) == (200, False)
            assert answer.field("date").endswith(" GMT")


def test_connection_close_is_honoured(site):
    """After a request with Connection: close the response says so, and the connection ends."""
    with Wire(site.port()) as wire:
        answer = wire.request("/", fields={"Connection": "close"})
        assert (answer.status, answer.will_close) == (200, True)
        assert wire.is_closed()


def test_pipelined_requests_are_answered_in_order(site):
    """Requests sent without waiting are answered in the order they were sent."""
    with Wire(site.port()) as wire:
        for number in range(10):
            wire.send_request("/echo", "POST", b"%d" % number)
        assert [wire.read().text for _ in range(10)] == [str(n) for n in range(10)]


def test_a_request_may_come_byte_by_byte(site):
    """However small the pieces a request comes in, it is one request."""
    data = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    with Wire(site.port()) as wire:
        for at in range(len(data)):
            wire.send(data[at : at + 1])
        assert wire.read("POST").body == b"body"


def test_a_chunked_body_is_read(site):
    """A chunked request body, with extensions and trailers, reaches the application whole."""
    with Wire(site.port()) as wire:
        wire.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"4;ext=1\r\nbody\r\n6\r\n, more\r\n0\r\nTrailer: x\r\n\r\n"
        )
        assert wire.read("POST").body == b"body, more"
        assert wire.request("/").status == 200


def test_a_large_chunked_body_is_read(site):
    """A chunked body beyond the memory limit of a spool arrives byte for byte."""
    block = bytes(range(256)) * 256
    digest = hashlib.sha256(block * 32).hexdigest()
    with Wire(site.port()) as wire:
        wire.send(b"POST /digest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(32):
            wire.send(b"%x\r\n%s\r\n" % (len(block), block))
        wire.send(b"0\r\n\r\n")
        assert wire.read("POST").text == f"{32 * len(block)} {digest}"


def test_a_body_of_unknown_length_is_sent_in_chunks(streams):
    """Without Content-Length an HTTP/1.1 client gets chunks, and the connection is kept."""
    with Wire(streams.port()) as wire:
        answer = wire.request("/blocks?n=50")
        assert answer.field("transfer-encoding") == "chunked"
        assert answer.body == b"".join(b"block %d\n" % n for n in range(50))
        assert wire.request("/several").body == b"one two three"


def test_an_http_1_0_client_gets_no_chunks(streams):
    """An HTTP/1.0 client gets a body that ends with the connection."""
    with Wire(streams.port()) as wire:
        wire.send(b"GET /blocks?n=3 HTTP/1.0\r\n\r\n")
        answer = wire.read()
        assert answer.status == 200
        assert answer.field("transfer-encoding") == ""
        assert answer.body == b"block 0\nblock 1\nblock 2\n"
        assert wire.is_closed()


def test_http_1_0_with_keep_alive(site):
    """An HTTP/1.0 client that asks for it keeps its connection."""
    with Wire(site.port()) as wire:
        for _ in range(2):
            wire.send(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            answer = wire.read()
            assert answer.status == 200
            assert answer.field("connection").lower() == "keep-alive"


def test_head_has_the_fields_and_no_body(site):
    """HEAD is answered with the fields of GET and no body; the connection goes on."""
    with Wire(site.port()) as wire:
        answer = wire.request("/echo", "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert wire.request("/").status == 200


@pytest.mark.parametrize("code", [204, 304])
def test_bodiless_statuses_keep_the_connection(site, code):
    """204 and 304 end with their head, and the next request is answered."""
    with Wire(site.port()) as wire:
        assert wire.request(f"/status?code={code}").status == code
        assert wire.request("/").status == 200


def test_reset_content_has_none(site):
    """RFC 9110 15.3.6: whatever the application gives along with 205 is not sent."""
    with Wire(site.port()) as wire:
        answer = wire.request("/status?code=205")
        assert (answer.status, answer.body) == (205, b"")
        assert answer.field("content-length") == "0"
        assert wire.request("/").status == 200


def test_expect_100_continue(site):
    """A client that waits for 100 Continue is told to go on, then gets its answer."""
    with Wire(site.port()) as wire:
        wire.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        wire.send(b"body")
        answer = wire.read("POST")
        assert (answer.status, answer.body) == (200, b"body")


@pytest.fixture(scope="module", params=["WsgiModule", "AsgiModule"])
def limited(request, engine):
    limits = '<requestLimits maxAllowedContentLength="200000" />'
    sections = f"<security><requestFiltering>{limits}</requestFiltering></security>"
    make = asgi_config if request.param == "AsgiModule" else simple_config
    kind = "asgi_text" if request.param == "AsgiModule" else "probe"
    config = make(f"{kind}:application", sections=sections)
    with run_server(config, place(f"{kind}.py"), engine=engine) as running:
        yield running


def expect_continue(wire, length):
    """What comes first to a client that waits with a body of this length."""
    wire.send(
        b"POST /environ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Expect: 100-continue\r\n\r\n" % length
    )
    return wire.read_until(b"\r\n\r\n")


def test_a_body_that_is_too_long_is_not_asked_for(limited):
    """Who waits for 100 Continue with more than maxAllowedContentLength gets 413 in its place."""
    with Wire(limited.port()) as wire:
        first = expect_continue(wire, 200_001)
        assert first.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close\r\n" in first
        while wire.read_some():
            pass
    with Wire(limited.port()) as wire:
        assert expect_continue(wire, 200_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"x" * 200_000)
        answer = wire.read("POST")
        assert answer.status == 200
        assert wire.request("/").status == 200
    assert limited.server.rows("requests") == []


def test_the_absolute_form_of_a_target(site):
    """A target in absolute form is served; its authority takes the place of Host."""
    with Wire(site.port()) as wire:
        wire.send(b"GET http://127.0.0.1/environ?a=1 HTTP/1.1\r\nHost: other\r\n\r\n")
        environ = wire.read().json()
        assert environ["PATH_INFO"] == "/environ"
        assert environ["QUERY_STRING"] == "a=1"
        assert (environ["HTTP_HOST"], environ["SERVER_NAME"]) == ("127.0.0.1", "127.0.0.1")


def test_a_half_closed_connection_gets_its_answer(site):
    """A client that shuts down its sending side still gets the whole answer."""
    with Wire(site.port()) as wire:
        wire.send_request("/sleep?ms=100")
        wire.half_close()
        assert wire.read().status == 200
        assert wire.is_closed()


def test_a_half_closed_connection_is_patient(site):
    """A client that has closed its half and waits for long is asked whether it reads, and does."""
    with Wire(site.port()) as wire:
        wire.send_request("/sleep?ms=3000")
        wire.half_close()
        answer = wire.read()
        assert (answer.interim, answer.status) == ([100], 200)
        assert wire.is_closed()


def test_a_client_that_goes_away_harms_nobody(site):
    """Connections that are closed in the midst of a request leave the server as it was."""
    for cut in (b"GET", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"):
        with Wire(site.port()) as wire:
            wire.send(cut)
    with Wire(site.port()) as wire:
        wire.send_request("/sleep?ms=50")
    assert get(site.port()).status == 200
    wait_for("no request left", lambda: not site.server.rows("requests"))


@pytest.mark.parametrize(
    ("why", "sent"),
    [
        ("no Host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("a space before the colon", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
        ("a folded field", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
        (
            "length and coding",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        ("a length that is no number", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        ("no version", b"GET /\r\n\r\n"),
        ("a bare line feed", b"GET / HTTP/1.1\nHost: x\n\n"),
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ],
)
def test_ambiguous_requests_are_refused_alike_by_both_engines(site, why, sent):
    """What could be read in two ways is answered 400, and the connection ends."""
    with Wire(site.port()) as wire:
        wire.send(sent)
        answer = wire.read()
        assert (answer.status, why) == (400, why)
        assert wire.is_closed()


def test_a_field_beyond_the_limit_is_refused(site):
    """A request head of more than 16 KiB is answered 400 by the listener."""
    with Wire(site.port()) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nBig: " + b"a" * 20000 + b"\r\n\r\n")
        assert wire.read().status == 400


def test_an_unsupported_version_is_refused(site):
    """HTTP/2.0 in a request line is answered 505 or 400, never served."""
    with Wire(site.port()) as wire:
        wire.send(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
        assert wire.read().status in {400, 505}
