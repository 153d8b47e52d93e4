"""Slices: bytes of a client's, read in slices, short where they hold many pieces. Pure.

A chunk, or a WebSocket's frame, may be as short as a few bytes, and each has to be found and kept:
a client that sends nothing else would have the loop for itself. So after a slice that held a great
many pieces the rest waits for its turn (turns.py), in slices that are short from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["MANY_PIECES", "SHORT_SLICE_BYTES", "Slices"]

SLICE_BYTES: Final = 64 * 1024
SHORT_SLICE_BYTES: Final = 1024
MANY_PIECES: Final = 128  # in a slice


class Slices:
    """What has come and was not read; true while there is any."""

    __slots__ = ("_at", "_data", "_size")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._size = SHORT_SLICE_BYTES

    def __bool__(self) -> bool:
        return bool(self._data)

    def fits(self, data: bytes) -> bool:
        """Whether these bytes can be read at once: they are the next, and a slice at most."""
        return not self._data and len(data) <= self._size

    def add(self, data: bytes) -> None:
        """More has come."""
        self._data = self.take() + data

    def take(self) -> bytes:
        """All that was not read; the caller's from now on."""
        data = self._data[self._at :] if self._at else self._data
        self._data, self._at = b"", 0
        return data

    def read(self, read: Callable[[bytes], int]) -> bool:
        """Have slices read by `read`, which says how many pieces they held.

        True when nothing is left, False where the rest is to wait for its turn.
        """
        while self._data:
            begin, end = self._at, self._at + self._size
            data = self._data[begin:end]
            self._at = end
            if end >= len(self._data):
                self._data, self._at = b"", 0
            if read(data) > MANY_PIECES:
                self._size = SHORT_SLICE_BYTES
                return not self._data
            self._size = min(2 * self._size, SLICE_BYTES)
        return True
