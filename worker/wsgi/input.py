"""wsgi.input over a body that is still arriving, or that modules filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.interfaces.request import HttpRequest

__all__ = ["EntityReader"]

_BLOCK_BYTES = 65536


class EntityReader:
    """A file-like reader that ends where the body ends."""

    __slots__ = ("_buffer", "_is_at_end", "_request")

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._buffer = b""
        self._is_at_end = False

    def _more(self) -> bool:
        """Add a block to the buffer; False at the end of the body."""
        if self._is_at_end:
            return False
        data = self._request.read_entity_body(_BLOCK_BYTES)
        if not data:
            self._is_at_end = True
            return False
        self._buffer += data
        return True

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes, fewer only at the end; all that is left for None or a negative size."""
        if size is None or size < 0:
            parts = [self._buffer]
            self._buffer = b""
            while not self._is_at_end:
                data = self._request.read_entity_body(_BLOCK_BYTES)
                self._is_at_end = not data
                parts.append(data)
            return b"".join(parts)
        if len(self._buffer) < size:
            parts = [self._buffer]
            have = len(self._buffer)
            while have < size and not self._is_at_end:
                data = self._request.read_entity_body(size - have)
                self._is_at_end = not data
                parts.append(data)
                have += len(data)
            self._buffer = b"".join(parts)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """Up to and with the next line end, at most `size` bytes."""
        limit = -1 if size is None else size
        # In parts: a line as long as the body must not be copied with each block of it.
        parts: list[bytes] = []
        have = 0
        while True:
            end = self._buffer.find(b"\n") + 1
            is_over = end > 0
            if not is_over:
                end = len(self._buffer)
            if 0 <= limit <= have + end:
                end = limit - have
                is_over = True
            part, self._buffer = self._buffer[:end], self._buffer[end:]
            parts.append(part)
            have += end
            if is_over or not self._more():
                return part if len(parts) == 1 else b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """The lines that are left, or so many that their length reaches `hint`."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line
