"""wsgi.file_wrapper: a file the server may send by its descriptor."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import BufferedRandom, BufferedReader, FileIO
from typing import Any, Protocol

__all__ = ["FileWrapper"]


# None: of what hands on to a file all that it is asked, as those of tempfile.
_READS = (BufferedReader.read, BufferedRandom.read, FileIO.read, None)


class Readable(Protocol):
    """What a file_wrapper is given."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        ...


class FileWrapper:
    """Iterates a file in blocks, unless its region can be sent by descriptor."""

    __slots__ = ("_close", "block_bytes", "file")

    def __init__(self, file: Readable, block_bytes: int = 65536) -> None:
        self.file = file
        self.block_bytes = block_bytes
        self._close = getattr(file, "close", None)

    def close(self) -> None:
        """Close the file, if it can be closed."""
        if self._close is not None:
            self._close()

    def __iter__(self) -> Iterator[bytes]:
        while data := self.file.read(self.block_bytes):
            yield data

    def region(self) -> tuple[int, int, int] | None:
        """(descriptor, offset, length) of what is left to read; None for what is no regular file.

        The offset is where the file object stands, its buffer counted in; text files and objects
        that only look like files (compressed ones) have no region of their own, nor have those
        whose class has a `read` of its own, which may give anything.
        """
        file: Any = self.file
        raw = getattr(file, "raw", file)
        kind: type = self.file.__class__
        if type(raw) is not FileIO or getattr(kind, "read", None) not in _READS:
            return None
        try:
            if raw.writable():
                file.flush()
            fd = raw.fileno()
            status = os.fstat(fd)
            offset: int = file.tell()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None  # the files of /proc say that they are empty, and are not
        return fd, offset, max(0, status.st_size - offset)
