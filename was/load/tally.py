"""The fate of each request, and the counts over many: pure, no clock and no socket.

Every request that was begun ends in exactly one Outcome. Nothing is averaged away: a run is judged
by its fates first and by its latencies second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Fate", "Outcome", "Tally", "percentile"]

_PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


class Fate(Enum):
    """How a request ended, as its client saw it."""

    ANSWERED = "answered"  # a whole response; the status says which
    CLOSED_BEFORE_RESPONSE = "closed_before_response"  # end of stream, not one byte of a response
    TRUNCATED = "truncated"  # end of stream within a response
    RESET = "reset"  # the connection was reset, at any point
    TIMEOUT = "timeout"  # no whole response within the limit
    REFUSED = "refused"  # nobody listens
    CONNECT_ERROR = "connect_error"  # no connection could be had for another reason
    MALFORMED = "malformed"  # not HTTP, or bytes after the response


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request, ended."""

    number: int
    fate: Fate
    status: int = 0  # 0 unless answered
    latency_s: float = 0.0  # from the due time (paced) or from sending (closed loop)
    request_id: str = ""  # the response's X-Request-ID
    body: bytes = b""  # the first bytes of the response's body
    received: int = 0  # bytes of body in all
    connection: int = 0  # which of the run's connections, from 1; 0 = none could be had


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of an ascending list lies; 0.0 of an empty one."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class Tally:
    """All outcomes of a run. `unannounced_closes` counts idle connections closed without a word."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    unannounced_closes: int = 0
    connections: int = 0
    elapsed_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.outcomes.append(outcome)

    @property
    def total(self) -> int:
        """Requests that have ended."""
        return len(self.outcomes)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(o.status for o in self.outcomes if o.fate is Fate.ANSWERED)

    @property
    def failures(self) -> Counter[str]:
        """How often each fate other than an answer was met."""
        return Counter(o.fate.value for o in self.outcomes if o.fate is not Fate.ANSWERED)

    @property
    def rate(self) -> float:
        """Requests ended per second."""
        return self.total / self.elapsed_s if self.elapsed_s else 0.0

    def latency_ms(self, share: float) -> float:
        """A percentile of the latencies of the answered, in milliseconds."""
        return percentile(self._latencies(), share) * 1000

    def summary(self) -> str:
        """One line for a person: fates, then latencies."""
        parts = [f"{count} x {status}" for status, count in sorted(self.statuses.items())]
        parts += [f"{count} {name}" for name, count in sorted(self.failures.items())]
        if self.unannounced_closes:
            parts.append(f"{self.unannounced_closes} idle connections closed unannounced")
        latencies = self._latencies()
        times = ", ".join(
            f"{name} {percentile(latencies, share) * 1000:.1f}" for name, share in _PERCENTILES
        )
        return f"{self.total} requests: {', '.join(parts) or 'none'}; ms: {times}"

    def to_dict(self) -> dict[str, object]:
        """One flat object for other programs: each fate by name, latencies in milliseconds."""
        latencies = self._latencies()
        failures = self.failures
        return {
            "requests": self.total,
            "elapsed_s": round(self.elapsed_s, 3),
            "requests_per_s": round(self.rate, 1),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            **{fate.value: failures[fate.value] for fate in Fate if fate is not Fate.ANSWERED},
            "connections": self.connections,
            "unannounced_closes": self.unannounced_closes,
            **{
                f"{name}_ms": round(percentile(latencies, share) * 1000, 3)
                for name, share in _PERCENTILES
            },
        }

    def _latencies(self) -> list[float]:
        return sorted(_latencies_of(self.outcomes))


def _latencies_of(outcomes: Iterable[Outcome]) -> Iterable[float]:
    return (o.latency_s for o in outcomes if o.fate is Fate.ANSWERED)
