"""CGI/1.1 (RFC 3875) as CgiModule hosts it: three languages, errors, ends."""

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, place_application
from harness.meter import is_alive
from harness.server import wait_for
from support.running import APPS, run_server
from support.wire import CutShortError, Wire, get, post

HANDLERS = (
    '<add name="cgi" path="*.cgi,count" verb="*" modules="CgiModule" resourceType="File" '
    'allowPathInfo="true" />',
    '<add name="cat" path="*.txt" verb="*" modules="CgiModule" resourceType="File" '
    'scriptProcessor="/bin/sh|-c &quot;echo Content-Type: text/plain; echo; cat %s&quot;" />',
    '<add name="words" path="*.words" verb="*" modules="CgiModule" '
    'scriptProcessor="/usr/bin/perl -e &quot;print qq(Content-Type: text/plain\\n\\n@ARGV)&quot; '
    '%s %s" />',
    '<add name="refused" path="/refused" verb="*" modules="CgiModule" '
    'scriptProcessor="/bin/true" />',
    '<add name="missing" path="/missing" verb="*" modules="CgiModule" '
    'scriptProcessor="/usr/bin/no-such-program" />',
    '<add name="closed" path="/closed" verb="*" modules="CgiModule" scriptProcessor="/bin/true" '
    'requireAccess="Execute" />',
    '<add name="brief" path="/brief/*" verb="*" modules="CgiModule" '
    'scriptProcessor="/bin/sleep 1000" />',
)
RESTRICTION = """
  <system.webServer>
    <security>
      <isapiCgiRestriction notListedCgisAllowed="true">
        <add path="/bin/TRUE" allowed="false" />
      </isapiCgiRestriction>
    </security>
  </system.webServer>
  <location path="Site/brief">
    <system.webServer><cgi timeout="00:00:01" /></system.webServer>
  </location>
"""


def _config(handlers=HANDLERS, extra=RESTRICTION):
    pool = Pool(
        "Pool",
        {},
        {"failure": {"rapidFailProtection": "false"}},
        '<environmentVariables><add name="COLOUR" value="blue" /></environmentVariables>',
    )
    site = Site("Site", (Application("/", Path("{home}") / "sites" / "app", "Pool", handlers),))
    return application_host_config([pool], [site], extra)


def _place(home: Path) -> None:
    folder = place_application(home / "sites" / "app")
    for file in (APPS / "cgi_bin").iterdir():
        shutil.copy(file, folder / file.name)
    (folder / "script.words").touch()
    (folder / "from-windows.cgi").write_bytes(b"#!/bin/sh\r\necho\r\n")
    (folder / "from-windows.cgi").chmod(0o755)
    subprocess.run(["gcc", "-o", folder / "count", folder / "count.c"], check=True)


@pytest.fixture(scope="module")
def cgi():
    with run_server(_config(), _place) as running:
        yield running


def _zombies(pid: int) -> list[int]:
    """Ended children of a process and of its children that nobody has waited for."""
    out = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in out.stdout.splitlines()]
    family = {str(pid)} | {p for p, parent, _ in rows if parent == str(pid)}
    return [int(p) for p, parent, state in rows if parent in family and state.startswith("Z")]


def test_the_environment_is_what_rfc_3875_and_iis_define(cgi):
    """Meta-variables of 4.1, IIS's own, the pool's; nothing of the server's own processes."""
    port = cgi.port()
    told = get(port, "/tell.cgi/more%20path?a=1&b=%20", X_Thing="v", Proxy="evil").json()
    seen = told["environment"]
    root = str(cgi.folder())
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/tell.cgi",
        "PATH_INFO": "/more path",
        "PATH_TRANSLATED": f"{root}/more path",
        "QUERY_STRING": "a=1&b=%20",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "HTTP_X_THING": "v",
        "SCRIPT_FILENAME": f"{root}/tell.cgi",
        "HTTPS": "off",
        "INSTANCE_ID": "1",
        "APP_POOL_ID": "Pool",
        "COLOUR": "blue",
        "REQUEST_URI": "/tell.cgi/more%20path?a=1&b=%20",
    }
    assert {name: seen.get(name) for name in expected} == expected
    # No body, no such field; HTTP_PROXY would send a program's own requests elsewhere.
    for name in ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_PROXY", "AUTH_TYPE"):
        assert name not in seen, name
    assert told["folder"] == root
    assert told["arguments"] == []
    assert told["descriptors"] == [0, 1, 2]
    assert told["session"]


