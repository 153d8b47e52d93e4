"""ISAPI filters, in Python and compiled: every event, in order, and what can be done at it."""

from pathlib import Path

import pytest
from harness.server import wait_for
from support.event_log import dossier_of, wait_event
from support.isapi import SOURCES, isapi_config, place_files
from support.running import APPS, Running, asgi_config, run_server, simple_config
from support.wire import CutShortError, Wire, get


def filters(*files: str) -> str:
    """isapiFilters of the whole server, in this order."""
    entries = "".join(
        f'<filter name="{file}" path="{{home}}/sites/app/{file}" />' for file in files
    )
    return f"<system.webServer><isapiFilters>{entries}</isapiFilters></system.webServer>"


def prepare(*files: Path, compiled: tuple[Path, ...] = ()):
    """These files, and two to be served."""

    def place(home: Path) -> None:
        place_files(*files, compiled=compiled)(home)
        (home / "sites" / "app" / "plain.txt").write_text("plain")
        (home / "sites" / "app" / "other.txt").write_text("other")
        (home / "sites" / "app" / "ä.txt").write_text("umlaut")
        (home / "sites" / "app" / "\N{EURO SIGN}.txt").write_text("euro")
        (home / "sites" / "app" / "page.asp.txt").write_text("asp")

    return place


def pool_log(running: Running) -> str:
    """What the pool's programs have printed."""
    return (running.home / "logs" / "pools" / "Pool.log").read_text()


def request_log(running: Running) -> str:
    """The lines of the request log so far."""
    return "".join(log.read_text() for log in (running.home / "logs").rglob("u_ex*.log"))


@pytest.fixture(scope="module")
def running():
    """A server with two filters in Python, and one that is refused."""
    config = isapi_config(extra=filters("second.py", "reader.py", "tasks.py"))
    sources = [SOURCES / name for name in ("tasks.py", "second.py", "reader.py")]
    with run_server(config, prepare(*sources)) as server:
        server.allow("isapi_failed", "application_error")
        yield server


def test_events_come_in_iis_order_and_by_priority(running):
    """HIGH before LOW, whatever the list says; SEND_RAW_DATA the other way round; LOG last."""
    assert get(running.port(), "/plain.txt?order").text == "plain"
    # The answer leaves before LOG is raised.
    wait_for("the last event", lambda: "tasks LOG order" in pool_log(running))
    text = pool_log(running)
    lines = [line.removesuffix(" order") for line in text.splitlines() if line.endswith(" order")]
    once = list(dict.fromkeys(lines))
    assert once == [
        "tasks PREPROC_HEADERS",
        "second PREPROC_HEADERS",
        "tasks URL_MAP",
        "tasks AUTHENTICATION",
        "tasks AUTH_COMPLETE",
        "tasks SEND_RESPONSE",
        "second SEND_RAW_DATA",
        "tasks SEND_RAW_DATA",
        "tasks END_OF_REQUEST",
        "tasks LOG",
    ]
    for name in ("PREPROC_HEADERS", "SEND_RESPONSE", "END_OF_REQUEST", "LOG"):
        assert lines.count(f"tasks {name}") == 1
    # The head and one block.
    assert lines.count("tasks SEND_RAW_DATA") == 2


def test_a_filter_that_wants_raw_data_of_the_request_is_refused(running):
    """As since IIS 6; the other filters work, and the log says so."""
    get(running.port(), "/plain.txt")
    assert "SF_NOTIFY_READ_RAW_DATA is not to be had" in pool_log(running)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("url", 200, "other"),  # the URL is another one
        ("utf8", 200, "umlaut"),  # as bytes
        ("utf8+text", 200, "euro"),
        ("verb", 405, None),  # another method, which files have not
        ("settled", 200, "other"),  # the same once the user is known: that comes once
        ("map", 200, "other"),  # the file is another one
        ("own", 299, "a page of the filter's"),
        ("whole", 200, "nothing but text"),
        ("nowhere", 299, "no file is meant"),
        ("fail", 500, None),
        ("no+file", 500, None),
        ("raise", 500, None),
        ("withhold", 500, None),  # what was to leave does not
        ("upper", 200, "PLAIN!"),  # the body is changed, and its length
        ("tail", 200, "plaintail"),
        ("raw", 203, "plain"),  # the head is changed as bytes
        ("gone", 404, "plain"),  # the status, and not what is said with it
        ("lost", 404, "plain"),  # the same as bytes
    ],
)
def test_tasks_of_a_filter(running, query, status, text):
    """What a filter does at an event is what the client sees, with the right length."""
    with Wire(running.port()) as wire:
        answer = wire.request(f"/plain.txt?{query}")
        assert answer.status == status
        if text is not None:
            assert answer.text == text
            assert answer.field("content-length") == str(len(text))
        assert text is not None or "plain" not in answer.text.partition("Requested URL")[0]
        # The connection is as it was.
        assert wire.request("/plain.txt").text == "plain"


