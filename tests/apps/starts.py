"""Notes the start of each request in data/starts.log, then works for ?ms=N (5) and answers.

One line a start: request id, attempt, pid, method. The file is opened O_APPEND and each line is one
write, so that no line is lost when the process is killed.
"""

import os
import time
from pathlib import Path
from urllib.parse import parse_qs

LOG = Path(__file__).with_name("data") / "starts.log"
_fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def application(environ, start_response):
    request_id = environ["was.request_id"]
    line = f"{request_id} {environ['was.attempt']} {os.getpid()} {environ['REQUEST_METHOD']}\n"
    os.write(_fd, line.encode())
    query = parse_qs(environ["QUERY_STRING"])
    time.sleep(float(query.get("ms", ["5"])[0]) / 1000)
    body = f"{request_id} {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
