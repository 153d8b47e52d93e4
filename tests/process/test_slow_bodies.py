"""Clients that send slowly to programs of a pool that streams: their time is not the program's."""

import time
from contextlib import ExitStack
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.running import place
from support.wire import Wire, get

# For the program's own part, on a machine that is busy.
TIME_LIMIT_S = 6
RESPONDER = "/usr/bin/python3|{home}/sites/app/fcgi_responder.py"
BODY = b"shoes and boots"


def _config() -> str:
    handlers = (
        f'<add name="fast" path="/fast" verb="*" modules="FastCgiModule" '
        f'scriptProcessor="{RESPONDER}" />',
        '<add name="cgi" path="*.cgi" verb="*" modules="CgiModule" />',
    )
    pool = Pool(
        "Pool", {}, {"requests": {"streaming": "true", "timeLimit": f"00:00:{TIME_LIMIT_S:02}"}}
    )
    site = Site("Site", (Application("/", Path("{home}") / "sites" / "app", "Pool", handlers),))
    program, _, arguments = RESPONDER.partition("|")
    section = (
        f'<system.webServer><fastCgi><application fullPath="{program}" arguments="{arguments}" />'
        "</fastCgi></system.webServer>"
    )
    return application_host_config([pool], [site], section)


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
