"""Slow clients of programs, with nothing kept for them: their time is not the program's."""

import time
from contextlib import ExitStack
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.running import place
from support.wire import Wire, get

# For the program's own part, on a machine that is busy.
TIME_LIMIT_S = 8
RESPONDER = "/usr/bin/python3|{home}/sites/app/fcgi_responder.py"
BODY = b"shoes and boots"
# More than the sockets and windows between program and client hold.
LONG = 32 << 20
ZEROES = f"printf 'Content-Type: text/plain\\n\\n'; head -c {LONG} /dev/zero"


def _config() -> str:
    handlers = (
        f'<add name="fast" path="/fast" verb="*" modules="FastCgiModule" '
        f'scriptProcessor="{RESPONDER}" />',
        '<add name="cgi" path="*.cgi" verb="*" modules="CgiModule" />',
        '<add name="long" path="*.sh" verb="*" modules="CgiModule" scriptProcessor="/bin/sh %s" />',
    )
    limit = f"00:00:{TIME_LIMIT_S:02}"
    requests = {"streaming": "true", "maxSpool": "0", "responseSpool": "0", "timeLimit": limit}
    folder = Path("{home}") / "sites" / "app"
    site = Site("Site", (Application("/", folder, "Pool", handlers, f'<cgi timeout="{limit}" />'),))
    program, _, arguments = RESPONDER.partition("|")
    section = (
        f'<system.webServer><fastCgi><application fullPath="{program}" arguments="{arguments}" />'
        "</fastCgi></system.webServer>"
    )
    return application_host_config([Pool("Pool", {}, {"requests": requests})], [site], section)


def test_a_body_may_take_longer_than_the_answer_to_it(start_server):
    """timeLimit does not pass while a program waits for its client; the process stays, too."""
    running = start_server(_config(), place("fcgi_responder.py", "cgi_bin/form.cgi"))
    process = get(running.port(), "/fast").text.split()[0]
    with ExitStack() as stack:
        wires = {p: stack.enter_context(Wire(running.port())) for p in ("/fast", "/form.cgi")}
        for path, wire in wires.items():
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
            wire.send(head.encode() + BODY[:5])
        sent_at = time.monotonic()
        wait_for("the time limit", lambda: time.monotonic() > sent_at + TIME_LIMIT_S)
        for wire in wires.values():
            wire.send(BODY[5:])
        answers = {path: wire.read("POST") for path, wire in wires.items()}
    assert answers["/form.cgi"].text == BODY.decode().upper()
    assert answers["/fast"].text.split()[:3] == [process, "2", str(len(BODY))]


def test_an_answer_may_be_read_for_longer_than_it_takes_to_make(start_server):
    """The timeout of cgi does not pass while a program waits for its client."""
    running = start_server(_config(), place("fcgi_responder.py"))
    (running.folder() / "long.sh").write_text(ZEROES)
    with Wire(running.port()) as wire:
        wire.send_request("/long.sh")
        sent_at = time.monotonic()
        wait_for("the time limit", lambda: time.monotonic() > sent_at + TIME_LIMIT_S)
        assert len(wire.read().body) == LONG
