"""Whether a pool takes requests: its state, its failures, and when it comes back by itself. Pure.

One that has failed too often is disabled, one that has used up its processor time is shut out.
Either may have a time at which it starts again; a disabled one is then on trial for a while: it has
one worker, and one failure disables it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from was.config.model import Failure
from was.manager.health import FailureWindow
from was.manager.states import PoolState

__all__ = ["Availability", "Refusal"]

Refusal: TypeAlias = Literal["", "AppOffline", "Disabled", "AppShutdown"]

_REFUSALS: dict[PoolState, Refusal] = {
    PoolState.DISABLED: "AppOffline",
    PoolState.SHUT_OUT: "AppShutdown",
}


class Availability:
    """State of one pool, and its failures. `limits` are those of its settings."""

    def __init__(self, scaled: Callable[[float], float]) -> None:
        self.state = PoolState.STOPPED
        self.failures = FailureWindow()
        self.resume_at: float | None = None  # when a disabled or shut out pool starts by itself
        self.trial_until: float | None = None  # until then one failure disables it
        self._scaled = scaled

    @property
    def is_accepting(self) -> bool:
        """Whether the queue takes requests."""
        return self.state is PoolState.STARTED

    @property
    def is_on_trial(self) -> bool:
        """Whether one failure would disable it again."""
        return self.trial_until is not None

    @property
    def refusal(self) -> Refusal:
        """HTTPERR reason of the 503 while the pool does not take requests."""
        return "" if self.is_accepting else _REFUSALS.get(self.state, "Disabled")

    def start(self, trial_until: float | None) -> None:
        """Take requests; forgets earlier failures."""
        self.state = PoolState.STARTED
        self.resume_at = None
        self.trial_until = trial_until
        self.failures.clear()

    def stop(self, *, has_workers: bool) -> None:
        """Take none; its workers, if it has any, still finish."""
        self.state = PoolState.STOPPING if has_workers else PoolState.STOPPED
        self.resume_at = self.trial_until = None

    def shut_out(self, until: float) -> None:
        """Take none until then. No failure, and a trial goes on."""
        self.state = PoolState.SHUT_OUT
        self.resume_at = until

    def disable(self, now: float, limits: Failure) -> None:
        """Take none until an administrator or the time of another trial starts it."""
        self.state = PoolState.DISABLED
        self.trial_until = None
        self.retry_later(now, limits)

    def retry_later(self, now: float, limits: Failure) -> None:
        """A disabled pool is on trial after this time, where the limits have one."""
        retry_s = limits.rapid_fail_protection_retry_s
        self.resume_at = now + self._scaled(retry_s) if retry_s > 0 else None

    def is_protected(self, limits: Failure) -> bool:
        """Whether failures may disable it."""
        return self.is_accepting and limits.rapid_fail_protection

    def has_failed_too_often(self, now: float, limits: Failure) -> bool:
        """Rapid-fail protection: whether it is to be disabled."""
        if not self.is_protected(limits):
            return False
        most = 1 if self.is_on_trial else limits.rapid_fail_protection_max_crashes
        return self.failure_count(now, limits) >= most

    def failure_count(self, now: float, limits: Failure) -> int:
        """Failures in the current window."""
        return self.failures.count(now, self._scaled(limits.rapid_fail_protection_interval_s))

    def next_date(self) -> float | None:
        """When it comes back, or its trial ends."""
        if self.trial_until is None or self.resume_at is None:
            return self.resume_at if self.trial_until is None else self.trial_until
        return min(self.resume_at, self.trial_until)
