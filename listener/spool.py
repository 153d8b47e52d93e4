"""Bytes of slow clients: in memory up to a limit, then in an unlinked file.

Each has its own limit of memory, and `SpoolMemory` one for all clients of the listener together:
when that is reached, what comes goes to files at once.

A spool is written at its end and read from its beginning; reading does not forget, so a request
whose body it holds can be sent to a second worker. `SpoolAccount` caps what all spools of a pool
hold together: above it nothing is refused, but the other side is made to wait (back-pressure).

Writes go to the page cache from the loop itself: one is at most a message (128 KiB), and the file
has no name, so nothing is ever flushed for its sake.
"""

from __future__ import annotations

import os
import tempfile
from bisect import insort
from pathlib import Path
from typing import Protocol

__all__ = ["MAX_AHEAD", "Runner", "Spool", "SpoolAccount", "SpoolMemory"]


# How many responses of a pool may run ahead of their clients at once.
MAX_AHEAD = 4


MEMORY_BYTES = 128 * 1024 * 1024


class SpoolMemory:
    """What all slow clients of a listener hold in its memory, and how many of its descriptors."""

    __slots__ = ("held_bytes", "held_descriptors", "limit_bytes")

    def __init__(self) -> None:
        self.held_bytes = 0
        self.held_descriptors = 0  # besides their connections
        self.limit_bytes = MEMORY_BYTES

    def is_full(self) -> bool:
        """Whether more is to go to a file, however little it is."""
        return self.held_bytes >= self.limit_bytes


class Runner(Protocol):
    """A response whose client, or a body whose worker, cannot have it as fast as it comes."""

    @property
    def order(self) -> int:
        """The older the smaller."""
        ...

    def may_run(self) -> None:
        """It may have come to be among the first: look again."""
        ...


class SpoolAccount:
    """What the spools of one pool hold, in memory and in files, and how much they may.

    When many clients are slow at once their responses would fill the spools side by side, and no
    worker's slot would come free before the last byte of all. So only the oldest few may run ahead
    of their clients; the others go at their clients' pace until it is their turn. In the same way
    only the oldest few bodies go on arriving once the spools are full.
    """

    __slots__ = ("_bodies", "_runners", "folder", "held_bytes", "limit_bytes", "memory")

    def __init__(self, folder: Path, limit_bytes: int, memory: SpoolMemory | None = None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.memory = memory or SpoolMemory()
        self.held_bytes = 0
        self._runners: list[Runner] = []
        self._bodies: list[Runner] = []

    def is_full(self) -> bool:
        """Whether the other side should wait."""
        return self.held_bytes >= self.limit_bytes

    def may_run_ahead(self, runner: Runner) -> bool:
        """Whether this response may go on spooling; asking puts it in line."""
        runners = self._runners
        if runner not in runners:
            insort(runners, runner, key=lambda other: other.order)
        return not self.is_full() and runner in runners[:MAX_AHEAD]

    def leave(self, runner: Runner) -> None:
        """The worker has given all of it, or the client has caught up: the next one may run."""
        if runner in self._runners:
            self._runners.remove(runner)
            for other in self._runners[:MAX_AHEAD]:
                other.may_run()

    def may_arrive(self, body: Runner) -> bool:
        """Whether more of this body may come; if not, it is told when it may."""
        if not self.is_full():
            return True
        if body not in self._bodies:
            insort(self._bodies, body, key=lambda other: other.order)
        return body in self._bodies[:MAX_AHEAD]

    def body_over(self, body: Runner) -> None:
        """All of it has come, or nobody wants it: the next one may."""
        if body in self._bodies:
            self._bodies.remove(body)
            for other in self._bodies[:MAX_AHEAD]:
                other.may_run()

    def release(self, count: int) -> None:
        """So many bytes are held no more."""
        self.held_bytes -= count
        if self._bodies and not self.is_full():
            bodies, self._bodies = self._bodies, []
            for body in bodies:
                body.may_run()


class Spool:
    """Bytes written once and read from any offset."""

    __slots__ = ("_account", "_fd", "_in_file", "_memory", "_memory_limit", "size")

    def __init__(self, account: SpoolAccount, memory_limit: int) -> None:
        self._account = account
        self._memory_limit = memory_limit
        self._memory = bytearray()
        self._fd = -1
        self._in_file = 0
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add bytes at the end. Raises OSError when the disk is full."""
        memory = self._account.memory
        if self._fd < 0 and (self.size + len(data) > self._memory_limit or memory.is_full()):
            self._fd = _unlinked_file(self._account.folder)
            memory.held_descriptors += 1
            self._write(self._memory)
            self._forget_memory()
        if self._fd < 0:
            self._memory += data
            memory.held_bytes += len(data)
        else:
            self._write(data)
        self.size += len(data)
        self._account.held_bytes += len(data)

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, self._in_file)
            self._in_file += written
            view = view[written:]

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the present end."""
        if self._fd < 0:
            return bytes(self._memory[offset : offset + count])
        return os.pread(self._fd, min(count, self.size - offset), offset)

    def restart(self) -> None:
        """Let go of everything written so far; offsets count from 0 again."""
        self._forget_memory()
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
        size, self.size = self.size, 0
        self._in_file = 0
        self._account.release(size)

    def _forget_memory(self) -> None:
        self._account.memory.held_bytes -= len(self._memory)
        self._memory = bytearray()

    @property
    def file(self) -> int:
        """The descriptor when the bytes lie in a file, else -1. It stays the spool's."""
        return self._fd

    def close(self) -> None:
        """Give memory, file and account back; may be called twice."""
        self._forget_memory()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._account.memory.held_descriptors -= 1
        size, self.size = self.size, 0
        self._account.release(size)


def _unlinked_file(folder: Path) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # A file system without O_TMPFILE, or a folder that is not there: the ordinary way.
        fd, name = tempfile.mkstemp(dir=folder if folder.is_dir() else None, prefix="spool-")
        os.unlink(name)
        return fd
