"""Failures, back-off and pings of a pool: bookkeeping without a clock.

Rapid-fail protection uses a sliding window. A death is laid to a client when every request it met
half-way came from that one; all deaths laid to one client count once, so one visitor cannot take a
pool away from the others. Addresses of this machine stand for nobody: a reverse proxy has one for
all its visitors. Who was there is known only after the listener has settled the death, so
a failure is counted then, or after SETTLE_LIMIT_S when the listener says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from was.config.addresses import parse_address

__all__ = [
    "BACKOFF_WAITING_S",
    "ORPHANING",
    "SETTLE_LIMIT_S",
    "Backoff",
    "FailureWindow",
    "PingWatch",
    "culprit",
]

SETTLE_LIMIT_S = 1.0

# Failures after which there is a process left to look at: a missed ping, a broken connection, the
# limits of start and end, ill-formed messages. One that could not start (5059) ends by itself.
ORPHANING = frozenset({5010, 5011, 5012, 5013, 5127})

BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 5.0
BACKOFF_WAITING_S = 1.0  # the most when somebody waits for an answer


def culprit(clients: AbstractSet[str]) -> str:
    """The address that a death is laid to, "" for nobody; `clients` are those it met half-way."""
    if len(clients) != 1:
        return ""
    (client,) = clients
    try:
        address = parse_address(client)
    except ValueError:
        return client
    return "" if address.is_loopback else client


@dataclass(slots=True)
class _Failure:
    at: float
    worker_id: int
    is_settled: bool
    client: str = ""  # "" = laid to nobody


class FailureWindow:
    """The recent failures of one pool."""

    def __init__(self) -> None:
        self._failures: list[_Failure] = []

    @property
    def is_empty(self) -> bool:
        """Whether there has been none."""
        return not self._failures

    def record(self, now: float, worker_id: int, *, is_settled: bool) -> None:
        """Note a failure; one that may have met requests is settled later."""
        self._failures.append(_Failure(now, worker_id, is_settled))

    def settle(self, worker_id: int, client: str) -> None:
        """Lay the worker's failure to `client`, or to nobody when empty."""
        for failure in self._failures:
            if failure.worker_id == worker_id and not failure.is_settled:
                failure.is_settled = True
                failure.client = client

    def count(self, now: float, interval_s: float) -> int:
        """Settled failures of the last `interval_s` seconds, one for each client."""
        self._failures = [f for f in self._failures if now - f.at < interval_s]
        for failure in self._failures:
            if now - failure.at >= SETTLE_LIMIT_S:
                failure.is_settled = True
        settled = [f for f in self._failures if f.is_settled]
        clients = {f.client for f in settled if f.client}
        return len(clients) + sum(1 for f in settled if not f.client)

    def next_deadline(self) -> float | None:
        """When a failure that nobody has settled will count all the same."""
        times = [f.at + SETTLE_LIMIT_S for f in self._failures if not f.is_settled]
        return min(times, default=None)

    def to_record(self) -> list[tuple[float, int, bool, str]]:
        """What a later manager restores: times are of the monotonic clock."""
        return [(f.at, f.worker_id, f.is_settled, f.client) for f in self._failures]

    def restore(self, record: Iterable[tuple[float, int, bool, str]]) -> None:
        """Go on counting where an earlier manager was."""
        self._failures = [_Failure(*failure) for failure in record]

    def clear(self) -> None:
        """Forget all: an administrator has started the pool."""
        self._failures.clear()


class Backoff:
    """How long to wait before another worker that may not live either."""

    def __init__(self) -> None:
        self._next_s = BACKOFF_FIRST_S

    def take(self) -> float:
        """The delay before the next start; each one is twice the last."""
        delay_s = self._next_s
        self._next_s = min(delay_s * 2, BACKOFF_MOST_S)
        return delay_s

    def reset(self) -> None:
        """A request was finished: the pool can work."""
        self._next_s = BACKOFF_FIRST_S


@dataclass(slots=True)
class PingWatch:
    """The pings of one worker. At most one is unanswered."""

    next_at: float
    nonce: int = 0
    is_waiting: bool = False

    def is_missed(self, now: float) -> bool:
        """Whether the answer is overdue (next_at is its deadline while we wait for it)."""
        return self.is_waiting and now >= self.next_at

    def send(self, now: float, response_s: float) -> int | None:
        """The nonce to send now, None when it is not time yet."""
        if self.is_waiting or now < self.next_at:
            return None
        self.nonce += 1
        self.is_waiting = True
        self.next_at = now + response_s
        return self.nonce

    def excuse(self, for_s: float) -> None:
        """The worker is kept from answering for so long: that does not count."""
        if self.is_waiting:
            self.next_at += for_s

    def answered(self, nonce: int, now: float, interval_s: float) -> None:
        """The worker's Pong; one for an older nonce says nothing."""
        if self.is_waiting and nonce == self.nonce:
            self.is_waiting = False
            self.next_at = now + interval_s
