"""Waits at a gate until the test opens it, so that a test can act at a named point.

/held?gate=NAME   waits before the response; /parts?gate=NAME sends one block, then waits, then the
rest. A request that has reached its gate has made data/NAME.reached; it goes on once data/NAME.open
exists.
"""

import os
import time
from pathlib import Path
from urllib.parse import parse_qs

DATA = Path(__file__).with_name("data")
LIMIT_S = 90.0


def application(environ, start_response):
    gate = parse_qs(environ["QUERY_STRING"]).get("gate", [""])[0]
    if environ["PATH_INFO"] == "/parts":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return parts(gate)
    if gate:
        pass_gate(gate)
    body = f"{os.getpid()} {environ['was.attempt']}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def parts(gate):
    yield b"first\n"
    pass_gate(gate)
    yield b"second\n"


def pass_gate(name):
    with (DATA / f"{name}.reached").open("a") as file:
        file.write(f"{os.getpid()}\n")
    deadline = time.monotonic() + LIMIT_S
    while not (DATA / f"{name}.open").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.002)
