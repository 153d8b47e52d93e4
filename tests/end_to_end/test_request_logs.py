"""W3C request logs and the HTTPERR log."""

import pytest
from harness.server import wait_for
from support.files import whole_lines
from support.running import place, run_server, simple_config
from support.wire import Wire, get


@pytest.fixture(scope="module")
def site():
    with run_server(simple_config("probe:application"), place("probe.py")) as running:
        yield running


def _w3c(running) -> list[dict[str, str]]:
    """The request log's lines by field name."""
    rows, names = [], []
    for file in sorted((running.home / "logs" / "W3SVC1").glob("u_ex*.log")):
        for line in whole_lines(file):
            if line.startswith("#Fields:"):
                names = line.split()[1:]
            elif not line.startswith("#"):
                words = line.split(" ")
                assert len(words) == len(names), line
                rows.append(dict(zip(names, words, strict=True)))
    return rows


def _row(running, stem: str) -> dict[str, str]:
    return wait_for(
        f"a line for {stem}",
        lambda: next((r for r in _w3c(running) if r["cs-uri-stem"] == stem), None),
    )


def test_each_request_is_a_line_with_iis_fields(site):
    """A request's line has its time, addresses, target, agent, referrer, status and time taken."""
    get(site.port(), "/a/b?x=1", User_Agent="test agent", Referer="http://from/here")
    row = _row(site, "/a/b")
    assert row["cs-method"] == "GET"
    assert row["cs-uri-query"] == "x=1"
    assert row["s-port"] == str(site.port())
    assert (row["c-ip"], row["s-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert row["cs(User-Agent)"] == "test+agent"
    assert row["cs(Referer)"] == "http://from/here"
    assert (row["sc-status"], row["sc-substatus"], row["sc-win32-status"]) == ("200", "0", "0")
    assert 0 <= int(row["time-taken"]) < 60_000


def test_the_file_begins_with_directives(site):
    """A log file begins with #Software, #Version, #Date and #Fields, in this order."""
    get(site.port(), "/begin")
    _row(site, "/begin")
    file = next((site.home / "logs" / "W3SVC1").glob("u_ex*.log"))
    heads = [line.split(":")[0] for line in file.read_text().splitlines()[:4]]
    assert heads == ["#Software", "#Version", "#Date", "#Fields"]


def test_time_taken_is_the_requests_time(site):
    """time-taken is in milliseconds from the request's arrival to the end of its response."""
    get(site.port(), "/sleep?ms=120")
    assert 115 <= int(_row(site, "/sleep")["time-taken"]) < 60_000


def test_nothing_in_a_request_can_forge_a_line(site):
    """Line ends and spaces in what the client sent do not break a line."""
    get(site.port(), "/forge%0a2026-01-01%20forged?a%0d%0ab", User_Agent="a\tb c")
    with Wire(site.port()) as wire:
        assert wire.request("/after").status == 200
    _row(site, "/after")  # every line before it has the right number of fields


def test_refused_requests_are_in_httperr(site):
    """A request that reached no site is in HTTPERR with its reason, and not in the site's log."""
    with Wire(site.port()) as wire:
        wire.send(b"GET /refused HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert wire.read().status == 400
    folder = site.home / "logs" / "HTTPERR"
    line = wait_for(
        "a line in HTTPERR",
        lambda: [
            line
            for file in folder.glob("httperr*.log")
            for line in whole_lines(file)
            if " 400 " in line and not line.startswith("#")
        ],
    )[-1]
    assert "127.0.0.1" in line
    assert all(row["cs-uri-stem"] != "/refused" for row in _w3c(site))
