"""The fragment cache: pieces of responses by name, which may vanish at any time.

IIS keeps them in HTTP.SYS; ours lie in the worker, bounded, and the longest unused goes first.
"""

from __future__ import annotations

import threading

from was.worker.interfaces.hresult import (
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_MEMORY,
    ERROR_PATH_NOT_FOUND,
    HResultError,
)

__all__ = ["MOST_BYTES", "FragmentCache"]

MOST_BYTES = 16 * 1024 * 1024


class FragmentCache:
    """Fragments of one worker. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fragments: dict[str, bytes] = {}
        self._size = 0

    def add(self, name: str, data: bytes) -> None:
        """Keep a fragment; replaces one of the same name. Raises HResultError if it is too big."""
        if not name:
            raise HResultError(ERROR_INVALID_PARAMETER, "a fragment has a name")
        if len(data) > MOST_BYTES:
            raise HResultError(ERROR_NOT_ENOUGH_MEMORY, f"more than {MOST_BYTES} bytes")
        with self._lock:
            self._size += len(data) - len(self._fragments.pop(name, b""))
            self._fragments[name] = bytes(data)
            while self._size > MOST_BYTES:
                self._size -= len(self._fragments.pop(next(iter(self._fragments))))

    def read(self, name: str) -> bytes:
        """A fragment. HResultError: ERROR_PATH_NOT_FOUND."""
        with self._lock:
            data = self._fragments.pop(name, None)
            if data is None:
                raise HResultError(ERROR_PATH_NOT_FOUND, f"no fragment '{name}'")
            self._fragments[name] = data
            return data

    def remove(self, name: str) -> None:
        """Forget a fragment. HResultError: ERROR_FILE_NOT_FOUND."""
        with self._lock:
            data = self._fragments.pop(name, None)
            if data is None:
                raise HResultError(ERROR_FILE_NOT_FOUND, f"no fragment '{name}'")
            self._size -= len(data)

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._fragments, self._size = {}, 0
