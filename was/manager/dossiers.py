"""Dossiers: one JSON file for each process that ended badly, the last MOST_DOSSIERS of them.

The names begin with the time, so the oldest are the first. What cannot be written is counted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import gmtime, strftime

from was.log import log

__all__ = ["DossierFolder", "dossier_name", "file_tail", "lines_of_worker"]

MOST_DOSSIERS = 200
TAIL_BYTES = 64 * 1024
MOST_LOG_LINES = 100


class DossierFolder:
    """logs/failures."""

    def __init__(self, folder: Path, most: int = MOST_DOSSIERS) -> None:
        self.folder = folder
        self._most = most
        self.dropped = 0

    def write(self, name: str, facts: Mapping[str, object]) -> str:
        """Write one and remove those that are too many; its path, "" when it was dropped."""
        path = self.folder / f"{name}.json"
        temporary = self.folder / f".{name}.new"
        content = json.dumps({"dossier": name, **facts}, indent=1, default=str).encode()
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            # URLs and log lines may hold what not everybody on the machine should read.
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            with open(fd, "wb") as file:
                file.write(content + b"\n")
            temporary.rename(path)
        except OSError as error:
            self.dropped += 1
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            log("log_dropped", file=str(path), dossiers=self.dropped, error=error)
            return ""
        self._remove_oldest()
        return str(path)

    def _remove_oldest(self) -> None:
        with suppress(OSError):
            names = sorted(p.name for p in self.folder.iterdir() if p.suffix == ".json")
            for name in names[: max(0, len(names) - self._most)]:
                (self.folder / name).unlink(missing_ok=True)


def dossier_name(wall: float, event_id: int, worker_id: int) -> str:
    """The name of a dossier about an event of this moment."""
    stamp = strftime("%Y%m%dT%H%M%S", gmtime(wall))
    return f"{stamp}{int(wall % 1 * 1000):03d}-{event_id}-{worker_id}"


def file_tail(path: Path, begin: int = 0, most: int = TAIL_BYTES) -> list[str]:
    """The last whole lines of a file from byte `begin` on, at most so many bytes of them."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        size = os.fstat(fd).st_size
        if size < begin:  # it was moved away, this is another
            begin = 0
        start = max(begin, size - most)
        raw = os.pread(fd, size - start, start)
    except OSError:
        return []
    finally:
        os.close(fd)
    if start > begin:
        raw = raw.partition(b"\n")[2]
    return raw.decode("utf-8", "replace").splitlines()


def lines_of_worker(lines: Iterable[str], pid: int, most: int = MOST_LOG_LINES) -> list[str]:
    """The last lines that the worker of this pid wrote, or that nobody's name stands on.

    Several workers may share a file, and what an application prints bears no name: such a line is
    kept unless it continues (indented, as a traceback does) the line of another process.
    """
    kept: list[str] = []
    is_foreign = False
    for line in lines:
        words = line.split(" ", 3)
        said_by = words[2] if len(words) == 4 and words[0].endswith("Z") else ""
        if said_by.endswith("]") and "[" in said_by:
            is_foreign = said_by != f"worker[{pid}]"
        elif not line.startswith((" ", "\t")):
            is_foreign = False
        if not is_foreign:
            kept.append(line)
    return kept[-most:]
