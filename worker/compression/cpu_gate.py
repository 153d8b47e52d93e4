"""Whether processors have time for compression: off above one usage, on again below another."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["CpuGate", "read_processor_times"]

# As long as IIS looks at a time.
SAMPLE_S = 30.0


def read_processor_times() -> tuple[int, int]:
    """Ticks of all processors since the machine's start: (busy, all)."""
    with open("/proc/stat", "rb") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    total = sum(ticks)
    return total - ticks[3] - ticks[4], total  # without idle and iowait


class CpuGate:
    """Open until a sample is at `disable_at` percent or more; shut until one is at `enable_at`.

    A sample is the usage since the one before, SAMPLE_S ago or more. 100 never shuts: that is how
    IIS has it for files. Any thread; two that sample at once do no harm.
    """

    def __init__(
        self,
        disable_at: int,
        enable_at: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        read: Callable[[], tuple[int, int]] = read_processor_times,
    ) -> None:
        self._disable_at = disable_at
        self._enable_at = min(enable_at, disable_at)
        self._clock = clock
        self._read = read
        self._is_open = True
        self._last: tuple[int, int] | None = None
        self._next = 0.0

    def is_open(self) -> bool:
        """Whether to compress now."""
        if self._disable_at >= 100:
            return True
        now = self._clock()
        if now >= self._next:
            self._next = now + SAMPLE_S
            self._sample()
        return self._is_open

    def _sample(self) -> None:
        try:
            busy, total = self._read()
        except (OSError, ValueError):
            return  # nobody tells: stay as it is
        last, self._last = self._last, (busy, total)
        if last is None or total <= last[1]:
            return
        usage = 100 * (busy - last[0]) / (total - last[1])
        if usage >= self._disable_at:
            self._is_open = False
        elif usage <= self._enable_at:
            self._is_open = True
