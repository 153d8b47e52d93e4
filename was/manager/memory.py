"""How much memory a process has, as the kernel tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MemoryUse", "measure"]

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """KB; 0 = not measured."""

    virtual_kb: int = 0
    private_kb: int = 0  # what the process alone has: USS


def measure(pid: int, *, virtual: bool, private: bool) -> MemoryUse:
    """Measure what is asked for, since adding up pages takes the kernel time."""
    return MemoryUse(_virtual_kb(pid) if virtual else 0, _private_kb(pid) if private else 0)


def _virtual_kb(pid: int) -> int:
    try:
        pages, _, _ = Path(f"/proc/{pid}/statm").read_text().partition(" ")
    except OSError:
        return 0
    return int(pages) * _PAGE_KB


def _private_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
