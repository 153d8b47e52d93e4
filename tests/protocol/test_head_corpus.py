"""The corpus of heads: bytes, and what the scanner makes of them.

Every refusal is checked as a whole head and, where the rest is what makes it wrong, also that no
byte-by-byte arrival changes the verdict.
"""

from __future__ import annotations

import pytest

from was.errors import RemoteProtocolError
from was.listener.head import Head, Limits
from was.listener.head_scanner import check_incomplete, find_end, scan, skip_leading

HOST = b"Host: a\r\n"
LIMITS = Limits()


def get(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def with_host(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return get(b"Host: a", *fields, line=line)


# (name, head, status, HTTPERR reason)
REFUSED = [
    # line ends
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a\n\n", 400, "Invalid_CR/LF"),
    ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "Invalid_CR/LF"),
    ("bare LF empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "Invalid_CR/LF"),
    ("bare LF request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "Invalid_CR/LF"),
    ("bare CR in a value", with_host(b"X: a\rb"), 400, "Invalid_CR/LF"),
    ("bare CR hides a field", with_host(b"X: a\rContent-Length: 5"), 400, "Invalid_CR/LF"),
    ("CR CR LF", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "Invalid_CR/LF"),
    ("CR text LF, balanced", b"GET / HTTP/1.1\r\nHost: a\rX\nY: c\r\n\r\n", 400, "Invalid_CR/LF"),
    ("CR text LF in line 1", b"GET / HTTP/1.1\rX\nHost: a\r\n\r\n", 400, "Invalid_CR/LF"),
    ("LF then CR CR", b"GET / HTTP/1.1\r\nHost: a\nb: c\r\r\n\r\n", 400, "Invalid_CR/LF"),
    # request line
    ("lower-case verb", with_host(line=b"get / HTTP/1.1"), 400, "Verb"),
    ("mixed-case verb", with_host(line=b"Get / HTTP/1.1"), 400, "Verb"),
    ("verb that is no token", with_host(line=b"G@T / HTTP/1.1"), 400, "Verb"),
    ("verb too long", with_host(line=b"A" * 256 + b" / HTTP/1.1"), 400, "Verb"),
    ("blank before the verb", with_host(line=b" GET / HTTP/1.1"), 400, "Verb"),
    ("no verb", with_host(line=b"/ HTTP/1.1"), 400, "Verb"),
    ("two blanks", with_host(line=b"GET  / HTTP/1.1"), 400, "URL"),
    ("tab for a blank", with_host(line=b"GET\t/ HTTP/1.1"), 400, "Verb"),
    ("blank at the end", with_host(line=b"GET / HTTP/1.1 "), 400, "URL"),
    ("HTTP/0.9", with_host(line=b"GET /"), 400, "BadRequest"),
    ("HTTP/2.0", with_host(line=b"GET / HTTP/2.0"), 505, "Version_N/S"),
    ("HTTP/1.2", with_host(line=b"GET / HTTP/1.2"), 505, "Version_N/S"),
    ("HTTP/9.9", with_host(line=b"GET / HTTP/9.9"), 505, "Version_N/S"),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\n", 505, "Version_N/S"),
    ("HTTP/1.10", with_host(line=b"GET / HTTP/1.10"), 400, "BadRequest"),
    ("http/1.1", with_host(line=b"GET / http/1.1"), 400, "BadRequest"),
    ("version of another kind", with_host(line=b"GET / ICY/1.1"), 400, "BadRequest"),
    ("CONNECT", with_host(line=b"CONNECT a:443 HTTP/1.1"), 501, "N/I"),
    ("CONNECT with a path", with_host(line=b"CONNECT / HTTP/1.1"), 501, "N/I"),
    # targets
    ("asterisk for GET", with_host(line=b"GET * HTTP/1.1"), 400, "URL"),
    ("relative path", with_host(line=b"GET a/b HTTP/1.1"), 400, "URL"),
    ("authority form", with_host(line=b"GET a:80 HTTP/1.1"), 400, "URL"),
    ("another scheme", with_host(line=b"GET ftp://a/ HTTP/1.1"), 400, "URL"),
    ("fragment", with_host(line=b"GET /a#b HTTP/1.1"), 400, "URL"),
    ("NUL in the URL", with_host(line=b"GET /\x00 HTTP/1.1"), 400, "URL"),
    ("DEL in the URL", with_host(line=b"GET /\x7f HTTP/1.1"), 400, "URL"),
    ("absolute without host", with_host(line=b"GET http:/// HTTP/1.1"), 400, "Hostname"),
    ("absolute with user", with_host(line=b"GET http://u:p@a/ HTTP/1.1"), 400, "Hostname"),
    ("bad escape", with_host(line=b"GET /%zz HTTP/1.1"), 400, "URL"),
    ("half an escape", with_host(line=b"GET /%4 HTTP/1.1"), 400, "URL"),
    ("lone percent", with_host(line=b"GET /% HTTP/1.1"), 400, "URL"),
    ("escaped NUL", with_host(line=b"GET /%00 HTTP/1.1"), 400, "URL"),
    ("escaped CR LF", with_host(line=b"GET /%0d%0a HTTP/1.1"), 400, "URL"),
    ("escaped control U+0085", with_host(line=b"GET /%C2%85 HTTP/1.1"), 400, "URL"),
    ("wide escaped NUL", with_host(line=b"GET /%u0000 HTTP/1.1"), 400, "URL"),
    ("wide escape beside Latin-1", with_host(line=b"GET /%u00e4%e4 HTTP/1.1"), 400, "URL"),
    ("half a surrogate pair", with_host(line=b"GET /%uD83D HTTP/1.1"), 400, "URL"),
    ("pair the wrong way", with_host(line=b"GET /%uDE00%uD83D HTTP/1.1"), 400, "URL"),
    ("URL too long", with_host(line=b"GET /" + b"a/" * 9000 + b" HTTP/1.1"), 414, "URL_Length"),
    ("segment too long", with_host(line=b"GET /" + b"a" * 261 + b" HTTP/1.1"), 400, "URL"),
    ("segments too many", with_host(line=b"GET " + b"/a" * 256 + b" HTTP/1.1"), 400, "URL"),
    # fields
    ("fold", with_host(b"X: a", b" b"), 400, "Header"),
    ("fold with a tab", with_host(b"X: a", b"\tb: c"), 400, "Header"),
    ("fold right away", get(b" Host: a"), 400, "Header"),
    ("blank before the colon", with_host(b"X : a"), 400, "Header"),
    ("blank in a name", with_host(b"X Y: a"), 400, "Header"),
    ("no colon", with_host(b"X"), 400, "Header"),
    ("no name", with_host(b": a"), 400, "Header"),
    ("name with a slash", with_host(b"X/Y: a"), 400, "Header"),
    ("name beyond ASCII", with_host("Ä: a".encode()), 400, "Header"),
    ("NUL in a value", with_host(b"X: a\x00b"), 400, "Header"),
    ("NUL in a name", with_host(b"X\x00: b"), 400, "Header"),
    ("VT before a coding", with_host(b"Transfer-Encoding:\x0bchunked"), 400, "Header"),
    ("DEL in a value", with_host(b"X: \x7f"), 400, "Header"),
    ("fields too many", with_host(*[b"a:"] * 1001), 400, "RequestLength"),
    ("a head too long", with_host(b"X: " + b"a" * 8192, b"Y: " + b"b" * 8192), 400,
     "RequestLength"),
    # Host
    ("no Host", get(), 400, "Hostname"),
    ("two Hosts", with_host(b"Host: a"), 400, "Hostname"),
    ("two Hosts, other case", with_host(b"hOST: b"), 400, "Hostname"),
    ("two Hosts in 1.0", with_host(b"Host: a", line=b"GET / HTTP/1.0"), 400, "Hostname"),
    ("empty Host", get(b"Host:"), 400, "Hostname"),
    ("Host with a path", get(b"Host: a/b"), 400, "Hostname"),
    ("Host with a user", get(b"Host: u@a"), 400, "Hostname"),
    ("Host with a blank", get(b"Host: a b"), 400, "Hostname"),
    ("Host list", get(b"Host: a, b"), 400, "Hostname"),
    ("port that is none", get(b"Host: a:x"), 400, "Hostname"),
    ("port too high", get(b"Host: a:65536"), 400, "Hostname"),
    ("open bracket", get(b"Host: [::1"), 400, "Hostname"),
    ("Host beyond ASCII", get("Host: ä".encode()), 400, "Hostname"),
    # length and coding
    ("two equal lengths", with_host(b"Content-Length: 5", b"Content-Length: 5"), 400, "Number"),
    ("two lengths", with_host(b"Content-Length: 5", b"content-length: 6"), 400, "Number"),
    ("list of lengths", with_host(b"Content-Length: 5, 5"), 400, "Number"),
    ("signed length", with_host(b"Content-Length: +5"), 400, "Number"),
    ("negative length", with_host(b"Content-Length: -1"), 400, "Number"),
    ("hexadecimal length", with_host(b"Content-Length: 0x5"), 400, "Number"),
    ("underscore in a length", with_host(b"Content-Length: 1_0"), 400, "Number"),
    ("blank in a length", with_host(b"Content-Length: 1 0"), 400, "Number"),
    ("superscript length", with_host(b"Content-Length: \xb2"), 400, "Number"),
    ("empty length", with_host(b"Content-Length:"), 400, "Number"),
    ("huge length", with_host(b"Content-Length: " + b"9" * 19), 400, "Number"),
    ("length and coding", with_host(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400,
     "Header"),
    ("coding and length", with_host(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400,
     "Header"),
    ("two codings", with_host(*[b"Transfer-Encoding: chunked"] * 2), 400, "Header"),
    ("coding in 1.0", get(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400, "Header"),
    ("chunked twice", with_host(b"Transfer-Encoding: chunked, chunked"), 501, "N/I"),
    ("gzip, chunked", with_host(b"Transfer-Encoding: gzip, chunked"), 501, "N/I"),
    ("identity", with_host(b"Transfer-Encoding: identity"), 501, "N/I"),
    ("xchunked", with_host(b"Transfer-Encoding: xchunked"), 501, "N/I"),
    ("quoted coding", with_host(b'Transfer-Encoding: "chunked"'), 501, "N/I"),
    ("coding with parameter", with_host(b"Transfer-Encoding: chunked;a=b"), 501, "N/I"),
    ("empty coding", with_host(b"Transfer-Encoding:"), 501, "N/I"),
    ("NBSP before a coding", with_host(b"Transfer-Encoding: \xa0chunked"), 501, "N/I"),
    # expectation
    ("another expectation", with_host(b"Expect: 200-ok"), 417, "Precondition"),
    ("two expectations", with_host(b"Expect: 100-continue", b"Expect: x"), 417, "Precondition"),
    # more than a head
    ("two heads", get(b"Host: a") + get(b"Host: a"), 400, "Header"),
    ("no empty line", b"GET / HTTP/1.1\r\nHost: a\r\n", 400, "Invalid_CR/LF"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "status", "reason"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(head, status, reason):
    """Each case of the corpus is refused with its own status and HTTPERR reason."""
    with pytest.raises(RemoteProtocolError) as caught:
        scan(head, LIMITS)
    assert (caught.value.status, caught.value.reason) == (status, reason)


def arrive(data: bytes) -> Head | None:
    """What a connection makes of bytes that come one at a time; None = it still waits."""
    buffer = bytearray()
    for index in range(len(data)):
        buffer += data[index : index + 1]
        end = find_end(buffer)
        if end >= 0:
            return scan(bytes(buffer[:end]), LIMITS)
        check_incomplete(buffer, LIMITS)
    return None


# Byte by byte the first of two heads is a head, and an unended one goes on.
ARRIVING = [c for c in REFUSED if len(c[1]) < 4000 and c[0] not in {"two heads", "no empty line"}]


@pytest.mark.parametrize("head", [c[1] for c in ARRIVING], ids=[c[0] for c in ARRIVING])
def test_no_refused_head_gets_through_byte_by_byte(head):
    """A head refused whole is never accepted when its bytes come one at a time."""
    with pytest.raises(RemoteProtocolError):
        arrive(head)


def test_the_fields_of_a_browser_are_read():
    """Names keep their spelling, values lose the blanks round them and nothing else."""
    head = scan(
        get(b"HOST: A.example:8080", b"X:", b"y:  a b \t", b"Z: \xe4", b"q:\tv",
            line=b"GET /p?x=%00&y=%zz HTTP/1.1"), LIMITS
    )  # fmt: skip
    assert head.fields == [("HOST", "A.example:8080"), ("X", ""), ("y", "a b"), ("Z", "ä"),
                           ("q", "v")]  # fmt: skip
    assert (head.host, head.path) == ("a.example", "/p")
    assert (head.query, head.target) == ("x=%00&y=%zz", "/p?x=%00&y=%zz")
    assert (head.content_length, head.chunked, head.keep_alive) == (-1, False, True)
    assert (head.method, head.version, head.upgrade, head.expect_continue) == ("GET", 11, "", False)


@pytest.mark.parametrize(
    ("line", "path", "query"),
    [
        (b"GET / HTTP/1.1", "/", ""),
        (b"GET /? HTTP/1.1", "/", ""),
        (b"GET /a/b.c?d?e HTTP/1.1", "/a/b.c", "d?e"),
        (b"GET /%41%2f%62 HTTP/1.1", "/A/b", ""),
        (b"GET /a%20b+c HTTP/1.1", "/a b+c", ""),
        (b"GET /%C3%A4 HTTP/1.1", "/ä", ""),
        (b"GET /\xc3\xa4 HTTP/1.1", "/ä", ""),
        (b"GET /%E4 HTTP/1.1", "/ä", ""),
        (b"GET /%u00e4%uD83D%uDE00 HTTP/1.1", "/ä😀", ""),
        (b"GET /%c0%af HTTP/1.1", "/À¯", ""),
        (b"GET /a/./b/../c HTTP/1.1", "/a/c", ""),
        (b"GET /a/.. HTTP/1.1", "/", ""),
        (b"GET /a/b/. HTTP/1.1", "/a/b/", ""),
        (b"GET /../../etc HTTP/1.1", "/etc", ""),
        (b"GET /%2e%2e/%2E%2E/etc HTTP/1.1", "/etc", ""),
        (b"GET /a%5c..%5cb HTTP/1.1", "/b", ""),
        (b"GET //a///b// HTTP/1.1", "/a/b/", ""),
        (b"GET /%252e%252e/a HTTP/1.1", "/%2e%2e/a", ""),
        (b"GET /.hidden/..x HTTP/1.1", "/.hidden/..x", ""),
        (b"GET http://b:99/x?y HTTP/1.1", "/x", "y"),
        (b"GET HTTPS://b HTTP/1.1", "/", ""),
        (b"GET http://b?y HTTP/1.1", "/", "y"),
        (b"OPTIONS * HTTP/1.1", "/", ""),
    ],
)  # fmt: skip
def test_the_path_is_canonical(line, path, query):
    """Decoded once, slashes merged, dot segments gone, never above the root."""
    head = scan(with_host(line=line), LIMITS)
    assert (head.path, head.query) == (path, query)


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"Example.COM", "example.com"),
        (b"a:", "a"),
        (b"a:80", "a"),
        (b"127.0.0.1:8080", "127.0.0.1"),
        (b"[::1]:80", "[::1]"),
        (b"a_b.c", "a_b.c"),
    ],
)
def test_the_host_is_lower_case_without_port(value, host):
    """A valid Host gives its name only; asking again (from memory) gives the same."""
    for _ in range(2):
        assert scan(get(b"Host: " + value), LIMITS).host == host


def test_no_other_host_than_that_of_the_target_reaches_an_application():
    """RFC 9112 3.2.2: the Host field is ignored where the target names one, as written there."""
    head = scan(with_host(b"X: y", line=b"GET http://B:81/ HTTP/1.1"), LIMITS)
    assert head.fields == [("Host", "B:81"), ("X", "y")]
    head = scan(get(b"X: y", line=b"GET http://b/ HTTP/1.0"), LIMITS)
    assert head.fields == [("Host", "b"), ("X", "y")]


def test_the_authority_of_an_absolute_target_replaces_the_host():
    """RFC 9112 3.2.2: the Host field is ignored, but must be there and valid."""
    assert scan(with_host(line=b"GET http://B:81/ HTTP/1.1"), LIMITS).host == "b"
    with pytest.raises(RemoteProtocolError):
        scan(get(line=b"GET http://b/ HTTP/1.1"), LIMITS)


def test_a_1_0_request_needs_no_host():
    """HTTP/1.0 knows no Host: none is fine, one is read."""
    assert scan(get(line=b"GET / HTTP/1.0"), LIMITS).host == ""
    assert scan(with_host(line=b"GET / HTTP/1.0"), LIMITS).host == "a"


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"1", [], True),
        (b"1", [b"close"], False),
        (b"1", [b"Keep-Alive, CLOSE"], False),
        (b"1", [b"x", b"close"], False),
        (b"1", [b"closed"], True),
        (b"0", [], False),
        (b"0", [b"keep-alive"], True),
        (b"0", [b"keep-alive, close"], False),
    ],
)
def test_persistence_follows_version_and_connection(version, connection, keep_alive):
    """RFC 9112 9.3: close always wins; 1.0 stays only when it asks to."""
    fields = [b"Connection: " + value for value in connection]
    head = scan(with_host(*fields, line=b"GET / HTTP/1." + version), LIMITS)
    assert head.keep_alive is keep_alive


def test_an_upgrade_needs_connection_and_1_1():
    """RFC 9110 7.8: Upgrade without its connection option, or in 1.0, is ignored."""
    both = (b"Upgrade: websocket", b"Connection: keep-alive, Upgrade")
    assert scan(with_host(*both), LIMITS).upgrade == "websocket"
    assert scan(with_host(both[0]), LIMITS).upgrade == ""
    assert scan(with_host(*both, line=b"GET / HTTP/1.0"), LIMITS).upgrade == ""


def test_expectation_of_1_0_is_ignored():
    """RFC 9110 10.1.1: 100-continue is honoured in 1.1, any expectation ignored in 1.0."""
    assert scan(with_host(b"Expect: 100-Continue"), LIMITS).expect_continue
    for value in (b"Expect: 100-continue", b"Expect: x"):
        assert not scan(with_host(value, line=b"GET / HTTP/1.0"), LIMITS).expect_continue


def test_an_unknown_verb_passes():
    """Which verbs an application takes is its affair: any token goes through."""
    assert scan(with_host(line=b"BREW-2 / HTTP/1.1"), LIMITS).method == "BREW-2"


def test_a_post_without_length_has_no_body():
    """RFC 9112 6.3: a request with neither length nor coding has an empty body."""
    head = scan(with_host(line=b"POST / HTTP/1.1"), LIMITS)
    assert (head.content_length, head.chunked) == (-1, False)


def test_limits_hold_exactly():
    """At a limit a head passes, one byte beyond it is refused, with the limit's own reason."""
    limits = Limits(max_request_bytes=300, max_field_length=100, url_segment_max_length=10,
                    url_segment_max_count=3, max_url_length=30, max_fields=4)  # fmt: skip
    for line in (b"GET /1234567890 HTTP/1.1", b"GET /a/b/c HTTP/1.1",
                 b"GET /?" + b"q" * 28 + b" HTTP/1.1"):  # fmt: skip
        scan(with_host(line=line), limits)
    scan(with_host(b"X: " + b"a" * 97), limits)
    scan(with_host(b"A:", b"B:", b"C:"), limits)
    beyond = [
        (with_host(line=b"GET /12345678901 HTTP/1.1"), 400, "URL"),
        (with_host(line=b"GET /a/b/c/ HTTP/1.1"), 400, "URL"),
        (with_host(line=b"GET /?" + b"q" * 29 + b" HTTP/1.1"), 414, "URL_Length"),
        (with_host(b"X: " + b"a" * 98), 400, "FieldLength"),
        (with_host(b"A:", b"B:", b"C:", b"D:"), 400, "RequestLength"),
        (with_host(*[b"X: " + b"a" * 90] * 3), 400, "RequestLength"),
    ]
    for head, status, reason in beyond:
        with pytest.raises(RemoteProtocolError) as caught:
            scan(head, limits)
        assert (caught.value.status, caught.value.reason) == (status, reason)


def test_zero_switches_a_segment_limit_off():
    """UrlSegmentMaxLength and UrlSegmentMaxCount 0 mean no limit."""
    limits = Limits(url_segment_max_length=0, url_segment_max_count=0)
    assert len(scan(with_host(line=b"GET /" + b"a" * 5000 + b" HTTP/1.1"), limits).path) == 5001
    assert scan(with_host(line=b"GET " + b"/a" * 900 + b" HTTP/1.1"), limits).path == "/a" * 900


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\n", 400, "BadRequest"),
        (b"\x00", 400, "Verb"),
        (b"\x80\x80", 400, "Verb"),
        (b" GET", 400, "Verb"),
        (b"\rX", 400, "Verb"),
        (b"A" * 256, 400, "Verb"),
        (b"GET /\r\n", 400, "BadRequest"),
        (b"GET / HTTP/3.0\r\n", 505, "Version_N/S"),
        (b"GET / HTTP/1.1\n", 400, "Invalid_CR/LF"),
        (b"GET / HTTP/1.1\r\nHost: a\nX", 400, "Invalid_CR/LF"),
        (b"GET /" + b"a" * 16384, 414, "URL_Length"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 16384, 400, "RequestLength"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 3000, 400, "RequestLength"),
    ],
)
def test_what_can_never_become_a_head_is_answered_at_once(data, status, reason):
    """No client is left waiting for a time-out whose first bytes have already decided."""
    with pytest.raises(RemoteProtocolError) as caught:
        check_incomplete(data, LIMITS)
    assert (caught.value.status, caught.value.reason) == (status, reason)


