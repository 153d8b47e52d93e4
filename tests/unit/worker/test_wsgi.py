"""WsgiModule: PEP 3333, through the whole pipeline."""

import importlib
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest
from fake_exchange import WSGI, FakeExchange, ask, make_request, make_server

from was.worker.applications.app_loader import ApplicationLoader, Failure
from was.worker.interfaces.connection import is_local_request

_number = iter(range(1000))


@pytest.fixture
def serve(tmp_path):
    """A server whose site is one WSGI application, given as text; `app` in it is the callable."""

    def make(text: str, web_server: str = WSGI, **parts):
        name = f"sample{next(_number)}"
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / f"{name}.py").write_text(textwrap.dedent(text))
        return make_server(tmp_path, web_server.format(f"{name}:app"), **parts)

    return make


def module_of(server):
    return next(m for n, m in sys.modules.items() if n == f"sample{last()}")


def last():
    return max(int(n[6:]) for n in sys.modules if n.startswith("sample"))


ENVIRON = """
seen = []
def app(environ, start_response):
    seen.append(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read()]
"""


def environ_of(server, **changes):
    ask(server, **changes)
    return module_of(server).seen[-1]


def test_a_whole_body_goes_out_in_one_message_with_its_length(serve):
    """A list is joined and finished at once; Content-Length is computed, not left to chunks."""
    server = serve("""
    def app(environ, start_response):
        start_response("201 Made", [("Content-Type", "text/plain"), ("X-A", "1")])
        return [b"ab", b"", b"c"]
    """)
    exchange = ask(server)
    assert exchange.calls == ["finish"]
    assert (exchange.status, exchange.reason, exchange.length) == (201, "Made", 3)
    assert exchange.body == b"abc"
    assert exchange.block == b"Content-Type: text/plain\r\nX-A: 1\r\n"
    assert exchange.log


def test_head_keeps_the_length_and_sends_no_body(serve):
    """HEAD is answered with the fields of GET, the length too."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"abc"]
    """)
    exchange = ask(server, method="HEAD")
    assert (exchange.length, exchange.body) == (3, b"")


@pytest.mark.parametrize("end", ['yield b"abc"', "return []", "return iter(())"])
def test_head_does_not_claim_length_0(serve, end):
    """The length of a generator is unknown, as it is for GET; frameworks leave the body out."""
    server = serve(f"""
    def app(environ, start_response):
        start_response("200 OK", [])
        {end}
    """)
    exchange = ask(server, method="HEAD")
    assert (exchange.length, exchange.body) == (-1, b"")


@pytest.mark.parametrize(
    ("status", "fields", "length"),
    [
        ("204 No Content", [("Content-Length", "5")], 0),
        ("304 Not Modified", [("Content-Length", "5")], 5),
        ("304 Not Modified", [("Content-Length", "0")], -1),
        ("304 Not Modified", [], -1),
    ],
)
def test_bodiless_statuses_have_no_body(serve, status, fields, length):
    """RFC 9110: 204 and 304 carry none; a length in 304 is that of the response it stands for."""
    server = serve(f"""
    def app(environ, start_response):
        start_response("{status}", {fields})
        return [b"abcde"] if {fields} else []
    """)
    exchange = ask(server)
    assert (exchange.length, exchange.body) == (length, b"")


def test_blocks_of_a_generator_are_sent_before_the_next_is_asked_for(serve):
    """PEP 3333: a server must not delay a block."""
    server = serve("""
    order = []
    def app(environ, start_response):
        start_response("200 OK", [])
        for block in (b"a", b"", b"b"):
            order.append(len(environ["iis.context"].exchange.writes))
            yield block
        order.append(len(environ["iis.context"].exchange.writes))
    """)
    exchange = ask(server)
    assert exchange.calls == ["start", "write", "end"]
    assert exchange.length == -1
    assert exchange.body == b"ab"
    assert module_of(server).order == [0, 1, 1, 2]


