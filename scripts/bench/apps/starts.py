"""Notes the start of each request in data/starts.log, works for 5 ms, answers.

One line a start, one write a line, so that no line is lost when the process is killed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOG = Path(__file__).with_name("data") / "starts.log"
WORK_S = 0.005
_fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> list[bytes]:
    """Answer with the request's id and the worker's pid."""
    request_id = environ["was.request_id"]
    os.write(_fd, f"{request_id} {environ['was.attempt']} {os.getpid()}\n".encode())
    time.sleep(WORK_S)
    body = f"{request_id} {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