def test_a_query_without_equals_sign_becomes_arguments(cgi):
    """RFC 3875, 4.4: the words of an indexed query are the command line's."""
    assert get(cgi.port(), "/tell.cgi?one+two%20x").json()["arguments"] == ["one", "two x"]
    assert get(cgi.port(), "/tell.cgi?one=two").json()["arguments"] == []
    # A command line has the words where its second %s is.
    assert get(cgi.port(), "/script.words?a+b").text == f"{cgi.folder()}/script.words a b"


def test_three_languages_read_what_is_posted(cgi):
    """Python, Perl and C read a body from standard input, to its end or by its length."""
    body = os.urandom(300_000)
    assert post(cgi.port(), "/tell.cgi", body).json()["input"] == len(body)
    assert post(cgi.port(), "/count", body).text == "300000"
    answer = post(cgi.port(), "/form.cgi", b"name=ada", "application/x-www-form-urlencoded")
    assert (answer.status, answer.text) == (201, "NAME=ADA")
    assert answer.all("set-cookie") == ["a=1", "b=2"]


def test_a_body_in_chunks_has_a_length_by_then(cgi):
    """A chunked body is complete before the program starts: CONTENT_LENGTH says how long."""
    with Wire(cgi.port()) as wire:
        wire.send(b"POST /tell.cgi HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send(b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n")
        told = wire.read().json()
    assert told["input"] == 7
    assert told["environment"]["CONTENT_LENGTH"] == "7"


def test_a_program_need_not_read_its_input(cgi):
    """A body that nobody reads is dropped, and a long answer comes as a whole meanwhile."""
    answer = post(cgi.port(), "/big.cgi", b"x" * 5_000_000)
    assert answer.status == 200
    assert len(answer.body) == 8388608


def test_output_is_sent_as_it_comes(cgi):
    """What a program has written is sent though the program goes on."""
    with Wire(cgi.port()) as wire:
        wire.send_request("/stream.cgi?go")
        assert b"first\n" in wire.read_until(b"first\n")
        (cgi.folder() / "data" / "go").touch()
        assert b"second\n" in wire.read_until(b"second\n")


def test_the_end_of_the_output_is_the_end_of_the_answer(cgi):
    """Also where the program goes on working: it holds neither the client nor the thread."""
    with Wire(cgi.port()) as wire:
        pid = int(wire.request("/goes-on.cgi").text)
        assert is_alive(pid)
        assert wire.request("/script.txt").status == 200
        assert is_alive(pid)


def test_a_short_answer_has_a_length(cgi):
    """A program that ends at once is answered in one piece, with Content-Length.

    On a busy machine its end may be long after its output: then nothing is held back for it.
    """
    target = "/says.cgi?Content-Type:%20text/plain%0A%0Aok"
    answers = (get(cgi.port(), target) for _ in range(50))
    assert any(answer.field("content-length") == "2" for answer in answers)


@pytest.mark.parametrize(
    ("said", "status", "location"),
    [
        ("Location:%20http://elsewhere/x%0A%0A", 302, "http://elsewhere/x"),
        ("Status:%20301%20Gone%20away%0ALocation:%20/y%0A%0A", 301, "/y"),
        ("Status:%20204%0A%0A", 204, ""),
        ("HTTP/1.0%20203%20Hm%0AX:%20y%0A%0A", 203, ""),
    ],
)
def test_headers_are_parsed(cgi, said, status, location):
    """Status and Location as RFC 3875, 6.3 has them; a status line begins a raw response."""
    answer = get(cgi.port(), f"/says.cgi?{said}")
    assert (answer.status, answer.field("location")) == (status, location)


