"""Large bodies: /download?mb=N makes one in blocks, /upload reads one in blocks, /hello is small.

?ms=N is a pause after each block of 64 KiB.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

BLOCK = bytes(range(256)) * 256


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Answer by path."""
    query = parse_qs(environ["QUERY_STRING"])
    pause_s = float(query.get("ms", ["0"])[0]) / 1000
    if environ["PATH_INFO"] == "/download":
        blocks = int(query["mb"][0]) * 16
        start_response("200 OK", [("Content-Length", str(blocks * len(BLOCK)))])
        return _blocks(blocks, pause_s)
    total = 0
    if environ["PATH_INFO"] == "/upload":
        while data := environ["wsgi.input"].read(len(BLOCK)):
            total += len(data)
            time.sleep(pause_s)
    body = f"{total}\n".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def _blocks(count: int, pause_s: float) -> Iterator[bytes]:
    for _ in range(count):
        yield BLOCK
        time.sleep(pause_s)
