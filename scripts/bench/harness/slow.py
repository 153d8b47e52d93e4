"""Clients that are slow on purpose, and a sampler of what processes need meanwhile.

The pace is that of a client which takes (or gives) so many bytes a second for a while, stops
altogether for a while, then takes the rest as fast as it can. It counts every byte: a slow client
must get the same response as a fast one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness.meter import pss_bytes
from harness.response_reader import ResponseReader

__all__ = ["MIB", "Pace", "PeakMemory", "download", "upload"]

MIB = 1024 * 1024
BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` bytes a second for `pacing_s`, nothing for `pause_s`, then full speed; 0 = at once."""

    rate: float = 0.0
    pacing_s: float = 0.0
    pause_s: float = 0.0

    async def wait(self, start: float, moved: int) -> None:
        """Wait until byte `moved` may move."""
        if not self.rate:
            return
        now = time.monotonic() - start
        if now >= self.pacing_s + self.pause_s:
            return
        due = moved / self.rate
        if due >= self.pacing_s:
            due = self.pacing_s + self.pause_s
        if due > now:
            await asyncio.sleep(due - now)


async def download(port: int, target: str, pace: Pace) -> int:
    """GET at that pace; the bytes of the body. Raises ConnectionError when it was cut short."""
    reader, writer = await _connect(port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        response = ResponseReader("GET", keep_bytes=0)
        start = time.monotonic()
        while not response.is_complete:
            await pace.wait(start, response.received)
            data = await reader.read(BLOCK)
            if not data and not response.eof():
                raise ConnectionError(f"cut after {response.received} bytes")
            response.feed(data)
        if response.status != 200:
            raise ConnectionError(f"status {response.status}")
        return response.received
    finally:
        writer.close()


async def upload(port: int, target: str, size: int, pace: Pace) -> bytes:
    """POST `size` bytes at that pace; the body of the answer, which must be 200."""
    reader, writer = await _connect(port)
    try:
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        writer.write(head.encode())
        start = time.monotonic()
        block = bytes(BLOCK)
        for sent in range(0, size, BLOCK):
            await pace.wait(start, sent)
            writer.write(block[: size - sent])
            await writer.drain()
        response = ResponseReader("POST")
        while not response.is_complete:
            data = await reader.read(BLOCK)
            if not data and not response.eof():
                raise ConnectionError("no whole answer to the upload")
            response.feed(data)
        if response.status != 200:
            raise ConnectionError(f"status {response.status}")
        return bytes(response.body)
    finally:
        writer.close()


class PeakMemory:
    """Samples the proportional memory of some processes; their peaks at the end."""

    def __init__(self, pids: Sequence[int], *, every_s: float = 0.2) -> None:
        self.peaks = dict.fromkeys(pids, 0)
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PeakMemory:
        """Begin sampling."""
        self._sample()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """One last sample."""
        assert self._task is not None
        self._task.cancel()
        self._sample()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._sample()

    def _sample(self) -> None:
        for pid in self.peaks:
            self.peaks[pid] = max(self.peaks[pid], pss_bytes(pid))


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # A small limit: what the stream reads ahead must not be what makes the server look quick.
    return await asyncio.open_connection("127.0.0.1", port, limit=BLOCK)
