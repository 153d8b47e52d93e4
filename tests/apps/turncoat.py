"""Gets at its own worker's connection to the manager, and says there what it is told to say."""

import os
import socket
from base64 import b64decode

from was.ipc.descriptors import ControlSocket


def application(environ, start_response):
    messages = [b64decode(line) for line in environ["wsgi.input"].read().split(b"\n")]
    if environ["REQUEST_METHOD"] == "POST":
        manager = control()
        for message in messages * int(environ["QUERY_STRING"].removeprefix("times=")):
            manager.send(message)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def control():
    """The connection that this process was given when it began."""
    for name in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if sock.type == socket.SOCK_SEQPACKET and sock.getpeername().endswith("/control"):
            return ControlSocket(sock)
        sock.close()
    raise LookupError("no connection to the manager")
