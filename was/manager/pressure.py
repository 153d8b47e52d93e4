"""Memory pressure: how much sooner idle workers go (webLimits/dynamicIdleThreshold)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MemoryPressure", "idle_divisor", "used_share"]

MEMINFO = Path("/proc/meminfo")

# IIS's steps: from this part of the threshold on, idle timeouts are so many times shorter.
STEPS = ((1.0, 32), (0.95, 16), (0.9, 8), (0.85, 4), (0.8, 2))
AGGRESSIVE = 8

REDUCED, AGGRESSIVELY, NORMAL = 5192, 5193, 5194


def idle_divisor(used: float, threshold_percent: int) -> int:
    """How many times shorter idle timeouts are when this part of the memory is used; 0 % is off."""
    if threshold_percent == 0:
        return 1
    load = used / (threshold_percent / 100)
    return next((divisor for limit, divisor in STEPS if load >= limit), 1)


def used_share(file: Path = MEMINFO) -> float:
    """The part of the machine's memory that is in use, 0 when the kernel does not tell."""
    try:
        lines = (line.split() for line in file.read_text().splitlines())
        kb = {words[0]: int(words[1]) for words in lines if len(words) > 1}
        return 1 - kb["MemAvailable:"] / kb["MemTotal:"]
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        return 0.0


class MemoryPressure:
    """The divisor in force, and the events of its changes."""

    def __init__(self) -> None:
        self.divisor = 1

    def update(self, divisor: int) -> list[int]:
        """A new measurement; ids of the events that it makes."""
        before, self.divisor = self.divisor, divisor
        found: list[int] = []
        if before == 1 < divisor:
            found.append(REDUCED)
        if before < AGGRESSIVE <= divisor:
            found.append(AGGRESSIVELY)
        if divisor == 1 < before:
            found.append(NORMAL)
        return found
