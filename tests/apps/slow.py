"""Takes its time in the way that the path names; tells its pid otherwise.

/python    loops in Python for ever          /stubborn  the same, and hides whatever interrupts it
/sleep     sleeps in C, without the lock      /held      holds the interpreter's lock in C
/silent    sends a block, then says nothing   /pause     waits, then is well again
The seconds are those of ?s=N; each start is noted in data/starts.log.
"""

import ctypes
import os
import time
from pathlib import Path
from urllib.parse import parse_qs

LOG = Path(__file__).with_name("data") / "starts.log"
_fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    seconds = float(parse_qs(environ["QUERY_STRING"]).get("s", ["60"])[0])
    os.write(_fd, f"{environ['was.request_id']} {path} {os.getpid()}\n".encode())
    if path == "/silent":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return silent(seconds)
    WAYS.get(path, lambda _: None)(seconds)
    body = f"{os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def silent(seconds):
    yield b"first\n"
    loop(seconds)
    yield b"second\n"


def loop(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)


def stubborn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            loop(end - time.monotonic())
        except BaseException:  # noqa: BLE001 that is the point of it
            os.write(_fd, b"- interrupted -\n")


def held(seconds):
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


WAYS = {
    "/python": loop,
    "/pause": loop,
    "/sleep": time.sleep,
    "/stubborn": stubborn,
    "/held": held,
}
