"""Notes every request in data/warm.log: pid, URL, Host and what it is warming up for.

While data/hold exists /slow takes; /broken is answered 500.
"""

import os
import time
from pathlib import Path

DATA = Path(__file__).with_name("data")
_fd = os.open(DATA / "warm.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    query = environ["QUERY_STRING"]
    url = environ.get("SCRIPT_NAME", "") + path + ("?" + query if query else "")
    warming = environ["iis.context"].get_server_variable("APP_WARMING_UP") or "0"
    line = f"{os.getpid()} {url} {environ['HTTP_HOST']} {warming}\n"
    os.write(_fd, line.encode())
    while path == "/slow" and (DATA / "hold").exists():
        time.sleep(0.01)
    body = f"{os.getpid()}\n".encode()
    status = "500 Internal Server Error" if path == "/broken" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
