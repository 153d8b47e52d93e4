"""Dies in the way that the path names: /exit, /kill, /segv, /term; tells its pid otherwise.

With ?once=1 it dies on the first attempt only. Each start is noted in data/starts.log.
"""

import ctypes
import os
import signal
import time
from pathlib import Path

LOG = Path(__file__).with_name("data") / "starts.log"
_fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    os.write(_fd, f"{environ['was.request_id']} {environ['was.attempt']} {path}\n".encode())
    is_spared = "once=1" in environ["QUERY_STRING"] and environ["was.attempt"] != 1
    if not is_spared:
        die(path)
    body = f"{os.getpid()} {environ['was.attempt']}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def die(path):
    if path == "/exit":
        os._exit(0)
    if path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(10)
    if path == "/segv":
        ctypes.string_at(0)
    if path == "/term":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
