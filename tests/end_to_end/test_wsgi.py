"""WSGI as PEP 3333 has it, and what a person sees when an application fails."""

import contextlib
import os
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.running import place, run_server, simple_config
from support.wire import CutShortError, Wire, get, post

WRAPPED = os.urandom(300_000)


def _streams(home: Path) -> None:
    place("streams.py")(home)
    (home / "sites" / "app" / "data" / "file.bin").write_bytes(WRAPPED)


@pytest.fixture(scope="module")
def streams():
    with run_server(simple_config("streams:application"), _streams) as running:
        running.allow("application_error")
        yield running


def test_the_validator_finds_nothing():
    """wsgiref.validate accepts the environ, the input and our handling of the answer."""
    with run_server(simple_config("validated:application"), place("validated.py")) as running:
        assert get(running.port()).text == "hello\n"
        answer = post(running.port(), "/", b"name=Ada", "application/x-www-form-urlencoded")
        assert answer.text == "name=Ada\n"
        with Wire(running.port()) as wire:
            assert wire.request("/", "HEAD").status == 200


def test_the_environ_tells_the_request():
    """Method, path, query, fields and the server's own keys are in the environ."""
    with run_server(simple_config("probe:application"), place("probe.py")) as running:
        port = running.port()
        environ = get(port, "/environ?a=1&b=%20", X_Thing="value").json()
    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/environ")
    assert environ["QUERY_STRING"] == "a=1&b=%20"
    assert environ["HTTP_X_THING"] == "value"
    assert environ["HTTP_HOST"] == f"127.0.0.1:{port}"
    assert environ["SERVER_PORT"] == str(port)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.version"] == [1, 0]
    assert environ["was.attempt"] == 1
    assert environ["was.app_pool"] == "Pool"
    assert len(environ["was.request_id"]) == 16


def test_path_info_is_decoded_as_the_pep_has_it():
    """PATH_INFO is the decoded path as latin-1 text of its UTF-8 bytes."""
    with run_server(simple_config("probe:tell"), _tell_path) as running:
        body = get(running.port(), "/caf%C3%A9/a%20b").body
    assert body == "/café/a b".encode()


def _tell_path(home: Path) -> None:
    folder = home / "sites" / "app"
    folder.mkdir(parents=True)
    (folder / "probe.py").write_text(
        "def tell(environ, start_response):\n"
        "    body = environ['PATH_INFO'].encode('latin-1')\n"
        "    start_response('200 OK', [('Content-Length', str(len(body)))])\n"
        "    return [body]\n"
    )


def test_write_and_return_make_one_body(streams):
    """What write() was given comes before what the application returns."""
    assert get(streams.port(), "/write").text == "written, returned"


def test_a_wrapped_file_arrives_byte_for_byte(streams):
    """wsgi.file_wrapper sends the file, exactly."""
    assert get(streams.port(), "/wrapped").body == WRAPPED


def test_a_streamed_body_is_echoed(streams):
    """A body of many blocks goes in and out again, exactly."""
    body = os.urandom(400_000)
    assert post(streams.port(), "/echo", body).body == body


def test_fewer_bytes_than_promised_is_no_whole_response(streams):
    """An application that sends less than its Content-Length does not pass for complete."""
    with Wire(streams.port()) as wire:
        wire.send_request("/short")
        with contextlib.suppress(CutShortError):
            assert wire.read().status >= 500


def test_an_exception_is_a_500_that_tells_a_local_client_more(streams):
    """A local client sees the exception; one behind a proxy sees only that there was one."""
    local = get(streams.port(), "/fail")
    assert local.status == 500
    assert "LookupError" in local.text
    assert "raised on purpose" in local.text
    remote = get(streams.port(), "/fail", X_Forwarded_For="192.0.2.7")
    assert remote.status == 500
    assert "LookupError" not in remote.text
    assert "streams.py" not in remote.text


def test_an_exception_after_the_first_block_cuts_the_response(streams):
    """A response that has begun and fails is cut, visibly."""
    with Wire(streams.port()) as wire:
        wire.send_request("/fail-late")
        with pytest.raises(CutShortError):
            wire.read()


def test_so_it_is_where_it_ends_with_the_connection(streams):
    """To HTTP/1.0 an end of the stream would be the body's end: the connection is reset."""
    with Wire(streams.port()) as wire:
        wire.send(b"GET /fail-late HTTP/1.0\r\n\r\n")
        with pytest.raises(CutShortError, match="reset"):
            wire.read()


