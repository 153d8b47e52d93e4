"""What all pools share of the machine: NUMA nodes, how many workers it may have, its memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Machine", "count_nodes"]

NODES = Path("/sys/devices/system/node")


@dataclass(slots=True)
class Machine:
    """Plain state. `workers` are the ids of all workers that live, of whatever pool."""

    nodes: int = 1
    most_workers: int = 2147483647  # webLimits/demandStartThreshold
    idle_divisor: int = 1  # how many times shorter idle timeouts are: memory is short
    workers: set[int] = field(default_factory=set[int])

    @property
    def has_room(self) -> bool:
        """Whether one more worker may be started where there was none."""
        return len(self.workers) < self.most_workers


def count_nodes(folder: Path = NODES) -> int:
    """The NUMA nodes that have processors; 1 where the kernel tells of none."""
    for name in ("has_cpu", "online"):
        try:
            return max(1, _count(folder.joinpath(name).read_text()))
        except (OSError, ValueError):
            continue
    return 1


def _count(text: str) -> int:
    """How many numbers a list like `0-1,4` names."""
    total = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total