def test_the_block_that_completes_content_length_waits_for_the_end(serve):
    """Then the whole response is one message, and stays repeatable until then."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        yield b"abc"
    """)
    exchange = ask(server)
    assert exchange.calls == ["finish"]
    assert (exchange.length, exchange.body) == (3, b"abc")


def test_more_than_content_length_is_cut_off(serve):
    """What exceeds the promise would be read as the next response."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        yield b"ab"
        yield b"cd"
        yield b"ef"
    """)
    assert ask(server).body == b"abc"
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        return [b"abcdef"]
    """)
    assert ask(server).body == b"abc"


def test_less_than_content_length_cuts_the_connection_or_is_500(serve):
    """A client must not wait for bytes that never come."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "9")])
        yield b"ab"
    """)
    assert ask(server).calls == ["start", "abort"]
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "9")])
        return [b"ab"]
    """)
    assert ask(server).status == 500


CLOSING = """
closed = []
class Body:
    def __init__(self, blocks): self.blocks = iter(blocks)
    def __iter__(self): return self
    def __next__(self):
        block = next(self.blocks)
        if block is None: raise RuntimeError("middle")
        return block
    def close(self): closed.append(1)
def app(environ, start_response):
    start_response("200 OK", [])
    return Body({blocks})
"""


@pytest.mark.parametrize(
    ("blocks", "calls"),
    [
        ('[b"a"]', ["start", "end"]),
        ("[]", ["finish"]),
        ("[None]", ["finish"]),
        ('[b"a", None]', ["start", "abort"]),
        ('["text"]', ["finish"]),
    ],
)
def test_close_is_called_once_whatever_happens(serve, blocks, calls):
    """At the end, at a failure before and after the first block."""
    server = serve(CLOSING.format(blocks=blocks))
    exchange = ask(server)
    assert exchange.calls == calls
    assert module_of(server).closed == [1]


def test_close_is_called_when_the_client_is_gone(serve):
    """The write raises, the iterable is closed, the exchange is aborted with 64."""
    server = serve(CLOSING.format(blocks='[b"a", b"b", b"c"]'))
    exchange = ask(server, FakeExchange(make_request(), gone_after=1))
    assert exchange.calls == ["start", "write", "abort"]
    assert exchange.win32 == 64
    assert module_of(server).closed == [1]


