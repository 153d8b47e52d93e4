"""What a body is put together from: bytes, and regions of open files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

__all__ = ["Chunk", "FileRegion", "close_files", "read_region", "size_of"]


class FileRegion:
    """Part of an open file as a chunk of a body; closed with the request if `is_owned`."""

    __slots__ = ("fd", "is_owned", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int, *, is_owned: bool = True) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length
        self.is_owned = is_owned

    def duplicate(self) -> FileRegion:
        """The same region through a descriptor that outlives this one's."""
        return FileRegion(os.dup(self.fd), self.offset, self.length)

    def close(self) -> None:
        """Close the descriptor if it is ours; again is harmless."""
        if self.is_owned and self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


Chunk = bytes | FileRegion


def size_of(chunks: list[Chunk]) -> int:
    """How many bytes they are together."""
    if len(chunks) == 1 and isinstance(chunks[0], bytes):
        return len(chunks[0])
    return sum(len(c) if isinstance(c, bytes) else c.length for c in chunks)


def close_files(chunks: Iterable[Chunk]) -> None:
    """The chunks have gone, or never will. Modules need not be typed: others may be among them."""
    for chunk in chunks:
        if isinstance(chunk, FileRegion):
            chunk.close()


def read_region(region: FileRegion, block_bytes: int) -> Iterator[bytes]:
    """The bytes of a region, in blocks. OSError where the file has become shorter than that."""
    at, end = region.offset, region.offset + region.length
    while at < end:
        data = os.pread(region.fd, min(block_bytes, end - at), at)
        if not data:
            raise OSError("the file has become shorter while it was sent")
        at += len(data)
        yield data
