"""AsgiModule with a real server and a real client."""

import json
import signal
import socket

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.files import whole_lines
from support.running import asgi_config, place, run_server
from support.wire import CutShortError, Wire, get, many, post


@pytest.fixture(scope="module")
def running():
    config = asgi_config("asgi_kinds:application")
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("application_error")
        yield running


def seen(port):
    return get(port, "/seen").json()


def urls(running):
    return [row["url"] for row in running.server.rows("requests")]


def test_the_loop_of_the_import_is_the_one_that_serves(running):
    """As an application finds it that says asyncio.get_event_loop() at the top of a module."""
    assert get(running.port(), "/of_import").text == "True begun while it was imported"


def test_a_loop_that_an_application_stops_goes_on(running):
    """It is the worker's, and others run on it."""
    port = running.port()
    assert get(port, "/stop_loop").text == "the loop goes on"
    assert get(port, "/hello").status == 200


def test_scope_says_what_the_request_is(running):
    """Path decoded and raw, lower-case names, the state of the lifespan, and what is ours."""
    port = running.port()
    with Wire(port) as wire:
        answer = wire.request("/show/%C3%A9?a=%20b", fields={"X-One": "1", "TE": "trailers"})
    scope = answer.json()
    assert (scope["path"], scope["raw_path"]) == ("/show/é", "/show/%C3%A9")
    assert (scope["query_string"], scope["root_path"]) == ("a=%20b", "")
    assert ["x-one", "1"] in scope["headers"]
    assert scope["state"] == {"started": "yes"}
    assert scope["was"]["app_pool"] == "Pool"
    assert scope["was"]["attempt"] == 1
    assert scope["extensions"] == [
        "http.response.early_hint",
        "http.response.pathsend",
        "http.response.trailers",
        "was",
    ]


def test_bodies_stream_both_ways(running):
    """What was sent comes back, whole and in order, however long."""
    port = running.port()
    data = bytes(range(256)) * 4096
    assert post(port, "/echo", data).body == data
    assert post(port, "/count", b"").text == "0"
    with Wire(port) as wire:
        wire.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"
        )
        assert wire.read("POST").body == b"hello there"
        assert wire.request("/").text == "Hello, world!"


def test_large_response_is_whole(running):
    """The window closes and opens again; nothing is lost."""
    assert len(get(running.port(), "/large?20971520").body) == 20971520


def test_a_client_that_does_not_read_holds_the_application_back(running):
    """Back-pressure: send() waits; and once the client has gone it raises an OSError."""
    port = running.port()
    with Wire(port) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send_request("/endless")
        wire.read_until(b"xxxx")
        assert get(port, "/").status == 200  # the loop is free meanwhile

    def stopped():
        return next((e for e in seen(port) if e.startswith("ClientDisconnectedError")), None)

    wait_for("the application to be told", stopped)


def test_a_stream_that_its_client_leaves_is_logged_as_it_was_answered(running):
    """200 and win32 status 64: to leave is how a client ends a stream of events, and no failure."""
    with Wire(running.port()) as wire:
        wire.send_request("/endless?left")
        wire.read_until(b"xxxx")

    def line():
        logs = (running.home / "logs" / "W3SVC1").glob("u_ex*.log")
        lines = [line for file in logs for line in whole_lines(file)]
        return next((line for line in lines if " /endless left " in line), "")

    assert wait_for("the line", line).split()[-4:-1] == ["200", "0", "64"]


def test_disconnect_is_received(running):
    """After the body receive() waits for http.disconnect."""
    port = running.port()
    with Wire(port) as wire:
        wire.send_request("/disconnect")
        wait_for("the request", lambda: "/disconnect" in urls(running))
    wait_for("http.disconnect", lambda: "http.disconnect" in seen(port))


def test_early_hints_and_trailers(running):
    """103 before the response; trailers after its chunks, for a client that asked for them."""
    port = running.port()
    with Wire(port) as wire:
        answer = wire.request("/hints")
        assert answer.interim == [103]
        assert answer.text == "hinted"
        wire.send_request("/trailers", fields={"TE": "trailers"})
        got = wire.read_until(b"0\r\nx-sum: 1234\r\n\r\n")
        assert got.endswith(b"0\r\nx-sum: 1234\r\n\r\n")
        assert wire.request("/trailers").body == b"with trailers"


