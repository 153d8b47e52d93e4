"""Loads only while nobody holds it, and says that it is at it: loading.PID appears in data.

The file `hold` beside this one keeps loads waiting. Requests work for a moment and are answered.
"""

import os
import time
from pathlib import Path

HOLD = Path(__file__).with_name("hold")
(Path(__file__).with_name("data") / f"loading.{os.getpid()}").touch()
while HOLD.exists():
    time.sleep(0.005)


def application(environ, start_response):
    time.sleep(0.005)
    body = f"{os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