def test_a_filter_may_deny_access(running, compiled):
    """SF_STATUS_REQ_ERROR with ERROR_ACCESS_DENIED as the last error: 401.4, of both kinds."""
    answer = get(compiled.port(), "/plain.txt?deny")
    assert (answer.status, "401.4" in answer.text) == (401, True)
    # This one hears of the denial too: SF_DENIED_FILTER.
    answer = get(running.port(), "/plain.txt?deny&page")
    assert (answer.status, answer.text) == (401, "reason 4")


def test_a_filter_hears_of_the_file_whatever_the_handler(start_server):
    """URL_MAP is raised where no handler asks for a file, and can end the request there too."""
    config = simple_config("hello:application", extra=filters("tasks.py"))
    running = start_server(config, place_files(APPS / "hello.py", SOURCES / "tasks.py"))
    assert get(running.port(), "/").text == "hello\n"
    assert get(running.port(), "/?nowhere").text == "no file is meant"
    assert get(running.port(), "/?no+file").status == 500


@pytest.mark.parametrize(
    ("query", "status"), [("&replace", 298), ("&spoil", 500), ("&withhold", 500)]
)
def test_what_takes_the_place_of_a_stream_is_all_of_the_answer(streaming, query, status):
    """A handler that goes on adds nothing to what a filter has sent at SEND_RESPONSE."""
    with Wire(streaming.port()) as wire:
        answer = wire.request(f"/large?{query}")
        assert (answer.status, b"xxx" in answer.body) == (status, False)
        assert wire.request("/").text == "Hello, world!"


def test_a_filter_that_fails_within_a_stream_ends_it(streaming):
    """What it was shown does not leave, nor what comes after it: the client sees a cut."""
    with Wire(streaming.port()) as wire:
        wire.send_request("/large?&withhold+some")
        with pytest.raises(CutShortError) as raised:
            wire.read()
        assert raised.value.response.received == 65536


@pytest.fixture(scope="module")
def streaming():
    """A filter before an ASGI application."""
    config = asgi_config("asgi_kinds:application", extra=filters("tasks.py"))
    with run_server(config, place_files(APPS / "asgi_kinds.py", SOURCES / "tasks.py")) as server:
        yield server


def test_a_304_says_nothing_of_a_length(running):
    """What it stands for has one, and that is not 0."""
    with Wire(running.port()) as wire:
        tag = wire.request("/plain.txt").field("etag")
        answer = wire.request("/plain.txt", fields={"If-None-Match": tag})
    assert (answer.status, answer.field("content-length")) == (304, "")


def test_a_field_that_cannot_be_sent_is_refused(running):
    """87 for the filter, which goes on; the response is as it was."""
    answer = get(running.port(), "/plain.txt?bad+field")
    assert (answer.text, answer.all("x-refused")) == ("plain", ["87", "87"])


def test_response_fields_are_read_set_and_removed(running):
    """SEND_RESPONSE with its special name `status`."""
    answer = get(running.port(), "/plain.txt?head")
    assert answer.field("x-status") == "200 OK"
    assert answer.field("last-modified") == ""


def test_a_connection_has_its_own_filter_context(running):
    """Counted for each connection, from one request to the next."""
    for _ in range(2):
        with Wire(running.port()) as wire:
            counts = [wire.request("/plain.txt?count").field("x-count") for _ in range(3)]
        assert counts == ["1", "2", "3"]


def test_what_a_filter_changes_at_log_is_what_is_logged(running):
    """Target and user."""
    get(running.port(), "/plain.txt?log")
    wait_for("the line", lambda: "/as/logged" in request_log(running))
    line = next(line for line in request_log(running).splitlines() if "/as/logged" in line)
    assert "somebody" in line


def test_authentication_can_be_mapped_and_denial_has_a_page(start_server):
    """Anonymous becomes a user of the server's; a 401 has the filter's page and reason."""
    section = (
        "<security><authentication><anonymousAuthentication enabled='false' />"
        "<basicAuthentication enabled='true' /></authentication></security>"
    )
    extra = filters("tasks.py").replace("<isapiFilters>", section + "<isapiFilters>")
    running = start_server(isapi_config(extra=extra), prepare(SOURCES / "tasks.py"))
    answer = get(running.port(), "/plain.txt?page")
    assert (answer.status, answer.text) == (401, f"reason {0x10001}")
    # The name that the filter gives is checked as if the client had sent it.
    answer = get(running.port(), "/plain.txt?login")
    assert answer.status == 401
    assert "401.1" in answer.text


