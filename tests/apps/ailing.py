"""Fails on request: /gil never gives the interpreter back, /burn keeps a processor busy for good.

/held?gate=NAME is answered once data/NAME.open exists. While data/slow exists the application does
not load. Everything else is answered with the worker's pid.
"""

import ctypes
import os
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs

DATA = Path(__file__).with_name("data")

while (DATA / "slow").exists():
    time.sleep(0.01)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    first = environ["was.attempt"] == 1
    if path == "/gil" and first:
        ctypes.PyDLL(None).sleep(60)  # PyDLL, unlike CDLL, calls with the interpreter's lock held
    if path == "/held" and first:
        gate = parse_qs(environ["QUERY_STRING"])["gate"][0]
        (DATA / f"{gate}.reached").touch()
        while not (DATA / f"{gate}.open").exists():
            time.sleep(0.005)
    if path == "/burn":
        threading.Thread(target=burn, daemon=True).start()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def burn():
    while True:
        pass
