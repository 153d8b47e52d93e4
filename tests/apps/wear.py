"""Wears its worker out: /map?mb=N takes address space, /fill?mb=N takes memory and keeps it.

/unhealthy reports so, to be replaced. Tells its pid otherwise.
"""

import mmap
import os
from urllib.parse import parse_qs

_kept = []


def application(environ, start_response):
    query = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    size = int(query.get("mb", "0")) << 20
    if environ["PATH_INFO"] == "/map":
        _kept.append(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    elif environ["PATH_INFO"] == "/fill":
        _kept.append(b"x" * size)
    elif environ["PATH_INFO"] == "/unhealthy":
        environ["was.report_unhealthy"]("the pool of connections is broken")
    body = f"{os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
