"""Answers in every way WSGI has: blocks, write(), a file wrapper; and fails on purpose."""

import sys
from pathlib import Path
from urllib.parse import parse_qs

FILE = Path(__file__).with_name("data") / "file.bin"


def application(environ, start_response):
    query = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    return ANSWERS[environ["PATH_INFO"]](environ, start_response, query)


def blocks(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"block %d\n" % number for number in range(int(query["n"])))


def several(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one ", b"two ", b"three"]


def write(environ, start_response, query):
    give = start_response("200 OK", [("Content-Type", "text/plain")])
    give(b"written, ")
    return [b"returned"]


def wrapped(environ, start_response, query):
    start_response("200 OK", [("Content-Length", str(FILE.stat().st_size))])
    return environ["wsgi.file_wrapper"](FILE.open("rb"))


def echo(environ, start_response, query):
    """Send each line of the request's body back as it is read."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter(lambda: environ["wsgi.input"].read(1000), b"")


def short(environ, start_response, query):
    start_response("200 OK", [("Content-Length", "10")])
    return [b"short"]


def fail(environ, start_response, query):
    raise LookupError("raised on purpose")


def fail_late(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain")])

    def body():
        yield b"begun\n"
        raise LookupError("raised on purpose")

    return body()


def replace(environ, start_response, query):
    """The second call of start_response, with exc_info, replaces what was not sent yet."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        int("no number")
    except ValueError:
        start_response("503 Replaced", [("Content-Length", "9")], sys.exc_info())
    return [b"replaced\n"]


class Closing:
    """An iterable whose close() leaves a mark."""

    def __iter__(self):
        return iter([b"closing\n"])

    def close(self):
        FILE.with_name("closed").touch()


def closing(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing()


ANSWERS = {
    "/blocks": blocks,
    "/several": several,
    "/write": write,
    "/wrapped": wrapped,
    "/echo": echo,
    "/short": short,
    "/fail": fail,
    "/fail-late": fail_late,
    "/replace": replace,
    "/closing": closing,
}
