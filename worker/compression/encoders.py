"""Encoders of the content codings, each over the library that was.config names for it.

Levels are IIS's, 0 to 10, from fast to small. Libraries are imported when the first encoder of
their scheme is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from was.config.model import library_of

if TYPE_CHECKING:
    from was.config.model import CompressionScheme

__all__ = ["Coding", "Encoder", "codings"]


class Encoder(Protocol):
    """One body on its way: what each call returns follows what the ones before have returned."""

    def encode(self, data: bytes) -> bytes:
        """Take more of the body; may keep all of it for now."""
        ...

    def flush(self) -> bytes:
        """Everything taken so far, so that the client can decode it now."""
        ...

    def finish(self) -> bytes:
        """The end."""
        ...


class Coding:
    """A scheme that can be used here, at one level."""

    __slots__ = ("_library", "level", "name")

    def __init__(self, name: str, level: int, library: str) -> None:
        self.name = name
        self.level = level
        self._library = library

    def encoder(self) -> Encoder:
        """A new encoder."""
        return _MAKERS[self.name](importlib.import_module(self._library), self.level)


def codings(schemes: tuple[CompressionScheme, ...], *, is_static: bool) -> dict[str, Coding]:
    """The schemes in use for files, or for what applications answer; without those not here."""
    found: dict[str, Coding] = {}
    for scheme in schemes:
        name = scheme.name.lower()
        wanted = scheme.do_static_compression if is_static else scheme.do_dynamic_compression
        level = scheme.static_compression_level if is_static else scheme.dynamic_compression_level
        library = library_of(name)
        if wanted and library:
            found[name] = Coding(name, level, library)
    return found


class _Zlib:
    def __init__(self, zlib: Any, level: int, window_bits: int) -> None:  # noqa: ANN401
        # zlib's 0 would store, where IIS's 0 is the fastest compression.
        self._work = zlib.compressobj(min(max(level, 1), 9), zlib.DEFLATED, window_bits)
        self._sync: int = zlib.Z_SYNC_FLUSH

    def encode(self, data: bytes) -> bytes:
        coded: bytes = self._work.compress(data)
        return coded

    def flush(self) -> bytes:
        coded: bytes = self._work.flush(self._sync)
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._work.flush()
        return coded


class _Brotli:
    def __init__(self, brotli: Any, level: int) -> None:  # noqa: ANN401
        self._work = brotli.Compressor(quality=level)

    def encode(self, data: bytes) -> bytes:
        coded: bytes = self._work.process(data)
        return coded

    def flush(self) -> bytes:
        coded: bytes = self._work.flush()
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._work.finish()
        return coded


class _Zstd:
    def __init__(self, zstd: Any, level: int) -> None:  # noqa: ANN401
        # zstd's 0 would be its default, 3. RFC 9659 bounds the window at 8 MiB; these keep to it.
        self._work = zstd.ZstdCompressor(max(level, 1))

    def encode(self, data: bytes) -> bytes:
        coded: bytes = self._work.compress(data)
        return coded

    def flush(self) -> bytes:
        coded: bytes = self._work.flush(self._work.FLUSH_BLOCK)
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._work.flush(self._work.FLUSH_FRAME)
        return coded


_MAKERS: dict[str, Callable[[Any, int], Encoder]] = {
    "gzip": lambda zlib, level: _Zlib(zlib, level, 31),
    "deflate": lambda zlib, level: _Zlib(zlib, level, 15),
    "br": _Brotli,
    "zstd": _Zstd,
}
