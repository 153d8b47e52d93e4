"""How much each address asks for at a time and within an interval. Pure but for its lock.

A rate is estimated from two counts: of the interval that runs, and of the one before it, in
proportion to what of it still lies within the last interval's length. So an address costs three
numbers, however many requests it sends.
"""

from __future__ import annotations

import threading

__all__ = ["Concurrency", "Rates", "client_of"]

# So many addresses are known at a time; an attacker with more than that is met by other means.
_MOST_ADDRESSES = 65536
# One customer's share of IPv6 addresses.
_CLIENT_BITS = 64


def client_of(address: str) -> str:
    """Whom an address counts for: itself, but of an IPv6 address the network of 64 bits."""
    if ":" not in address:
        return address
    from was.config.addresses import parse_address

    try:
        parsed = parse_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return f"{int(parsed) >> (128 - _CLIENT_BITS):x}"


class Concurrency:
    """Requests that run at the moment, by client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, int] = {}

    def enter(self, client: str) -> int:
        """One more; how many there are now."""
        with self._lock:
            count = self._running[client] = self._running.get(client, 0) + 1
            return count

    def leave(self, client: str) -> None:
        """One less."""
        with self._lock:
            count = self._running[client] - 1
            if count:
                self._running[client] = count
            else:
                del self._running[client]

    def __len__(self) -> int:
        return len(self._running)


class Rates:
    """Requests within an interval, by client."""

    def __init__(self, interval_s: float, most: int = _MOST_ADDRESSES) -> None:
        self._interval_s = interval_s
        self._most = most
        self._lock = threading.Lock()
        # client -> number of the interval, count in it, count in the one before
        self._counts: dict[str, tuple[int, int, int]] = {}

    def count(self, client: str, now: float) -> float:
        """One more, at `now` in seconds; how many came within the last interval's length."""
        number, share = divmod(now / self._interval_s, 1.0)
        at = int(number)
        with self._lock:
            then, current, before = self._counts.pop(client, (at, 0, 0))
            if then != at:
                current, before = 0, current if then == at - 1 else 0
            if len(self._counts) >= self._most:
                # The first are those that have not come for longest.
                del self._counts[next(iter(self._counts))]
            self._counts[client] = (at, current + 1, before)
        return current + 1 + before * (1.0 - share)

    def __len__(self) -> int:
        return len(self._counts)