def test_a_path_in_location_is_answered_by_this_server(cgi):
    """RFC 3875, 6.2.2: a local redirect is a new request by GET, which the client never sees."""
    answer = get(cgi.port(), "/says.cgi?Location:%20/tell.cgi%3Fq=1%0A%0A")
    assert answer.status == 200
    assert answer.json()["environment"]["QUERY_STRING"] == "q=1"
    answer = get(cgi.port(), "/says.cgi?Location:%20/../../tell.cgi/p%3Fq=1%0A%0Abody")
    assert answer.json()["environment"]["PATH_INFO"] == "/p"


def test_a_raw_response_is_taken_as_it_is(cgi):
    """NPH: status line, reason and fields are the program's; the connection stays the server's."""
    with Wire(cgi.port()) as wire:
        answer = wire.request("/nph-raw.cgi")
        assert (answer.status, answer.text, answer.field("x-raw")) == (418, "teapot", "yes")
        assert wire.request("/nph-raw.cgi").status == 418


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/says.cgi?nonsense", 502, "nonsense"),
        ("/says.cgi?", 502, "502.2"),
        ("/says.cgi?X:%20y%0A%0Abody", 502, "502.2"),
        ("/says.cgi?Status:%20abc%0A%0A", 502, "502.2"),
        ("/says.cgi?fail", 502, "502.2"),
        ("/says.cgi?Content-Type:%20a/b%0AContent-Length:%209%0A%0Ax", 502, "502.2"),
        ("/unmarked.cgi", 500, "0x800700c1"),
        ("/from-windows.cgi", 500, "is not there (a line end of Windows"),
        ("/missing", 500, "0x80070002"),
        ("/nothing.cgi", 404, "404.0"),
        ("/refused", 404, "404.2"),
        ("/closed", 403, "403.1"),
        ("/brief/x", 502, "502.1"),
    ],
)
def test_what_is_wrong_has_iis_status(cgi, target, status, text):
    """502.1 too long, 502.2 no head (with what was written), 404.2 and 403.1 not allowed."""
    answer = get(cgi.port(), target)
    assert (answer.status, text in answer.text) == (status, True), answer.text


@pytest.mark.parametrize(("body", "text"), [("mine", "mine"), ("", "404.0")])
def test_an_error_page_of_its_own_is_kept(cgi, body, text):
    """existingResponse="Auto": what a program says with an error; the server's page for nothing."""
    answer = get(cgi.port(), f"/says.cgi?Status:%20404%20No%0AContent-Type:%20a/b%0A%0A{body}")
    assert (answer.status, text in answer.text) == (404, True)
    assert (answer.text == body) == bool(body)


def test_half_an_answer_of_a_killed_program_is_none(cgi):
    """502.2, or the connection is cut; what has its Content-Length is an answer all the same."""
    with contextlib.suppress(CutShortError):  # what was held back has been sent meanwhile
        answer = get(cgi.port(), "/killed.cgi")
        assert (answer.status, "502.2" in answer.text) == (502, True), answer.text
    gate = cgi.folder() / "data" / "killed"
    with Wire(cgi.port()) as wire:
        wire.send_request(f"/killed.cgi?{gate}")
        begun = wire.read_until(b"begun")
        gate.touch()
        text = begun + wire.read_until(b"0\r\n\r\n")
        assert b"begun" in text
        assert b"0\r\n\r\n" not in text
    answer = get(cgi.port(), "/killed.cgi?whole")
    assert (answer.status, answer.text) == (200, "begun")


def test_a_script_that_may_not_be_executed_is_refused(cgi):
    """403.1 for a file without the right to execute it."""
    (cgi.folder() / "plain.cgi").write_text("#!/bin/sh\n")
    assert "403.1" in get(cgi.port(), "/plain.cgi").text


def test_an_interpreter_is_given_the_script(cgi):
    """`program|arguments` with %s: the file of the URL."""
    assert get(cgi.port(), "/script.txt").text.startswith("read by the interpreter")


def test_standard_error_is_the_pools_log(cgi):
    """What a program complains is in logs/pools."""
    get(cgi.port(), "/says.cgi?grumble")
    log = cgi.home / "logs" / "pools" / "Pool.log"
    wait_for("the complaint", lambda: "complaint of says.cgi" in log.read_text())


