"""Configuration files from the disk to a tree, with every way to go wrong a ConfigErrors.

A web.config belongs to the application's author, who need not be trusted: it may be a link in a
circle, a pipe that never ends or a gigabyte of tags. Only plain files of a bounded size are read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from was.config.parse import MAX_BYTES, Node, parse, too_large
from was.errors import ConfigError, ConfigErrors

__all__ = ["MAX_WEB_CONFIG_BYTES", "read_file"]

MAX_WEB_CONFIG_BYTES = 1 << 20
_ACCESS_DENIED = 0x80070005
_NOT_READABLE = 0x80070003


def read_file(path: Path, limit: int = MAX_BYTES) -> Node:
    """The parsed file; what keeps it from being read is a ConfigErrors like any other fault."""
    try:
        data = _read(path, limit)
    except OSError as error:
        hresult = _ACCESS_DENIED if isinstance(error, PermissionError) else _NOT_READABLE
        text = f"Cannot read configuration file: {error.strerror}"
        raise ConfigErrors([ConfigError(text, file=str(path), hresult=hresult)]) from error
    if data is None:
        text = "Cannot read configuration file: it is no plain file"
        raise ConfigErrors([ConfigError(text, file=str(path), hresult=_NOT_READABLE)])
    if len(data) > limit:
        raise too_large(str(path), limit)
    return parse(data, str(path))


def _read(path: Path, limit: int) -> bytes | None:
    """At most one byte more than `limit`; None if this is no plain file."""
    # Without O_NONBLOCK a pipe would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(descriptor)
