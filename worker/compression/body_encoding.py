"""The body of a response, through an encoder: as a whole, or one flush after the other.

What a file gives is read in blocks; coded bytes beyond a limit go to an unlinked file. So memory is
bounded whatever the body's length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from was.worker.chunks import Chunk, FileRegion, read_region

if TYPE_CHECKING:
    from was.worker.compression.encoders import Encoder

__all__ = ["encode_body", "encode_piece", "write_all"]

_BLOCK_BYTES = 1 << 16


def encode_body(chunks: list[Chunk], encoder: Encoder, memory_bytes: int) -> list[Chunk]:
    """The coded form of a whole body: bytes, or the region of a file if it is longer than that.

    Leaves `chunks` as they are. Raises OSError when there is no room for the file.
    """
    return encode_piece(chunks, encoder, memory_bytes, is_last=True)


def encode_piece(
    chunks: list[Chunk], encoder: Encoder, memory_bytes: int, *, is_last: bool
) -> list[Chunk]:
    """The same for some of a body: the client can decode at once what it gets; [] for nothing."""
    kept: list[bytes] = []
    length = kept_bytes = 0
    fd = -1
    try:
        for coded in _coded(chunks, encoder, is_last):
            kept.append(coded)
            length += len(coded)
            kept_bytes += len(coded)
            if kept_bytes > memory_bytes:
                if fd < 0:
                    fd = _unlinked_file()
                write_all(fd, b"".join(kept))
                kept.clear()
                kept_bytes = 0
        data = b"".join(kept)
        if fd < 0:
            return [data] if data else []
        write_all(fd, data)
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise
    return [FileRegion(fd, 0, length)]


def _coded(chunks: list[Chunk], encoder: Encoder, is_last: bool) -> Iterator[bytes]:
    is_empty = True
    for data in _blocks(chunks):
        is_empty = False
        yield encoder.encode(data)
    if is_last:
        yield encoder.finish()
    elif not is_empty:
        yield encoder.flush()


def _blocks(chunks: list[Chunk]) -> Iterator[bytes]:
    for chunk in chunks:
        if isinstance(chunk, bytes):
            for at in range(0, len(chunk), _BLOCK_BYTES):
                yield chunk[at : at + _BLOCK_BYTES]
        else:
            yield from read_region(chunk, _BLOCK_BYTES)


def _unlinked_file() -> int:
    """A file without a name in the pool's temporary folder."""
    import tempfile  # seldom needed, and brings others along

    fd, name = tempfile.mkstemp(prefix="was-body-")
    os.unlink(name)
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however little the system takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