def test_pathsend_sends_the_file(running):
    """http.response.pathsend, with the file's length."""
    file = running.folder() / "large.bin"
    data = b"0123456789abcdef" * 65536
    file.write_bytes(data)
    answer = get(running.port(), f"/file?{file}")
    assert (answer.body, answer.field("content-type")) == (data, "text/plain")
    assert answer.field("content-length") == str(len(data))
    assert get(running.port(), "/file?/nowhere").status == 500


def test_head_has_no_body(running):
    """HEAD: the fields of GET, and no body, whole or streamed."""
    with Wire(running.port()) as wire:
        answer = wire.request("/", "HEAD")
        assert (answer.body, answer.field("content-length")) == (b"", "13")
        assert wire.request("/large", "HEAD").body == b""
        assert wire.request("/").text == "Hello, world!"


@pytest.mark.parametrize(
    "path",
    [
        *("nothing", "only_start", "raises", "twice", "too_much", "deaf_short", "deaf_file"),
        *("huge_fields", "huge_hint"),
    ],
)
def test_wrong_use_before_the_response_is_500(running, path):
    """A clear line in the log, 500 for the client, and the worker goes on."""
    port = running.port()
    assert get(port, f"/{path}").status == 500
    assert get(port, "/").status == 200


def test_what_was_refused_may_be_said_otherwise(running):
    """After a file that is not there a body answers all the same."""
    assert get(running.port(), "/second_thought").text == "no such file"


@pytest.mark.parametrize("path", ["half", "raises_late", "huge_trailers"])
def test_wrong_use_within_the_response_cuts_it(running, path):
    """The client sees that its response is not whole."""
    with pytest.raises(CutShortError):
        get(running.port(), f"/{path}")
    assert get(running.port(), "/").status == 200


def test_background_work_holds_nobody_up(running):
    """The response is complete with its last message, not when the application returns."""
    port = running.port()
    gate = running.folder() / "data" / "background"
    with Wire(port) as wire:
        assert wire.request(f"/background?{gate}").text == "at once"
        assert wire.request("/").status == 200
        assert "background done" not in seen(port)
    gate.touch()
    wait_for("the background work", lambda: "background done" in seen(port))


def test_many_more_requests_than_threads_run_at_once(running):
    """`concurrency`, not `threads`, bounds what is in an event loop."""
    with many(running.port(), 150) as wires:
        for wire in wires:
            wire.send_request("/together?150")
        assert {wire.read().text for wire in wires} == {"all here"}


def test_concurrency():
    """`concurrency` requests are inside the application at a time; the others wait."""
    elements = {
        "failure": {"rapidFailProtection": "false"},
        "python": {"threads": "4", "concurrency": "5"},
    }
    config = asgi_config("asgi_kinds:application", pool=Pool("Pool", {}, elements))
    with run_server(config, place("asgi_kinds.py")) as running:
        assert get(running.port()).status == 200
        with many(running.port(), 20) as wires:
            for wire in wires:
                wire.send_request("/gauge?5")
            peaks = [int(wire.read().text) for wire in wires]
        assert max(peaks) == 5


def test_lifespan_shuts_down_after_the_last_request():
    """At a recycle: what runs is answered, lifespan.shutdown, other tasks are cancelled."""
    config = asgi_config("asgi_kinds:application")
    with run_server(config, place("asgi_kinds.py")) as running:
        gate = running.folder() / "data" / "gate"
        log = running.home / "logs" / "pools" / "Pool.log"
        with Wire(running.port()) as wire:
            assert wire.request("/unawaited").text == "begun"
            wire.send_request(f"/hold?{gate}")
            wait_for("the request", lambda: f"/hold?{gate}" in urls(running))
            before = running.workers(count=1)
            running.server.command("recycle", "apppool", "Pool")
            wait_for("a successor", lambda: running.workers() not in ([], before))
            assert "lifespan shut down" not in log.read_text()
            gate.touch()
            assert wire.read().text == "held"
        cancelled = "an unawaited task was cancelled"
        wait_for("the shutdown", lambda: cancelled in log.read_text())
        assert "lifespan shut down" in log.read_text().partition(cancelled)[0]