def test_a_disconnect_ends_the_program_and_what_it_started(cgi):
    """The process group is killed when the client goes, and is waited for."""
    with Wire(cgi.port()) as wire:
        wire.send_request("/lingers.cgi")
        _, _, rest = wire.read_until(b" ").partition(b"\r\n\r\n")
        while rest.count(b"\n") < 2:  # chunk size, then the line
            rest += wire.read_some()
        pids = [int(word) for word in rest.split(b"\n")[1].split()]
        assert all(map(is_alive, pids))
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for("the end of both", lambda: not any(map(is_alive, pids)))
    (worker,) = cgi.workers()
    wait_for("nothing to wait for", lambda: not _zombies(worker))


def test_a_disconnect_is_noticed_while_the_program_says_nothing(cgi):
    """The request's thread waits for the client too."""
    file = cgi.folder() / "data" / "silent"
    with Wire(cgi.port()) as wire:
        wire.send_request("/silent.cgi?silent")
        wait_for("the pids", lambda: file.exists() and len(file.read_text().split()) == 2)
        pids = [int(word) for word in file.read_text().split()]
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for("the end of both", lambda: not any(map(is_alive, pids)))


def test_programs_end_with_their_worker():
    """A killed worker leaves nothing: programs that run, nor what earlier ones left behind."""
    with run_server(_config(), _place) as running:
        port = running.port()
        daemon = int(get(port, "/background.cgi").text)
        assert is_alive(daemon)
        file = running.folder() / "data" / "pids"
        with Wire(port) as wire:
            wire.send_request("/silent.cgi?pids", "POST", b"")
            wait_for("the pids", lambda: file.exists() and len(file.read_text().split()) == 2)
            pids = [daemon, *map(int, file.read_text().split())]
            (worker,) = running.workers()
            os.kill(worker, 9)
            assert wire.read().status == 502
        wait_for("the end of all", lambda: not any(map(is_alive, pids)))


def test_a_killed_keeper_takes_its_programs_along_and_is_replaced():
    """The request is answered 502.2, and the next one finds another keeper."""
    with run_server(_config(), _place) as running:
        port = running.port()
        (worker,) = running.workers(count=1) if get(port, "/tell.cgi").status == 200 else (0,)
        keeper = int(
            subprocess.run(
                ["pgrep", "-P", str(worker)], capture_output=True, text=True, check=True
            ).stdout.split()[0]
        )
        file = running.folder() / "data" / "pids"
        with Wire(port) as wire:
            wire.send_request("/silent.cgi?pids")
            wait_for("the pids", lambda: file.exists() and len(file.read_text().split()) == 2)
            os.kill(keeper, 9)
            assert wire.read().status == 502
        first = int(file.read_text().split()[0])
        wait_for("the end of the program", lambda: not is_alive(first))
        os.kill(int(file.read_text().split()[1]), 9)  # nobody is left to know of it
        assert get(port, "/tell.cgi").status == 200
        wait_for("nothing to wait for", lambda: not _zombies(worker))


def test_a_partly_sent_answer_is_cut_when_the_program_takes_too_long():
    """A time-out after the first byte: the connection is cut, as it is for a dead worker."""
    extra = '<system.webServer><cgi timeout="00:00:03" /></system.webServer>'
    with run_server(_config(extra=extra), _place) as running:
        assert get(running.port(), "/tell.cgi").status == 200  # what starts programs is there
        with Wire(running.port()) as wire, pytest.raises(CutShortError) as raised:
            wire.request("/lingers.cgi")
        assert raised.value.begun


def test_the_pools_time_limit_ends_a_program_and_not_the_worker():
    """A little before requests/@timeLimit the answer is 502.1, and the worker goes on."""
    config = _config().replace(
        '<failure rapidFailProtection="false" />',
        '<failure rapidFailProtection="false" /><requests timeLimit="00:00:08" />',
    )
    assert "timeLimit" in config
    with run_server(config, _place) as running:
        before = get(running.port(), "/tell.cgi").status, running.workers()
        answer = get(running.port(), "/silent.cgi?limit")
        assert (answer.status, "502.1" in answer.text) == (502, True)
        assert (get(running.port(), "/tell.cgi").status, running.workers()) == before
