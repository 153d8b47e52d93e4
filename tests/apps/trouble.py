"""Gets its worker into trouble with the manager: the path says how.

/silent closes the control connection, /babble writes what is no message there, each at a request's
first attempt; everything else tells the pid. A file data/import.slow holds up the import.
"""

import os
import socket
import stat
import time
from pathlib import Path

DATA = Path(__file__).with_name("data")

while (DATA / "import.slow").exists():
    time.sleep(0.01)


def control_connections():
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            end = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with end:
            if end.type == socket.SOCK_SEQPACKET and end.family == socket.AF_UNIX:
                yield end


def application(environ, start_response):
    path = environ["PATH_INFO"]
    # The worker may be killed before its answer is out: then the request is asked again.
    in_trouble = path in {"/silent", "/babble"} and environ["was.attempt"] == 1
    for end in control_connections() if in_trouble else ():
        if path == "/silent":
            end.shutdown(socket.SHUT_RDWR)
        else:
            end.send(b"\0no message at all")
    print("trouble was asked for", path, flush=True)
    body = f"{os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