def test_an_application_that_does_not_start_is_500_30():
    """Failed import and failed startup alike; the next request tries again."""
    config = asgi_config("asgi_fails:application")

    def prepare(home):
        place()(home)
        (home / "sites" / "app" / "asgi_fails.py").write_text(
            "async def application(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
        )

    with run_server(config, prepare) as running:
        running.allow("application_failed")
        answer = get(running.port())
        assert answer.status == 500
        assert b"500.30" in answer.body
        assert b"no database" in answer.body


def test_an_application_that_is_mended_starts_with_the_next_request():
    """Which the event loop has received itself: its start waits for a turn of that loop."""

    def prepare(home):
        place("asgi_text.py")(home)
        (home / "sites" / "app" / "asgi_mended.py").write_text("from asgi_text import not_there\n")

    with run_server(asgi_config("asgi_mended:application"), prepare) as running:
        running.allow("application_failed")
        for _ in range(3):
            answer = get(running.port())
            assert answer.status == 500
            assert "500.30" in answer.text
        (running.folder() / "asgi_mended.py").write_text("from asgi_text import application\n")
        assert [get(running.port()).status for _ in range(3)] == [200, 200, 200]


def test_a_traceback_as_the_reason_of_a_failed_start_is_not_its_first_line():
    """Starlette says all of one, and its last line is the error: on the page, and in the log."""
    config = asgi_config("asgi_fails:application")

    def prepare(home):
        place()(home)
        (home / "sites" / "app" / "asgi_fails.py").write_text(
            "text = 'Traceback (most recent call last):\\n  File x\\nOSError: no database\\n'\n"
            "async def application(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': text})\n"
        )

    with run_server(config, prepare) as running:
        running.allow("application_failed")
        page = get(running.port()).text
        assert "The application failed to start: OSError: no database" in page
        assert "File x" in page
        log = (running.home / "logs" / "pools" / "Pool.log").read_text()
        assert 'application_failed error="OSError: no database"' in log


def test_time_limit_cancels_the_task():
    """504 at the limit; the task is cancelled, which harms nobody: the worker goes on."""
    config = limited_config()
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("event_loop_blocked")
        port = running.port()
        assert get(port, "/").status == 200
        before = running.workers(count=1)
        assert get(port, "/sleep?30").status == 504
        wait_for("the cancellation", lambda: "cancelled" in seen(port))
        assert get(port, "/disobey?20").status == 504
        wait_for("a successor", lambda: running.workers(count=1) != before)
        assert get(port, "/").status == 200


@pytest.mark.parametrize("path", ["block", "block_child"])
def test_a_blocked_loop_is_a_hang(path):
    """The request that blocks gets 504, is interrupted, and the worker is replaced."""
    config = limited_config()
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("event_loop_blocked")
        port = running.port()
        assert get(port, "/").status == 200
        before = running.workers(count=1)
        with Wire(port) as wire, Wire(port) as other:
            wire.send_request(f"/{path}?60")
            wait_for("the request", (running.folder() / "data" / "blocking").exists)
            other.send_request("/")
            assert wire.read().status == 504
            assert other.read().status == 200  # it waited, unbegun, and was not harmed
        wait_for("a successor", lambda: running.workers(count=1) != before)
        assert get(port, "/").status == 200


@pytest.mark.parametrize("path", ["/stand_still?60", "/disobey?60"])
def test_a_stop_does_not_wait_for_what_was_answered_504(path):
    """Neither for a task that will not be cancelled nor for a loop that it blocks."""
    config = limited_config()
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("event_loop_blocked")
        assert get(running.port(), path).status == 504
        running.server.send(signal.SIGTERM)
        assert running.server.wait_exit(limit_s=30) == 0
        assert " worker_killed worker=1 " not in running.server.log_text()


