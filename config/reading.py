"""Configuration files from the disk to a tree, with every way to go wrong a ConfigErrors.

A web.config belongs to the application's author, who need not be trusted: it may be a link in a
circle, a pipe that never ends or a gigabyte of tags. Only plain files of a bounded size are read.

A section with configSource lies as a whole in another file, an element with childSource has its
children there. The root of that file is a tag of the same name; it lies in the folder of the file
that names it, or below, and names no further file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from was.config.parse import MAX_BYTES, Node, parse, too_large
from was.errors import ConfigError, ConfigErrors

__all__ = ["MAX_WEB_CONFIG_BYTES", "Sources", "is_folder", "read_data", "read_file"]

MAX_WEB_CONFIG_BYTES = 1 << 20
_ACCESS_DENIED = 0x80070005
_NOT_READABLE = 0x80070003


def read_file(path: Path, limit: int = MAX_BYTES) -> Node:
    """The parsed file; what keeps it from being read is a ConfigErrors like any other fault."""
    return parse(read_data(path, limit), str(path))


def read_data(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The file's content; what keeps it from being read is a ConfigErrors."""
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
    return data


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


def is_folder(path: str) -> bool:
    """Whether there is a folder that can be entered."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


class Sources:
    """The further files that one file names; `taken` are those that were wanted so far."""

    def __init__(self, file: Path, limit: int = MAX_BYTES) -> None:
        self._folder = file.parent
        self._limit = limit
        self.taken: list[Path] = []

    def take_in(self, node: Node, name: str, errors: list[ConfigError]) -> None:
        """Put into `node` what its attribute `name` stands for; it goes away in any case."""
        text = node.attributes.pop(name)
        problem = self._take_in(node, text, name == "configSource", errors)
        if problem:
            errors.append(ConfigError(problem, file=node.file, line=node.line, column=node.column))

    def _take_in(self, node: Node, text: str, is_whole: bool, errors: list[ConfigError]) -> str:
        if node.children or (is_whole and node.attributes):
            return "What lies in another file cannot lie here too"
        parts = Path(text.replace("\\", "/")).parts
        if not parts or parts[0] == "/" or ".." in parts:
            return f"'{text}' is no file in this folder or below it"
        file = self._folder.joinpath(*parts)
        self.taken.append(file)
        try:
            root = read_file(file, self._limit)
        except ConfigErrors as error:
            errors += error.errors
            return ""
        if root.name != node.name:
            return f"The root element of '{file}' must be '{node.name}', not '{root.name}'"
        if root.attributes and not is_whole:
            return f"The root element of '{file}' has attributes, which belong here"
        if _names_files(root):
            return f"'{file}' names a further file"
        if is_whole:
            node.attributes.update(root.attributes)
            node.file, node.line, node.column = root.file, root.line, root.column
        node.children = root.children
        return ""


def _names_files(node: Node) -> bool:
    if "configSource" in node.attributes or "childSource" in node.attributes:
        return True
    return any(_names_files(child) for child in node.children)
