"""The clock: monotonic seconds for every timer, wall time for logs and file names.

Timers never read the wall clock, so a clock that jumps moves no deadline. In a home that holds
`run/testing`, WAS_TEST_TIME_SCALE makes minutes pass in seconds: `scaled` divides every
configured duration by it, at the one place where a setting becomes a deadline.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol

__all__ = ["Clock", "SystemClock", "time_scale", "utc_text"]


class Clock(Protocol):
    """What the rest of the program knows of time."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, UTC; may jump."""
        ...

    def scaled(self, seconds: float) -> float:
        """A configured duration as it is to pass here (shorter in a testing home)."""
        ...


class SystemClock:
    """The machine's clock, with the test scale of the home."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def scaled(self, seconds: float) -> float:
        """A configured duration divided by the test scale."""
        return seconds / self._scale


def utc_text(wall: float) -> str:
    """A wall time in ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))


def time_scale(home: Path) -> float:
    """The factor by which configured durations are shortened: 1.0 but in a testing home.

    Raises ValueError for a WAS_TEST_TIME_SCALE that is not a number of at least 1.
    """
    text = os.environ.get("WAS_TEST_TIME_SCALE")
    if not text or not (home / "run" / "testing").exists():
        return 1.0
    scale = float(text)
    if scale < 1.0:
        raise ValueError(f"WAS_TEST_TIME_SCALE must be at least 1, not {text}")
    return scale