def test_a_blocked_loop_holds_up_no_other_handler():
    """A file is sent while the loop is blocked, though the loop receives the requests."""
    static = '<add name="files" path="*.txt" verb="*" modules="StaticFileModule" '
    static += 'resourceType="File" requireAccess="Read" /><add name="app"'
    config = asgi_config("asgi_kinds:application").replace('<add name="app"', static)

    def prepare(home):
        place("asgi_kinds.py")(home)
        (home / "sites" / "app" / "page.txt").write_text("a page")

    with run_server(config, prepare) as running:
        port = running.port()
        assert get(port, "/").status == 200
        gate = running.folder() / "data" / "gate"
        with Wire(port) as wire:
            wire.send_request(f"/block_until?{gate}")
            wait_for("the request", lambda: f"/block_until?{gate}" in urls(running))
            for _ in range(2):
                assert get(port, "/page.txt").status == 200
            gate.touch()
            assert wire.read().text == "blocked"
        assert get(port, "/").status == 200


def limited_config():
    elements = {
        "failure": {"rapidFailProtection": "false"},
        # Enough for who is quick, on a machine that stands still for a second now and then.
        "requests": {"timeLimit": "00:00:02"},
    }
    return asgi_config("asgi_kinds:application", pool=Pool("Pool", {}, elements))


def test_a_killed_worker_costs_only_what_cannot_be_repeated():
    """A request that kills its worker is tried again, then is poison; others live on."""
    config = asgi_config("asgi_kinds:application")
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("request_poisoned", "request_quarantined", "worker_died")
        port = running.port()
        assert get(port, "/kill").status == 502
        assert get(port, "/").status == 200
        assert json.loads(get(port, "/show").body)["was"]["attempt"] == 1


def test_beside_modules_that_are_not_ours():
    """What is left of the pipeline then runs on request threads, and answers the same."""
    extra = (
        "<system.webServer><globalModules>"
        '<add name="Echo" image="{home}/sites/app/echo_module.py" />'
        '</globalModules><modules><add name="Echo" /></modules></system.webServer>'
    )
    config = asgi_config("asgi_kinds:application", extra=extra)
    with run_server(config, place("asgi_kinds.py", "echo_module.py")) as running:
        running.allow("application_error")
        port = running.port()
        assert get(port, "/").text == "Hello, world!"
        assert len(get(port, "/large").body) == 1 << 20
        assert get(port, "/raises").status == 500
        assert get(port, "/file?/etc/hostname").status == 200
        with many(port, 60) as wires:
            for wire in wires:
                wire.send_request("/together?60")
            assert {wire.read().text for wire in wires} == {"all here"}


ERRORS = """<httpErrors errorMode="Custom"><clear />
  <error statusCode="500" path="/error_page" responseMode="ExecuteURL" />
  <error statusCode="404" path="/error_page" responseMode="ExecuteURL" /></httpErrors>
<security><requestFiltering><fileExtensions><add fileExtension=".bak" allowed="false" />
</fileExtensions></requestFiltering></security>"""


@pytest.mark.parametrize("path", ["/fails", "/hello.bak"])
def test_error_pages_of_the_application_itself(path):
    """Where it has raised, and where it was not asked: nothing on the loop waits for the loop."""
    config = asgi_config("asgi_kinds:application", sections=ERRORS)
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("application_error")
        pages = [get(running.port(), path) for _ in range(3)]
        assert [(page.status, page.text) for page in pages] == [(200, "an error page")] * 3


@pytest.mark.parametrize("kind", ["rules", "globalRules"])
def test_who_answers_for_a_rewritten_url_does_not_block_the_loop(kind):
    """A URL of the application that rules send to somebody else: here to an error page of its."""
    rule = '<rule name="a"><match url="moved$" /><action type="Rewrite" url="/files/a" /></rule>'
    rules = f"<rewrite><{kind}>{rule}</{kind}></rewrite>"
    of_server = f"<system.webServer>{rules}</system.webServer>"
    location = f"""{of_server if kind == "globalRules" else ""}<location path="Site/files">
      <system.webServer><handlers><remove name="app" /></handlers>{ERRORS}</system.webServer>
    </location>"""
    sections = rules if kind == "rules" else ""
    config = asgi_config("asgi_kinds:application", sections=sections, extra=location)
    with run_server(config, place("asgi_kinds.py")) as running:
        pages = [get(running.port(), "/moved") for _ in range(3)]
        assert [(page.status, page.text) for page in pages] == [(200, "an error page")] * 3
