"""ISAPI extensions in Python: what pywin32's package promises them, in a real worker."""

import os

import pytest
from harness.server import wait_for
from support.isapi import ALLOW_ALL, SAMPLES, SOURCES, isapi_config, isapi_handler, place_files
from support.running import run_server
from support.wire import CutShortError, Wire, get

REGISTERED_ONLY = (
    '<system.webServer><security><isapiCgiRestriction><add path="{home}/SITES/app/luhn.py" '
    'allowed="true" /></isapiCgiRestriction></security></system.webServer>'
)


@pytest.fixture(scope="module")
def running():
    """One server for all tests of this file."""
    config = isapi_config(
        isapi_handler("*.face", "face.py"),
        isapi_handler("luhn", "luhn.py"),
        isapi_handler("pool/*", "_pooled.dll"),
        isapi_handler("broken", "broken.py"),
        isapi_handler("missing", "missing.py"),
        extra=ALLOW_ALL,
    )
    files = [SOURCES / name for name in ("face.py", "pooled.py", "_pooled.dll", "broken.py")]
    with run_server(config, place_files(SAMPLES / "luhn.py", *files)) as server:
        server.allow("module_failed", "application_error", "application_failed", "isapi_failed")
        get(server.port(), "/luhn")  # its worker has come
        yield server


def test_the_sample_answers(running):
    """The credit-card validator: GET with a query, POST with a body."""
    assert get(running.port(), "/luhn?number=4111-1111-1111-1111").text == "valid\n"
    assert get(running.port(), "/luhn?number=4111111111111112").text == "not valid\n"
    with Wire(running.port()) as wire:
        assert wire.request("/luhn", "POST", b"number=378282246310005").text == "valid\n"


def test_attributes_are_bytes_and_paths_those_of_a_script_map(running):
    """allowPathInfo is off: PATH_INFO is the whole path, PATH_TRANSLATED its file."""
    lines = dict(
        line.split(" ", 1) for line in get(running.port(), "/a/block.face?x=1").text.splitlines()
    )
    assert lines == {
        "Version": str(0x80000),
        "TotalBytes": "0",
        "AvailableBytes": "0",
        "HttpStatusCode": "200",
        "Method": "b'GET'",
        "QueryString": "b'x=1'",
        "PathInfo": "b'/a/block.face'",
        "PathTranslated": f"b'{running.folder()}/a/block.face'",
        "ContentType": "b''",
    }


def test_variables_known_unknown_and_in_both_text_forms(running):
    """Bytes, str for UNICODE_, error 1413 for a name that nothing stands for."""
    names = "SERVER_PROTOCOL&UNICODE_SERVER_PROTOCOL&HTTP_X_TEST&HEADER_X-Test&HTTP_X_NONE&foo bar"
    names += "&APP_POOL_CONFIG"
    with Wire(running.port()) as wire:
        target = "/variables.face?" + names.replace(" ", "%20")
        answer = wire.request(target, fields={"X-Test": "t"})
    [config] = running.home.glob("run/pools/*/applicationHost.config")
    assert answer.text.splitlines() == [
        "SERVER_PROTOCOL b'HTTP/1.1'",
        "UNICODE_SERVER_PROTOCOL 'HTTP/1.1'",
        "HTTP_X_TEST b't'",
        "HEADER_X-Test b't'",
        "HTTP_X_NONE 1413",
        "foo%20bar 1413",
        f"APP_POOL_CONFIG {os.fsencode(config)!r}",
    ]


@pytest.mark.parametrize("size", [0, 10, 49152, 49153, 300_000])
def test_a_body_is_preloaded_up_to_48_kib_and_the_rest_is_read(running, size):
    """uploadReadAheadSize bytes come with the call, ReadClient gives the rest and never those."""
    body = bytes(n % 251 for n in range(size))
    with Wire(running.port()) as wire:
        answer = wire.request("/echo.face", "POST", body)
    assert answer.body == body
    assert answer.field("x-preloaded") == str(min(size, 49152))


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/hello.face", 200, "hello\n"),
        ("/pending.face", 202, "from another thread"),
        ("/chunks.face", 200, "x" * 10000),
        ("/after.face", 200, "before"),
        ("/vector.face", 200, "one A Pythontwo A Python8 0 87"),
        ("/path.face?/x/../y", 200, None),
        ("/keep.face", 200, "0 True True"),
        ("/redirect.face", 302, None),
        ("/child.face?/luhn%3Fnumber=18", 404, None),
        ("/child.face?/luhn?number=18", 200, "valid\n"),
        ("/pool/answer", 200, "isapi-pool"),
    ],
)
def test_each_way_to_answer(running, path, status, text):
    """One answer each: at once, later, from a callback, after DoneWithSession, by a child."""
    answer = get(running.port(), path)
    assert answer.status == status
    if text is not None:
        assert answer.text == text


