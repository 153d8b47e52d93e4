"""Where what the application prints goes: to the pool's log, line by line, and never into its way.

A disk that is full, a quota, a pipe whose reader has gone: then `print` would raise OSError in the
middle of a request that has nothing to do with logs, and every one that prints would be answered
500. What cannot be written is lost instead; how much, the log says as soon as it can be written.
"""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from was.log import log

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["keep_output_from_failing"]


class _LosingFile(io.FileIO):
    """A descriptor to write to, whose errors are counted and not raised."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._lost = 0
        self._error = ""

    def write(self, data: ReadableBuffer, /) -> int:
        """All of it, where the descriptor refuses it: nobody is to try again."""
        try:
            written = super().write(data)
        except OSError as error:
            self._lost += 1
            self._error = str(error)
            return memoryview(data).nbytes
        if self._lost:
            lost, self._lost = self._lost, 0
            log("log_dropped", lines=lost, error=self._error)
        return written


def keep_output_from_failing() -> None:
    """Give the process a sys.stdout and a sys.stderr that lose what cannot be written.

    Each line is in the log at once, and there when the worker is killed: Python gives a file whole
    blocks of standard output, and only a terminal each line.
    """
    sys.stdout = _losing(sys.stdout)
    sys.stderr = _losing(sys.stderr)


def _losing(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # None, where the descriptor was closed before Python began
    with suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_LosingFile(stream.fileno())),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )
