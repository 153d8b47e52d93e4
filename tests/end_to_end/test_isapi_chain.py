"""A filter, then a wildcard extension, then the extension that answers: each does its part."""

import pytest
from harness.server import wait_for
from support.isapi import ALLOW_ALL, FILTERS, SOURCES, isapi_config, isapi_handler, place_files
from support.running import run_server
from support.wire import Wire

FILTER = (
    '<system.webServer><isapiFilters><filter name="aspx" '
    'path="{home}/sites/app/aspx_from_asp.py" /></isapiFilters></system.webServer>'
)


@pytest.fixture(scope="module")
def running():
    """.aspx is .asp by the filter, all requests go through the gate, .asp is the compiled one."""
    config = isapi_config(
        isapi_handler("*", "gate.py", 'requireAccess="None"'),
        isapi_handler("*.asp", "probe.so"),
        extra=ALLOW_ALL + FILTER,
    )
    place = place_files(
        FILTERS / "aspx_from_asp.py", SOURCES / "gate.py", compiled=(SOURCES / "probe.c",)
    )
    with run_server(config, place) as server:
        yield server


def ask(running, how: str, body: bytes | None = None):
    """One request by way of the gate: what the answer is, and what the last extension was told."""
    with Wire(running.port()) as wire:
        method = "GET" if body is None else "POST"
        answer = wire.request("/page.aspx?block=1", method, body, {"X-How": how})
    lines = (line.partition(" ") for line in answer.text.splitlines())
    return answer, {name: value for name, _, value in lines}


def test_a_request_goes_through_all_three(running):
    """The URL is the filter's, the body goes on unread, the log has one line for all."""
    answer, told = ask(running, "through", b"x" * 60_000)
    assert (answer.status, answer.field("x-c")) == (200, "yes")
    assert (told["method"], told["query"], told["info"]) == ("POST", "block=1", "/page.asp")
    assert (told["total"], told["available"]) == ("60000", "49152")

    def lines() -> list[str]:
        logs = (running.home / "logs").rglob("u_ex*.log")
        return [line for log in logs for line in log.read_text().splitlines() if " POST " in line]

    wait_for("the line", lines)
    (line,) = lines()
    assert "/page.asp block=1&logged=yes" in line
    assert " 200 0 0 " in line


def test_the_gate_may_answer_itself(running):
    """Nothing after it is asked."""
    answer, _ = ask(running, "refuse")
    assert (answer.status, answer.text) == (403, "refused")


def test_method_and_fields_may_be_others(running):
    """Those of the client are not seen by who answers."""
    _, told = ask(running, "replace")
    assert told["method"] == "PATCH"


def test_another_url_may_answer(running):
    """Of the same site; its own handler is found, the gate is not asked again."""
    _, told = ask(running, "elsewhere")
    assert (told["info"], told["query"]) == ("/other.asp", "block=2")


def test_only_the_body_may_be_wanted(running):
    """NO_HEADERS: status and fields are the gate's."""
    answer, told = ask(running, "body only")
    assert (answer.status, answer.field("x-gate"), answer.field("x-c")) == (202, "mine", "")
    assert told["info"] == "/page.asp"