def test_start_response_twice_is_an_error_unless_with_exc_info(serve):
    """exc_info replaces what was set before; afterwards it is raised again."""
    server = serve("""
    import sys
    def app(environ, start_response):
        start_response("200 OK", [("X-Old", "1"), ("Content-Length", "1")])
        try:
            raise ValueError
        except ValueError:
            start_response("503 Busy", [("X-New", "1")], sys.exc_info())
        return [b"busy"]
    """)
    exchange = ask(server)
    assert (exchange.status, exchange.body, exchange.length) == (503, b"busy", 4)
    assert exchange.block == b"X-New: 1\r\n"
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []
    """)
    assert ask(server).status == 500
    server = serve("""
    import sys
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"x")
        try:
            raise ValueError
        except ValueError:
            start_response("500 Late", [], sys.exc_info())
    """)
    assert ask(server).calls == ["start", "abort"]


def test_write_sends_at_once(serve):
    """write() commits the response, and its blocks come before those returned."""
    server = serve("""
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return [b"c"]
    """)
    exchange = ask(server)
    assert exchange.calls == ["start", "write", "end"]
    assert exchange.body == b"abc"


@pytest.mark.parametrize(
    "headers",
    [
        '[("X-A", "a\\r\\nX-B: b")]',
        '[("X-A", "a\\x00")]',
        '[("X A", "a")]',
        '[("", "a")]',
        '[("X-A", "\\u20ac")]',
        '[("Connection", "close\\r\\nX-B: 2")]',
        '[("Content-Length", "-1")]',
        '[("Content-Length", "+1")]',
        '[("Content-Length", "1"), ("Content-Length", "2")]',
        '[["X-A", "a"]]',
        '[("X-A", 1)]',
        '(("X-A", "a"),)',
        "None",
    ],
)
def test_bad_headers_are_the_applications_error(serve, headers):
    """Response splitting and wrong types are 500, nothing of them is sent."""
    server = serve(f"""
    def app(environ, start_response):
        start_response("200 OK", {headers})
        return [b"x"]
    """)
    exchange = ask(server)
    assert exchange.status == 500
    assert b"X-B" not in exchange.block


@pytest.mark.parametrize(
    "field",
    [
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Transfer-Encoding", "chunked"),
        ("Date", "Mon, 01 Jan 2001 00:00:00 GMT"),
    ],
)
def test_fields_about_the_connection_are_named_in_vain(serve, field):
    """Only the listener says them; who streams events names some by habit, and is served."""
    server = serve(f"""
    def app(environ, start_response):
        start_response("200 OK", [{field!r}, ("X-A", "1")])
        return [b"x"]
    """)
    for _ in range(2):  # the second time as it was remembered
        exchange = ask(server)
        assert (exchange.status, exchange.block, exchange.body) == (200, b"X-A: 1\r\n", b"x")
        assert not exchange.close


def test_connection_close_closes(serve):
    """An application may have its connection end with the response."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Connection", "close")])
        return [b"x"]
    """)
    for _ in range(2):
        exchange = ask(server)
        assert (exchange.status, exchange.block, exchange.close) == (200, b"", True)


def test_a_length_that_no_message_can_carry_is_the_applications_error(serve):
    """HEAD is not asked whether the body is as long: the worker would die of telling it."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "9" * 19)])
        return [b"x"]
    """)
    assert ask(server, method="HEAD").status == 500


@pytest.mark.parametrize("status", ["200", "200 OK", "299 Möglich"])
def test_good_statuses(serve, status):
    """The reason may be empty, and latin-1."""
    server = serve(f"""
    def app(environ, start_response):
        start_response({status!r}, [])
        return []
    """)
    assert ask(server).status == int(status[:3])


@pytest.mark.parametrize(
    "status", ["OK", "99 X", "100 Continue", "600 X", "200 O\rK", "٢٠٠ OK", ""]
)
def test_bad_statuses_are_500(serve, status):
    """An interim status, or a text that is none."""
    server = serve(f"""
    def app(environ, start_response):
        start_response({status!r}, [])
        return []
    """)
    exchange = ask(server)
    assert (exchange.status, b"start_response" in exchange.body) == (500, True)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("'200 OK', [('X', 70000 * 'x')]", b"70005 bytes of fields, 65536 is the most"),
        ("'200 OK', 700 * [('X', 100 * 'x')]", b"bytes of fields, 65536 is the most"),
        ("'200 ' + 5000 * 'x', []", b"internal server error"),
    ],
)
def test_more_than_a_message_can_carry_is_500(serve, said, why):
    """And not the end of the worker, with all of its other requests."""
    server = serve(f"""
    def app(environ, start_response):
        start_response({said})
        return []
    """)
    exchange = ask(server)
    assert exchange.status == 500
    assert why in exchange.body


@pytest.mark.parametrize("error", ["ValueError('no')", "SystemExit(3)", "KeyboardInterrupt()"])
def test_an_exception_is_500_and_the_worker_lives(serve, error):
    """SystemExit too is an exception of the application, not the end of the process."""
    server = serve(f"def app(environ, start_response):\n    raise {error}\n")
    exchange = ask(server)
    assert (exchange.status, exchange.sub_status) == (500, 0)
    assert b"Traceback" in exchange.body
    assert b"WsgiModule" not in exchange.headers().get("x-request-id", "").encode()
    assert exchange.headers()["x-request-id"] == f"{1:016x}"
    assert ask(server).status == 500


def test_a_remote_client_sees_no_traceback(serve):
    """DetailedLocalOnly: one line and the request id for others."""
    server = serve("def app(environ, start_response):\n    raise ValueError('secret')\n")
    exchange = ask(server, remote_addr="192.0.2.1")
    assert b"secret" not in exchange.body
    assert b"Request ID: 0000000000000001" in exchange.body
    exchange = ask(server, fields=[("X-Forwarded-For", "192.0.2.1")])
    assert b"secret" not in exchange.body


@pytest.mark.parametrize(
    ("fields", "addresses", "is_local"),
    [
        ([], ("127.0.0.9", "127.0.0.1"), True),
        ([], ("::1", "::1"), True),
        ([], ("::ffff:192.0.2.1", "192.0.2.1"), True),
        ([], ("192.0.2.1", "192.0.2.2"), False),
        ([("X-Forwarded-Proto", "https")], ("127.0.0.1", "127.0.0.1"), False),
        ([("x-forwarded-for", "127.0.0.1")], ("127.0.0.1", "127.0.0.1"), False),
        ([("FORWARDED", "for=127.0.0.1")], ("127.0.0.1", "127.0.0.1"), False),
        ([("Via", "1.1 a")], ("127.0.0.1", "127.0.0.1"), False),
    ],
)
def test_a_local_request_comes_from_here_and_through_no_proxy(fields, addresses, is_local):
    """Peer address one of ours, and no X-Forwarded-*, Forwarded or Via: it is shown everything."""
    remote, local = addresses
    request = make_request(remote_addr=remote, local_addr=local)
    assert is_local_request(request, fields) is is_local


def test_an_applications_own_error_is_left_alone(serve):
    """A 404 that the application answers itself keeps its body, even an empty one."""
    server = serve("""
    def app(environ, start_response):
        start_response("404 Not Found", [])
        return [b"mine"] if environ["QUERY_STRING"] else []
    """)
    assert ask(server, query="x").body == b"mine"
    assert ask(server).body == b""


def test_environ(serve):
    """The keys of PEP 3333, CGI and ours."""
    server = serve(ENVIRON)
    environ = environ_of(
        server,
        id=255,
        attempt=2,
        path="/a b",
        target="/a%20b?x=1",
        query="x=1",
        fields=[
            ("Host", "[::1]:8080"),
            ("Accept", "a"),
            ("accept", "b"),
            ("Cookie", "c=1"),
            ("Cookie", "d=2"),
            ("X_Evil", "1"),
            ("Proxy", "1"),
            ("Content-Type", "text/x"),
        ],
        remote_addr="192.0.2.7",
    )
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "x=1",
        "REQUEST_URI": "/a%20b?x=1",
        "RAW_URI": "/a%20b?x=1",
        "SERVER_NAME": "[::1]",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "40000",
        "CONTENT_TYPE": "text/x",
        "HTTP_ACCEPT": "a, b",
        "HTTP_COOKIE": "c=1; d=2",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "was.request_id": "00000000000000ff",
        "was.attempt": 2,
        "was.app_pool": "pool",
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert not {"HTTP_X_EVIL", "HTTP_PROXY", "REMOTE_USER", "CONTENT_LENGTH"} & set(environ)


def test_paths_are_latin_1_views_of_utf_8(serve):
    """PEP 3333: bytes of the path, decoded as latin-1."""
    server = serve(ENVIRON)
    assert environ_of(server, path="/ä", target="/%C3%A4")["PATH_INFO"] == "/Ã¤"
    assert environ_of(server, path="/\udcff", target="/%FF")["PATH_INFO"] == "/ÿ"


def test_script_name_of_an_application_below_the_root(serve, tmp_path):
    """SCRIPT_NAME is the application's path as the client wrote it, PATH_INFO the rest."""
    (tmp_path / "sub").mkdir()
    application = (
        f'<application path="/Sub" applicationPool="pool"><virtualDirectory path="/" '
        f'physicalPath="{tmp_path}/sub" /></application>'
    )
    server = serve(ENVIRON, applications=application)
    ask(server, application="/Sub", path="/sub/x")
    name = f"sample{last() + 1}"
    (tmp_path / "sub" / f"{name}.py").write_text(ENVIRON)
    handlers = WSGI.format(f"{name}:app").replace('add name="app"', 'add name="sub"')
    (tmp_path / "sub" / "web.config").write_text(
        f"<configuration><system.webServer>{handlers}</system.webServer></configuration>"
    )
    server.configuration_changed()
    environ = environ_of(server, application="/Sub", path="/sub/x")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/sub", "/x")
    environ = environ_of(server, application="/Sub", path="/Sub")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/Sub", "")


BODY = b"one\ntwo\n\nthree"


@pytest.mark.parametrize("pull", [False, True])
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("body.read()", BODY),
        ("body.read(4) + body.read(100) + body.read(1)", BODY),
        ("b'|'.join(body)", b"one\n|two\n|\n|three"),
        ("b'|'.join(body.readlines())", b"one\n|two\n|\n|three"),
        ("b'|'.join([body.readline(2), body.readline(), body.readline(99)])", b"on|e\n|two\n"),
        ("b'|'.join(body.readlines(5))", b"one\n|two\n"),
        ("body.read(0) + body.readline(0) + body.read(2)", b"on"),
    ],
)
def test_input_reads_the_body_and_no_more(serve, pull, expression, expected):
    """read, readline, readlines, iteration: of a body that is there, and one that arrives."""
    server = serve(f"""
    def app(environ, start_response):
        body = environ["wsgi.input"]
        start_response("200 OK", [("X-Terminated", str(environ.get("wsgi.input_terminated")))])
        return [{expression}]
    """)
    exchange = ask(server, method="POST", body=BODY, pull=pull, body_length=-1 if pull else 14)
    assert exchange.body == expected
    assert exchange.headers()["x-terminated"] == "True"


@pytest.mark.parametrize(("size", "how"), [(10, None), (100_000, "file")])
@pytest.mark.parametrize("seek", [0, 4])
def test_file_wrapper_sends_from_where_the_file_stands(serve, tmp_path, size, how, seek):
    """A small rest as bytes, a large one by descriptor; the file's own offset counts."""
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    server = serve(f"""
    files = []
    def app(environ, start_response):
        start_response("200 OK", [])
        file = open({str(tmp_path / "data")!r}, "rb")
        files.append(file)
        file.read({seek})
        return environ["wsgi.file_wrapper"](file)
    """)
    exchange = ask(server)
    assert exchange.body == data[seek:]
    assert exchange.length == size - seek
    assert (exchange.file is not None) == (how == "file")
    assert module_of(server).files[0].closed
    assert ask(server, method="HEAD").length == size - seek


