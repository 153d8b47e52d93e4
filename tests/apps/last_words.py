"""Prints, crashes, hangs or has a child that crashes: /say?WORDS, /segv, /hang, /child."""

import ctypes
import os


def crash_here():
    ctypes.string_at(0)


def hang_here():
    # Through PyDLL the interpreter's lock is kept: no thread of Python runs any more.
    ctypes.PyDLL(None).sleep(60)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/say":
        print(environ["QUERY_STRING"], flush=True)
    elif path == "/segv":
        crash_here()
    elif path == "/hang":
        hang_here()
    elif path == "/child":
        pid = os.fork()
        if pid == 0:
            crash_here()
        os.waitpid(pid, 0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
