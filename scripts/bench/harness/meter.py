"""What a process costs, read from /proc: CPU time, proportional memory, descriptors, children."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "children",
    "command_line",
    "cpu_us",
    "descriptors",
    "is_alive",
    "process_state",
    "processes_naming",
    "pss_bytes",
    "rss_bytes",
]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_us(pid: int) -> float:
    """User and system time of a process so far, in microseconds (steps of 10,000)."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    fields = stat.rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 / _TICKS_PER_S


def pss_bytes(pid: int) -> int:
    """Memory of a process with each shared page divided among its users."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), b"Pss:")


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return _kilobytes(Path(f"/proc/{pid}/status"), b"VmRSS:")


def process_state(pid: int) -> str:
    """The letter that the kernel has for a process: Z has ended; "" when it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


def is_alive(pid: int) -> bool:
    """Whether a process has not ended, awaited or not."""
    return process_state(pid) not in ("", "Z", "X")


def descriptors(pid: int) -> dict[int, str]:
    """Open descriptors of a process and what they are."""
    found: dict[int, str] = {}
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(f"{folder}/{name}")
        except OSError:
            continue
    return found


def children(pid: int) -> list[int]:
    """The process's children now."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def command_line(pid: int) -> str:
    """A process's arguments or title; "" when it has gone or is a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def processes_naming(text: str) -> dict[int, str]:
    """Processes other than this one whose command line holds `text`, by pid."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            line = command_line(int(name))
            if text in line:
                found[int(name)] = line
    return found


def _kilobytes(file: Path, label: bytes) -> int:
    for line in file.read_bytes().splitlines():
        if line.startswith(label):
            return int(line.split()[1]) * 1024
    return 0