def test_exc_info_replaces_what_was_not_sent(streams):
    """start_response with exc_info replaces a response of which nothing has gone out."""
    answer = get(streams.port(), "/replace")
    assert (answer.status, answer.text) == (503, "replaced\n")


def test_close_is_called(streams):
    """The iterable's close() is called when its response has ended."""
    assert get(streams.port(), "/closing").text == "closing\n"
    wait_for("close()", (streams.folder() / "data" / "closed").exists)


def test_an_application_that_cannot_be_imported_and_is_repaired(start_server):
    """A failing import is a 500 that names the cause; the repaired file works without a restart."""
    running = start_server(simple_config("broken:application"), _broken)
    running.allow("application_failed", "application_error")
    answer = get(running.port())
    assert answer.status == 500
    assert "no_such_module" in answer.text
    place("hello.py")(running.home)
    (running.folder() / "hello.py").rename(running.folder() / "broken.py")
    wait_for("the repaired application", lambda: get(running.port()).status == 200)
    assert get(running.port()).text == "hello\n"


def _broken(home: Path) -> None:
    folder = home / "sites" / "app"
    folder.mkdir(parents=True)
    (folder / "broken.py").write_text("import no_such_module\n")


def test_the_application_s_own_modules_win(start_server):
    """An application's config.py, listener.py and worker.py are imported, not the server's."""

    def prepare(home: Path) -> None:
        names = [f"namesakes/{name}.py" for name in ("main", "config", "listener", "worker")]
        place(*names)(home)

    running = start_server(simple_config("main:application"), prepare)
    assert get(running.port()).text == "own-config own-listener own-worker\n"


LEAVING_OUT = """def application(environ, start_response):
    start_response("200 OK", [])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"there"]
"""


def test_head_of_what_nobody_measured_says_no_length(start_server):
    """Frameworks leave the body out for HEAD; that is not to say that GET has none."""

    def prepare(home: Path) -> None:
        (home / "sites" / "app").mkdir(parents=True)
        (home / "sites" / "app" / "leaving_out.py").write_text(LEAVING_OUT)

    running = start_server(simple_config("leaving_out:application"), prepare)
    with Wire(running.port()) as wire:
        for version in ("1.0", "1.1"):
            keep = "Host: x\r\nConnection: keep-alive\r\n\r\n"
            wire.send(f"HEAD / HTTP/{version}\r\n{keep}".encode())
            answer = wire.read("HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.all("content-length") + answer.all("transfer-encoding") == []
        assert wire.request("/").field("content-length") == "5"


PRINTING = """import resource, sys
limits = resource.getrlimit(resource.RLIMIT_FSIZE)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    if path == "/room":
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    print("printed at", path)
    print("complaint at", path, file=environ["wsgi.errors"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answered"]
"""


def test_what_cannot_be_printed_fails_no_request():
    """A full disk loses what the application prints, and the log says so when there is room."""

    def prepare(home: Path) -> None:
        (home / "sites" / "app").mkdir(parents=True)
        (home / "sites" / "app" / "printing.py").write_text(PRINTING)

    with run_server(simple_config("printing:application"), prepare) as running:
        running.allow("log_dropped")
        for path in ("/before", "/full", "/room"):
            answer = get(running.port(), path)
            assert (answer.status, answer.text) == (200, "answered"), path
        text = (running.home / "logs" / "pools" / "Pool.log").read_text()
    for path in ("/before", "/room"):
        assert f"printed at {path}\n" in text
        assert f"complaint at {path}\n" in text
    assert "at /full" not in text
    assert text.count("log_dropped lines=1") == 2


def test_an_application_below_the_root(start_server):
    """An application at /shop sees /shop in SCRIPT_NAME and the rest in PATH_INFO."""

    def prepare(home: Path) -> None:
        place("hello.py", folder="root")(home)
        place("probe.py", folder="shop")(home)

    sites = Path("{home}") / "sites"
    # The root's handlers are inherited, so a name of its own is needed.
    shop = wsgi_handler("probe:application", name="shop")
    site = Site(
        "Site",
        (
            Application("/", sites / "root", "Pool", (wsgi_handler("hello:application"),)),
            Application("/shop", sites / "shop", "Pool", (shop,)),
        ),
    )
    running = start_server(application_host_config([Pool("Pool")], [site]), prepare)
    assert get(running.port(), "/environ").text == "hello\n"
    assert get(running.port(), "/shopping").text == "hello\n"
    environ = get(running.port(), "/shop/environ").json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", "/environ")
