"""serverRuntime's limits, httpProtocol's connections and httpErrors' default page, in a worker."""

import sys
import threading

import pytest
from fake_exchange import WSGI, ask, make_request, make_server
from waiting import LIMIT_S, WaitingExchange, outcome

APP = """import threading
gate, begun = threading.Event(), threading.Semaphore(0)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        begun.release()
        gate.wait(20)
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]
"""

GATED = WSGI.format("gated:application")


@pytest.fixture
def make(tmp_path):
    """A server with sections of system.webServer over the application, or over files."""

    def make_it(sections, handler=GATED):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "gated.py").write_text(APP)
        (tmp_path / "site" / "failed.htm").write_text("the default page")
        return make_server(tmp_path, sections + handler)

    return make_it


def test_so_many_requests_of_an_application_run_at_once(make):
    """appConcurrentRequestLimit: one more is 503.2; requests that have ended do not count."""
    server = make('<serverRuntime appConcurrentRequestLimit="2" />')
    exchanges = [WaitingExchange(make_request(path="/wait")) for _ in range(2)]
    threads = [threading.Thread(target=server.handle, args=(e,)) for e in exchanges]
    for thread in threads:
        thread.start()
    gated = sys.modules["gated"]
    try:
        for _ in threads:
            assert gated.begun.acquire(timeout=LIMIT_S)
        refused = ask(server, path="/")
        assert outcome(refused) == "503.2"
        assert refused.headers()["retry-after"] == "1"
    finally:
        gated.gate.set()
        for thread in threads:
            thread.join(LIMIT_S)
    assert [outcome(e) for e in exchanges] == ["200.0"] * 2
    assert [outcome(ask(server, path="/")) for _ in range(3)] == ["200.0"] * 3


def test_a_request_within_a_request_is_not_counted(make):
    """The page of an error is asked for by the request that failed."""
    server = make(
        '<serverRuntime appConcurrentRequestLimit="1" />'
        '<httpErrors errorMode="Custom"><remove statusCode="404" subStatusCode="-1" />'
        '<error statusCode="404" path="/failed.htm" responseMode="ExecuteURL" /></httpErrors>',
        "",
    )
    assert ask(server, path="/none").body == b"the default page"


@pytest.mark.parametrize(
    ("length", "expected"), [(10, "200.0"), (11, "413.0"), (30_000_001, "413.0")]
)
def test_a_body_may_be_so_long(make, length, expected):
    """maxRequestEntityAllowed, beside what request filtering allows."""
    server = make('<serverRuntime maxRequestEntityAllowed="10" />')
    body = b"x" * min(length, 11)
    answer = ask(server, method="POST", path="/", body=body, body_length=length)
    assert outcome(answer) == expected


def test_a_body_of_unknown_length_may_be_so_long(make):
    """The same where the client says no length: it is limited while it is read."""
    server = make('<serverRuntime maxRequestEntityAllowed="10" />')
    for size, status in ((10, 200), (11, 413)):
        answer = ask(server, method="POST", path="/", body=b"x" * size, body_length=-1, pull=True)
        assert answer.status == status


@pytest.mark.parametrize("path", ["/failed.htm", "/none"])
def test_connections_that_are_not_kept(make, path):
    """allowKeepAlive="false": each response is the last of its connection."""
    assert ask(make('<httpProtocol allowKeepAlive="false" />', ""), path=path).close


def test_connections_are_kept_by_default(make):
    """Without a word about it."""
    assert not ask(make("", ""), path="/failed.htm").close


@pytest.mark.parametrize(
    ("mode", "path", "status"), [("File", "failed.htm", 404), ("ExecuteURL", "/failed.htm", 200)]
)
def test_the_default_page_of_errors(make, mode, path, status):
    """defaultPath, by defaultResponseMode, for a status that has no entry; not for one that has."""
    clear = '<clear /><error statusCode="405" path="gated.py" />'
    server = make(
        f'<httpErrors errorMode="Custom" defaultPath="{path}" defaultResponseMode="{mode}">'
        f"{clear}</httpErrors>",
        "",
    )
    answer = ask(server, path="/none")
    assert (answer.status, answer.body) == (status, b"the default page")
    assert ask(server, path="/failed.htm", method="DELETE").body == APP.encode()