def test_file_wrapper_of_something_else_is_iterated(serve):
    """An object with read() only has no descriptor."""
    server = serve("""
    import io
    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 70000))
    """)
    exchange = ask(server)
    assert exchange.body == b"x" * 70000
    assert exchange.calls == ["start", "write", "end"]


def test_file_wrapper_of_a_file_that_says_to_be_empty_is_iterated(serve):
    """As those of /proc do, whatever there is to read."""
    server = serve("""
    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open("/proc/version", "rb"))
    """)
    assert ask(server).body == Path("/proc/version").read_bytes()


FILES = [
    ("open(path, 'rb')", True),
    ("io.FileIO(path)", True),
    ("named(path)", True),
    ("Upper(path)", False),
    ("io.BufferedReader(Upper(path))", False),
    ("UpperBuffered(io.FileIO(path))", False),
]


@pytest.mark.parametrize(("file", "has_region"), FILES)
def test_file_wrapper_sends_what_read_gives(serve, tmp_path, file, has_region):
    """By its descriptor only where `read` is the file's own: a derived class may give anything."""
    (tmp_path / "data").write_bytes(b"x" * 100_000)
    server = serve(f"""
    import io, shutil, tempfile
    path = {str(tmp_path / "data")!r}
    class Upper(io.FileIO):
        def read(self, size=-1):
            return super().read(size).upper()
        def readinto(self, buffer):
            buffer[:] = self.read(len(buffer)).ljust(len(buffer))
            return len(buffer)
    class UpperBuffered(io.BufferedReader):
        def read(self, size=-1):
            return super().read(size).upper()
    def named(path):
        file = tempfile.NamedTemporaryFile()
        with open(path, "rb") as source:
            shutil.copyfileobj(source, file)
        file.seek(0)
        return file
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "100000")])
        return environ["wsgi.file_wrapper"]({file})
    """)
    exchange = ask(server)
    assert exchange.body == (b"x" if has_region else b"X") * 100_000
    assert (exchange.file is not None) == has_region


