"""AsyncExchange: what the event loop needs of an exchange; and how one that has no client gets it.

Requests that nobody has sent (warm-up, child requests) read and write in memory: they never wait,
have no news, and nobody wants their hints and trailers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from was.worker.request_exchange import RequestExchange

__all__ = ["AsyncExchange", "PlainExchange"]


class AsyncExchange(Protocol):
    """Kept by worker/exchange.py; see there."""

    never_waits: bool
    trailers: bytes

    @property
    def gone(self) -> bool:
        """Whether nobody reads the answer."""
        ...

    @property
    def started(self) -> bool:
        """Whether the response has begun."""
        ...

    @property
    def is_overdue(self) -> bool:
        """Whether the request has passed its time limit."""
        ...

    @property
    def words(self) -> memoryview[int]:
        """The scoreboard."""
        ...

    @property
    def row(self) -> int:
        """Index of the request's first word."""
        ...

    @property
    def is_body_read(self) -> bool:
        """Whether the body is over."""
        ...

    def park(self) -> None:
        """The request goes on without a thread."""
        ...

    def ring_on_arrival(self, ring: Callable[[], None] | None) -> None:
        """Have the leader call `ring` at whatever arrives."""
        ...

    def read_nowait(self, size: int) -> bytes | None:
        """Bytes of the body; None: not yet."""
        ...

    def expect_upgraded(self) -> None:
        """After a 101: bytes follow."""
        ...

    def has_news(self) -> bool:
        """Whether `read_nowait` has something to say."""
        ...

    def is_writable(self) -> bool:
        """Whether the listener takes more."""
        ...

    def send_hints(self, block: bytes) -> None:
        """103."""
        ...


class PlainExchange:
    """Any other exchange, for the loop."""

    is_overdue = False

    def __init__(self, exchange: RequestExchange) -> None:
        self._exchange = exchange
        self.never_waits = False
        self.trailers = b""
        self.is_body_read = False

    @property
    def gone(self) -> bool:
        """Whether nobody reads the answer."""
        return self._exchange.gone

    @property
    def started(self) -> bool:
        """Whether the response has begun."""
        return self._exchange.started

    @property
    def words(self) -> memoryview[int]:
        """The scoreboard, or what stands in for it."""
        return self._exchange.words

    @property
    def row(self) -> int:
        """Index of the request's first word."""
        return self._exchange.row

    def park(self) -> None:
        """It has no thread's credit."""

    def ring_on_arrival(self, ring: Callable[[], None] | None) -> None:
        """Nothing ever arrives."""

    def read_nowait(self, size: int) -> bytes:
        """Bytes of the body."""
        data = self._exchange.read(size)
        self.is_body_read = not data
        return data

    def expect_upgraded(self) -> None:
        """Nothing follows."""

    def has_news(self) -> bool:
        """There is always an answer."""
        return True

    def is_writable(self) -> bool:
        """Always."""
        return True

    def send_hints(self, block: bytes) -> None:
        """Nobody wants them."""