@pytest.fixture(scope="module")
def compiled():
    """A server with the compiled filter."""
    config = isapi_config(extra=filters("filter.so"))
    with run_server(config, prepare(compiled=(SOURCES / "filter.c",))) as server:
        yield server


def test_a_compiled_filter(compiled):
    """The same events by their structures: headers, errors, memory, paths, an own answer."""
    with Wire(compiled.port()) as wire:
        first = wire.request("/plain.txt?errors")
        assert (first.field("x-errors"), first.field("x-count")) == ("0 122 1413 87", "1")
        second = wire.request("/plain.txt?twice")
        assert (second.text, second.field("x-count")) == ("plainplain", "2")
        assert second.field("x-status") == "200"
        assert wire.request("/plain.txt?map").text == "other"
        assert wire.request("/plain.txt?move").text == "other"
        answer = wire.request("/plain.txt?own")
        assert (answer.status, answer.text) == (299, "mine")
        assert wire.request("/nothing").field("x-status") == "404"
        wire.request("/plain.txt?log")
    wait_for("the line", lambda: "logged-by-c" in request_log(compiled))


def test_the_end_of_a_connection_is_told_when_it_ends(start_server):
    """END_OF_NET_SESSION for each connection, once, when its client has closed it."""
    running = start_server(
        isapi_config(extra=filters("filter.so")), prepare(compiled=(SOURCES / "filter.c",))
    )
    wires = [Wire(running.port()) for _ in range(3)]
    for wire in wires:
        for _ in range(2):
            assert wire.request("/plain.txt").status == 200
    for wire in wires:
        wire.socket.close()
    wait_for("the events", lambda: pool_log(running).count("filter: end of session") == 3)
    assert running.server.stop() == 0
    assert pool_log(running).count("filter: end of session") == 3


def test_the_end_of_the_worker_is_told(start_server):
    """END_OF_NET_SESSION for connections that there are still, then TerminateFilter."""
    running = start_server(
        isapi_config(extra=filters("filter.so")), prepare(compiled=(SOURCES / "filter.c",))
    )
    with Wire(running.port()) as wire:
        wire.request("/plain.txt")
        wire.request("/plain.txt")
        assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
        wait_for("the old worker's end", lambda: "TerminateFilter" in pool_log(running))
    text = pool_log(running)
    assert text.count("filter: end of session") == 1
    assert text.index("filter: end of session") < text.index("filter: TerminateFilter 0")


def test_a_filter_that_cannot_be_loaded_leaves_no_request_without_it(start_server):
    """500 with the file and the reason."""
    running = start_server(isapi_config(extra=filters("none.so")), prepare())
    running.allow("isapi_failed")
    answer = get(running.port(), "/plain.txt")
    assert answer.status == 500
    assert "none.so: the file is not there" in answer.text


def test_a_filter_that_crashes_is_named(start_server):
    """502 for the request; the dossier has the file and the entry point."""
    running = start_server(
        isapi_config(extra=filters("filter.so")), prepare(compiled=(SOURCES / "filter.c",))
    )
    with Wire(running.port()) as wire:
        assert wire.request("/plain.txt?crash", "POST", b"").status == 502
    (request,) = dossier_of(wait_event(running, 5009))["requests"]
    assert request["library"].startswith("HttpFilterProc ")
    assert request["library"].endswith("/filter.so")
    assert get(running.port(), "/plain.txt").text == "plain"


def test_filters_of_the_server_come_before_those_of_a_site(start_server):
    """Whatever their priorities: a LOW one of the server before a HIGH one of the site."""
    config = isapi_config(extra=filters("second.py"))
    of_site = (
        '<isapiFilters><filter name="tasks" path="{home}/sites/app/tasks.py" /></isapiFilters>'
    )
    config = config.replace(
        "</configuration>",
        f'<location path="Site"><system.webServer>{of_site}</system.webServer></location>'
        "</configuration>",
    )
    running = start_server(config, prepare(SOURCES / "tasks.py", SOURCES / "second.py"))
    assert get(running.port(), "/plain.txt?order").text == "plain"
    wait_for("the end", lambda: "tasks LOG order" in pool_log(running))
    heads = [line for line in pool_log(running).splitlines() if "PREPROC_HEADERS order" in line]
    assert heads == ["second PREPROC_HEADERS order", "tasks PREPROC_HEADERS order"]