def test_a_file_is_transmitted_while_success_was_returned(running):
    """SUCCESS with an operation outstanding does not end the request: its callback does."""
    answer = get(running.port(), "/file.face")
    assert answer.body == (SOURCES / "face.py").read_bytes() + b"TAIL"


@pytest.mark.parametrize("name", ["raises", "wrong", "error"])
def test_failure_without_an_answer_is_500(running, name):
    """An exception, no HSE_STATUS_, HSE_STATUS_ERROR: 500, and the worker lives."""
    before = running.workers()
    assert get(running.port(), f"/{name}.face").status == 500
    assert running.workers() == before


def test_error_after_an_answer_ends_the_connection(running):
    """What was sent stands; the client is not kept."""
    answer = get(running.port(), "/error_with_page.face")
    assert (answer.status, answer.text, answer.will_close) == (200, "what went wrong", True)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("3&3&0", 200, "abc"),
        ("30&3&0", 500, None),
        ("3&30&0", 500, None),
        ("30&3&1", None, None),
        ("3&30&1", 200, "abc"),  # the second write failed, with what was promised sent
    ],
)
def test_a_wrong_content_length_costs_its_request_alone(running, query, status, text):
    """500 while that can be said, else the connection is cut; the worker lives."""
    before = running.workers()
    if status is None:
        with pytest.raises(CutShortError):
            get(running.port(), f"/lengths.face?{query}")
    else:
        answer = get(running.port(), f"/lengths.face?{query}")
        assert answer.status == status
        assert text is None or answer.text == text
    assert running.workers() == before


def test_dispatch_that_raises_is_answered_500(running):
    """The pool's thread lives on."""
    for _ in range(3):
        assert get(running.port(), "/pool/raise").status == 500
    assert get(running.port(), "/pool/answer").status == 200


def test_an_extension_that_does_not_load_is_one_clear_error(running):
    """500.0 that names the file and the reason; the log has the same."""
    answer = get(running.port(), "/broken")
    assert answer.status == 500
    assert "broken.py" in answer.text
    assert "no_such_module" in answer.text
    answer = get(running.port(), "/missing")
    assert answer.status == 500
    assert "missing.py: the file is not there" in answer.text


def test_a_failed_extension_is_tried_again_when_its_file_has_changed(running):
    """No restart for a typing mistake."""
    assert get(running.port(), "/broken").status == 500
    (running.folder() / "broken.py").write_text((SAMPLES / "luhn.py").read_text())
    assert get(running.port(), "/broken?number=18").text == "valid\n"


def test_what_is_not_listed_is_refused(start_server):
    """isapiCgiRestriction: 404.2 unless the path is listed, in any letter case."""
    config = isapi_config(
        isapi_handler("luhn", "luhn.py"), isapi_handler("*.face", "face.py"), extra=REGISTERED_ONLY
    )
    running = start_server(config, place_files(SAMPLES / "luhn.py", SOURCES / "face.py"))
    assert get(running.port(), "/luhn?number=18").status == 200
    answer = get(running.port(), "/hello.face")
    assert answer.status == 404
    assert "404.2" in answer.text


def test_report_unhealthy_has_the_worker_replaced(start_server):
    """The request is answered, then another worker serves."""
    running = start_server(
        isapi_config(isapi_handler("*.face", "face.py")), place_files(SOURCES / "face.py")
    )
    assert get(running.port(), "/hello.face").status == 200
    before = running.workers(count=1)
    assert get(running.port(), "/unhealthy.face").status == 200
    wait_for("another worker", lambda: (now := running.workers()) and now != before)
    assert get(running.port(), "/hello.face").status == 200
