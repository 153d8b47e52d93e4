"""Takes all it can get: processes, memory, processor time, its own queue and its own site.

`/?do=flood&queue=PATH&port=PORT` begins and says what stopped it. Everything it starts ends with
the worker. Any other request is answered at once.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
from urllib.parse import parse_qsl

import zmq

PR_SET_PDEATHSIG = 1
PIECE = 8 << 20
MOST_CONNECTIONS = 3000
MOST_PROCESSES = 2000
FIRST_MESSAGES = 500

_held = []


def application(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    answer = begin(query["queue"], int(query["port"])) if query.get("do") == "flood" else {}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def begin(queue, port):
    """Start everything; what limit each kind met, and how many messages were taken."""
    met = {"messages": [fork(Sender(queue, size)) for size in (64, 1 << 20)]}
    met["connections"] = [fork(lambda: connect(port)) for _ in range(3)]
    met["memory"] = fork(allocate)
    met["processes"] = fork_all()
    return met


def fork(work):
    """Run `work` in a child, which goes on with `work.then` or burns; what it returned."""
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.write(write, str(work()).encode())
            os.close(write)
            getattr(work, "then", burn)()
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as end:
        return end.read()


def burn():
    """Use a processor."""
    while True:
        pass


def fork_all():
    """Children that burn, as many as there may be."""
    for count in range(MOST_PROCESSES):
        try:
            fork(lambda: "")
        except OSError as error:
            return f"{errno.errorcode[error.errno]} after {count}"
    return "no limit"


def allocate():
    """Memory that is written to, as much as there may be."""
    for count in range(128):
        try:
            piece = mmap.mmap(-1, PIECE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            return f"{errno.errorcode[error.errno]} after {count * PIECE}"
        for at in range(0, PIECE, mmap.PAGESIZE):
            piece[at] = 1
        _held.append(piece)
    return "no limit"


def connect(port):
    """Connections to our own site that say half a request or nothing."""
    for count in range(MOST_CONNECTIONS):
        try:
            client = socket.create_connection(("127.0.0.1", port), 2)
            _held.append(client)
            if count % 2:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        except OSError as error:
            return f"{errno.errorcode.get(error.errno or 0, str(error))} after {count}"
    return "no limit"


class Sender:
    """Messages that nobody asked for, as fast as they go, by a new connection now and then."""

    def __init__(self, queue, size):
        self.queue = queue
        self.message = b"x" * size

    def __call__(self):
        self.context = zmq.Context()
        self.send(FIRST_MESSAGES)
        return FIRST_MESSAGES

    def then(self):
        """For ever."""
        while True:
            self.send(10_000)

    def send(self, count):
        """So many, over one connection; hardly any lies on our side."""
        client = self.context.socket(zmq.DEALER)
        client.sndhwm = 8
        client.linger = 0
        client.connect(f"ipc://{self.queue}")
        for _ in range(count):
            client.send(self.message)
        client.close()