def test_a_long_field_is_named_when_there_is_room_for_it():
    """FieldLength is the reason where MaxRequestBytes allows more than MaxFieldLength."""
    limits = Limits(max_request_bytes=50000)
    with pytest.raises(RemoteProtocolError, match="line of more than") as caught:
        check_incomplete(b"GET / HTTP/1.1\r\nX: " + b"a" * 16384, limits)
    assert caught.value.reason == "FieldLength"


def test_every_beginning_of_a_good_head_may_go_on():
    """No prefix of an acceptable head is refused, and the head is found when its last byte came."""
    data = get(b"Host: a", b"X: y", line=b"OPTIONS /a%20b?c HTTP/1.1")
    head = arrive(data)
    assert head is not None
    assert head.size == len(data)
    check_incomplete(b"", LIMITS)
    check_incomplete(b"\r", LIMITS)


def test_empty_lines_before_the_request_line_are_skipped():
    """RFC 9112 2.2 asks for one; how many come in one segment must make no difference."""
    assert [skip_leading(b"\r\n" * n + b"GET") for n in range(4)] == [0, 2, 4, 6]
    assert skip_leading(b"\r") == skip_leading(b"\nGET") == 0
    with pytest.raises(RemoteProtocolError):
        check_incomplete(b"\n\r\nGET", LIMITS)


def test_the_end_is_found_with_either_line_end():
    """find_end gives the index past the empty line, whichever line end made it."""
    assert find_end(b"a\r\n\r\nb") == 5
    assert find_end(b"a\n\nb") == 3
    assert find_end(b"a\n\r\nb") == 4
    assert find_end(bytearray(b"a\r\n\r")) == -1