def test_an_error_after_the_last_block_takes_its_place(serve):
    """What completes Content-Length waits for the end: with exc_info it is not part of the page."""
    server = serve("""
    import sys
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        yield b"hello"
        try:
            raise LookupError
        except LookupError:
            start_response("500 Oops", [("Content-Length", "5")], sys.exc_info())
            yield b"error"
    """)
    exchange = ask(server)
    assert (exchange.status, exchange.body) == (500, b"error")


def test_a_file_that_head_does_not_get_is_closed(serve, tmp_path):
    """A response that is flushed while it goes on: its files are closed, sent or not."""
    (tmp_path / "data").write_bytes(b"x" * 100_000)
    server = serve(f"""
    import os
    from was.api import FileRegion
    regions = []
    def app(environ, start_response):
        response = environ["iis.context"].response
        start_response("200 OK", [])
        fd = os.open({str(tmp_path / "data")!r}, os.O_RDONLY)
        regions.append(FileRegion(fd, 0, 100_000))
        response.write_entity_chunks([regions[-1]])
        response.flush()
        return []
    """)
    for method in ("GET", "HEAD"):
        ask(server, method=method)
    assert [region.fd for region in module_of(server).regions] == [-1, -1]


def test_a_good_application_satisfies_the_validator(serve):
    """wsgiref.validate, which raises for every breach on either side, stays silent."""
    server = serve("""
    from wsgiref.validate import validator
    def plain(environ, start_response):
        environ["wsgi.input"].read(10)
        environ["wsgi.input"].readline()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"fine"]
    app = validator(plain)
    """)
    for changes in ({}, {"method": "HEAD"}, {"method": "POST", "body": b"x\ny"}, {"secure": True}):
        exchange = ask(server, **changes)
        assert exchange.status == 200, exchange.body


def test_an_application_that_cannot_be_imported_is_500_30_until_its_file_changes(serve, tmp_path):
    """The worker lives, other applications too; a changed file is tried again."""
    server = serve("import no_such_module\n")
    exchange = ask(server)
    assert (exchange.status, exchange.sub_status) == (500, 30)
    assert b"no_such_module" in exchange.body
    assert ask(server, remote_addr="192.0.2.1").sub_status == 30
    file = max((tmp_path / "site").glob("sample*.py"), key=lambda f: int(f.stem[6:]))
    file.write_text("def app(e, s):\n    s('200 OK', [])\n    return [b'better']\n")
    assert ask(server).body == b"better"


@pytest.mark.parametrize("reference", ["os:path", "sys:no_such", "nowhere:app", "sys:version"])
def test_a_bad_reference_is_500_30(tmp_path, reference):
    """scriptProcessor that names nothing callable."""
    server = make_server(tmp_path, WSGI.format(reference))
    assert ask(server).sub_status == 30


