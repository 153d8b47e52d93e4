"""Puts other things in the place of Python's, as some packages do for the whole process.

The file `what` of its folder says which: threads (gevent, eventlet) or sockets (PySocks).
"""

import _thread
import os
import select
import socket
import threading
from pathlib import Path

WHAT = (Path(__file__).parent / "what").read_text()


class OtherSocket(socket.socket):
    def __init__(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0, fileno=None):
        if kind != socket.SOCK_STREAM:
            raise ValueError("this is a socket of another package")
        super().__init__(family, kind, proto, fileno)


def start_other_thread(*_arguments, **_options):
    raise RuntimeError("this is no thread")


if WHAT == "threads":
    _thread.start_new_thread = start_other_thread
    threading._start_new_thread = start_other_thread
    del select.poll
elif WHAT == "sockets":
    socket.socket = OtherSocket


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
