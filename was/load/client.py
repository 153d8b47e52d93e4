"""A load client: so many requests a second over so many connections, each one's fate counted.

Paced, request n is due at start + n / rate, whichever connection is free next sends it, and its
latency runs from the time it was due: a server that stalls is charged with the requests that had to
wait behind the stall. In a closed loop each connection sends its next request when the last one has
ended. A connection that broke is opened again; no request is ever sent twice.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from was.load.response_reader import MalformedResponseError, ResponseReader
from was.load.tally import Fate, Outcome, Tally

__all__ = ["Load", "request_bytes", "run_load", "run_load_async"]

# How long a connection that could not be opened waits before the next request is tried.
RECONNECT_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What to send. `rate` 0 = closed loop; `body` makes request n's body; `count` 0 = by time."""

    host: str
    port: int
    target: str = "/"
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    body: Callable[[int], bytes] | None = None
    host_field: str = ""  # default: host:port
    rate: float = 0.0
    connections: int = 1
    duration_s: float = 1.0
    count: int = 0
    timeout_s: float = 30.0
    keep_bytes: int = 256

    @property
    def total(self) -> int:
        """How many requests a paced or counted run makes; 0 = as many as fit."""
        return self.count or round(self.rate * self.duration_s)


def request_bytes(load: Load, number: int) -> bytes:
    """Request `number` as it goes over the wire."""
    lines = [
        f"{load.method} {load.target} HTTP/1.1",
        f"Host: {load.host_field or f'{load.host}:{load.port}'}",
    ]
    lines += [f"{name}: {value}" for name, value in load.fields]
    body = load.body(number) if load.body is not None else b""
    if load.body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def run_load(load: Load, tally: Tally | None = None) -> Tally:
    """Run it to its end and return the tally, which is `tally` where that is given."""
    return asyncio.run(run_load_async(load, tally))


async def run_load_async(
    load: Load, tally: Tally | None = None, numbers: Iterator[int] | None = None
) -> Tally:
    """Run it to its end within a loop that runs already.

    `tally` is counted in while it runs; `numbers` are the requests to send, in place of the load's
    own, and their end is the run's.
    """
    loop = asyncio.get_running_loop()
    tally = Tally() if tally is None else tally
    start = loop.time()
    if numbers is None:
        numbers = iter(range(load.total)) if load.total else itertools.count()
    clients = [_Client(load, tally, start, numbers) for _ in range(load.connections)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for client in clients:
            client.close()
        tally.elapsed_s = loop.time() - start  # also of one that is interrupted
    return tally


class _Connection(asyncio.Protocol):
    """One connection: at most one request at a time, its end told through a future."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._end: asyncio.Future[Fate] | None = None
        self.is_usable = False
        self._close_is_ours = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_usable = True

    def send(self, data: bytes, reader: ResponseReader, end: asyncio.Future[Fate]) -> None:
        assert self._transport is not None
        self._reader, self._end = reader, end
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._end is None:
            self._finish(Fate.MALFORMED)
            self.abort()
            return
        try:
            is_complete = self._reader.feed(data)
        except MalformedResponseError:
            self._finish(Fate.MALFORMED)
            self.abort()
            return
        if is_complete:
            reader = self._reader
            self._finish(Fate.MALFORMED if reader.surplus else Fate.ANSWERED)
            if reader.surplus or reader.will_close:
                self.close()

    def eof_received(self) -> bool:
        self.is_usable = False
        reader = self._reader
        if reader is None:
            if not self._close_is_ours:
                self._tally.unannounced_closes += 1
        elif reader.eof():
            self._finish(Fate.ANSWERED)
        else:
            self._finish(Fate.TRUNCATED if reader.has_begun else Fate.CLOSED_BEFORE_RESPONSE)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_usable and self._reader is None and not self._close_is_ours:
            self._tally.unannounced_closes += 1  # a reset while idle
        self.is_usable = False
        self._finish(Fate.RESET)

    def _finish(self, fate: Fate) -> None:
        end, self._end, self._reader = self._end, None, None
        if end is not None and not end.done():
            end.set_result(fate)

    def close(self) -> None:
        self.is_usable = False
        self._close_is_ours = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self.is_usable = False
        self._close_is_ours = True
        if self._transport is not None:
            self._transport.abort()


class _Client:
    """Sends requests one after the other over one connection at a time."""

    def __init__(self, load: Load, tally: Tally, start: float, numbers: Iterator[int]) -> None:
        self._load = load
        self._tally = tally
        self._start = start
        self._numbers = numbers
        self._connection: _Connection | None = None
        self._ordinal = 0  # of that connection among all of the run
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        load, loop = self._load, self._loop
        is_open_ended = not load.total
        for number in self._numbers:
            now = loop.time()
            if is_open_ended and now - self._start >= load.duration_s:
                return
            due = self._start + number / load.rate if load.rate else now
            if due > now:
                await asyncio.sleep(due - now)
            outcome = await self._request(number, due)
            self._tally.add(outcome)
            if outcome.fate in (Fate.REFUSED, Fate.CONNECT_ERROR):
                await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _request(self, number: int, due: float) -> Outcome:
        loop = self._loop
        connection = self._connection
        if connection is None or not connection.is_usable:
            try:
                connection = await self._connect()
            except OSError as error:
                refused = isinstance(error, ConnectionRefusedError)
                fate = Fate.REFUSED if refused else Fate.CONNECT_ERROR
                return Outcome(number, fate, latency_s=loop.time() - due)
        reader = ResponseReader(self._load.method, keep_bytes=self._load.keep_bytes)
        end: asyncio.Future[Fate] = loop.create_future()
        timer = loop.call_later(self._load.timeout_s, _set_timeout, end)
        connection.send(request_bytes(self._load, number), reader, end)
        fate = await end
        timer.cancel()
        if fate is Fate.TIMEOUT:
            connection.abort()
        return Outcome(
            number,
            fate,
            reader.status if fate is Fate.ANSWERED else 0,
            loop.time() - due,
            reader.field("x-request-id"),
            bytes(reader.body),
            reader.received,
            self._ordinal,
        )

    async def _connect(self) -> _Connection:
        connection = _Connection(self._tally)
        async with asyncio.timeout(self._load.timeout_s):
            await self._loop.create_connection(lambda: connection, self._load.host, self._load.port)
        self._connection = connection
        self._tally.connections += 1
        self._ordinal = self._tally.connections
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _set_timeout(end: asyncio.Future[Fate]) -> None:
    if not end.done():
        end.set_result(Fate.TIMEOUT)