def test_the_applications_own_config_module_wins(tmp_path):
    """`import config` in an application is never ours."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "config.py").write_text("NAME = b'theirs'")
    (tmp_path / "site" / "own_config_app.py").write_text(
        "import config\ndef app(e, s):\n    s('200 OK', [])\n    return [config.NAME]\n"
    )
    assert ask(make_server(tmp_path, WSGI.format("own_config_app:app"))).body == b"theirs"


def _two_folders(tmp_path, name):
    """Two releases of one program: modules of the same names."""
    for number in (1, 2):
        package = tmp_path / f"release{number}" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "web.py").write_text(f"def application(): return {number}\n")
    return [str(tmp_path / f"release{number}") for number in (1, 2)]


def test_no_application_is_run_in_place_of_a_namesake(tmp_path, monkeypatch):
    """Modules are the process's: the second of two that have one name is refused, and says why."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    first, second = _two_folders(tmp_path, "namesake_of_two")
    reference = "namesake_of_two.web"
    assert ApplicationLoader(reference, first).load()() == 1
    refused = ApplicationLoader(reference, second).load()
    assert isinstance(refused, Failure)
    for said in ("namesake_of_two", first, second, "pool of its own"):
        assert said in refused.message


@pytest.mark.parametrize("name", ["was", "isapi", "zmq", "msgspec"])
def test_a_reserved_name_is_said_to_be_one(tmp_path, monkeypatch, name):
    """A pool of its own would not help: the name is the server's in every worker."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    place = "was.worker.isapi.face" if name == "isapi" else name  # where its finder has it from
    monkeypatch.setitem(sys.modules, name, importlib.import_module(place))
    (tmp_path / f"{name}.py").write_text("application = print")
    refused = ApplicationLoader(f"{name}:application", str(tmp_path)).load()
    assert isinstance(refused, Failure)
    assert f"in every worker: {tmp_path}/{name}.py needs another name" in refused.message


@pytest.mark.parametrize("name", ["saved_meanwhile", "package_saved.meanwhile"])
def test_a_file_that_is_saved_while_it_fails_is_tried_again(tmp_path, monkeypatch, name):
    """What an attempt has read is what it has failed by, not what lies there afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / (name.replace(".", "/") + ".py")
    file.parent.mkdir(exist_ok=True)
    repaired = tmp_path / "repaired"
    repaired.write_text("def application(): return 'repaired'\n")
    file.write_text(f"import os\nos.replace({str(repaired)!r}, __file__)\nraise ValueError\n")
    loader = ApplicationLoader(name, str(tmp_path))
    assert isinstance(loader.load(), Failure)
    assert loader.load()() == "repaired"


def test_a_file_that_is_older_than_the_attempt_is_not_tried_again(tmp_path, monkeypatch):
    """Deep in a package too: a second attempt would tell of what the first one has left."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "package_of_old" / "program.py"
    file.parent.mkdir()
    file.write_text("import sys\nsys.attempts_of_old = 1 + getattr(sys, 'attempts_of_old', 0)\n1/0")
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + 10**10)
    loader = ApplicationLoader("package_of_old.program", str(tmp_path))
    first = loader.load()
    assert loader.load() is first
    assert sys.attempts_of_old == 1
    file.write_text("raise ValueError")
    second = loader.load()
    assert isinstance(second, Failure)
    assert (first.is_the_process_s, second.is_the_process_s) == (False, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0", 'Traceback (most recent call last):\n  File "{file}", line 1, in <module>\n'),
        ("def app(", '  File "{file}", line 1\n'),
        ("", "AttributeError: module 'told_of' has no attribute 'app'\n"),
    ],
)
def test_a_failure_is_told_from_the_application_s_first_line_on(tmp_path, monkeypatch, text, told):
    """How the server came to import it helps nobody to mend it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "told_of.py"
    file.write_text(text)
    monkeypatch.delitem(sys.modules, "told_of", raising=False)
    failure = ApplicationLoader("told_of:app", str(tmp_path)).load()
    assert failure.traceback.startswith(told.format(file=file))


def test_a_module_that_was_missing_may_be_installed(tmp_path, monkeypatch):
    """Where modules are found beside the application's folder: tried again at the next request."""
    (tmp_path / "site").mkdir()
    (tmp_path / "packages").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "packages")])
    (tmp_path / "site" / "in_need.py").write_text("from late_comer import application\n")
    loader = ApplicationLoader("in_need", str(tmp_path / "site"))
    assert isinstance(loader.load(), Failure)
    (tmp_path / "packages" / "late_comer.py").write_text("def application(): return 'came'\n")
    assert loader.load()() == "came"


def test_what_no_file_tells_is_tried_again_after_a_while(tmp_path, monkeypatch):
    """A database that was not there: no sooner than an attempt takes, and without a change."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sys, "clock_of_the_passing", clock, raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # nor a change of the folder
    (tmp_path / "passing.py").write_text(
        "import sys\nclock = sys.clock_of_the_passing\nclock[0] += 100\n"
        "if clock[0] < 250: raise ConnectionError\ndef application(): return 'there'\n"
    )
    loader = ApplicationLoader("passing", str(tmp_path))
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + 10**10)
    first = loader.load()
    assert isinstance(first, Failure)
    clock[0] = 199
    assert loader.load() is first
    clock[0] = 200
    assert loader.load()() == "there"


def test_two_applications_may_share_one_program(tmp_path, monkeypatch):
    """By one folder, by two names of it, and from a folder that has no such module."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    first, _ = _two_folders(tmp_path, "shared_by_three")
    (tmp_path / "current").symlink_to(first)
    (tmp_path / "empty").mkdir()
    for folder in (first, str(tmp_path / "current"), str(tmp_path / "empty")):
        assert ApplicationLoader("shared_by_three.web", folder).load()() == 1


def test_a_factory_is_called_with_its_literals(tmp_path, monkeypatch):
    """And what it makes is the application."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "made_of_literals.py").write_text("def make(*a, **k): return lambda: (a, k)\n")
    loader = ApplicationLoader("made_of_literals:make('x', b={'y': -1})", str(tmp_path))
    assert loader.load()() == (("x",), {"b": {"y": -1}})


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_frameworks_run(tmp_path, framework):
    """A view of Flask and of Django answers."""
    texts = {
        "flask": """
            import flask
            app = flask.Flask(__name__)
            @app.post("/echo/<name>")
            def echo(name):
                return f"{name} {flask.request.get_data(as_text=True)}"
        """,
        "django": """
            from django.conf import settings
            settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
            import django
            django.setup()
            from django.http import HttpResponse
            from django.urls import path
            from django.core.wsgi import get_wsgi_application
            def echo(request, name):
                return HttpResponse(f"{name} {request.body.decode()}")
            urlpatterns = [path("echo/<name>", echo)]
            app = get_wsgi_application()
        """,
    }
    (tmp_path / "site").mkdir()
    name = f"{framework}_sample"
    (tmp_path / "site" / f"{name}.py").write_text(textwrap.dedent(texts[framework]))
    server = make_server(tmp_path, WSGI.format(f"{name}:app"))
    exchange = ask(server, method="POST", path="/echo/x", body=b"y")
    assert (exchange.status, exchange.body) == (200, b"x y")


def test_the_error_page_names_the_module(serve):
    """An exception inside the application is WsgiModule's, at EXECUTE_REQUEST_HANDLER."""
    server = serve("""
    def app(environ, start_response):
        raise ValueError("boom")
    """)
    page = ask(server).body
    assert b"WsgiModule" in page
    assert b"EXECUTE_REQUEST_HANDLER" in page
    assert b"boom" in page
