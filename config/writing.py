"""Changing applicationHost.config: read, edit, check by the reader of every file, keep, write.

Nothing is written that the reader would refuse. What somebody else has written in the meantime is
never overwritten: the changes are made again, to what is there now.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from was.config.atomic import Content, read_content, write_file
from was.config.changes import Change
from was.config.document import Document
from was.config.edit import Editor
from was.config.faults import INVALID_DATA
from was.config.files import LoadedServer, load_content
from was.config.foundation import foundation
from was.config.history import keep
from was.config.merge import Merged, merge
from was.config.secrets import KEY_NAME, Secrets
from was.errors import ConfigError, ConfigErrors, FileChangedError, SecretError

__all__ = ["Outcome", "change_server"]

T = TypeVar("T")

_MOST_TRIES = 5
_HRESULTS = {
    errno.EACCES: 0x80070005,
    errno.EPERM: 0x80070005,
    errno.ENOENT: 0x80070003,
    errno.ENOTDIR: 0x80070003,
    errno.EROFS: 0x80070013,
    errno.ENOSPC: 0x80070070,
    errno.EDQUOT: 0x80070070,
}
_WRITE_FAULT = 0x8007001D
_SHARING_VIOLATION = 0x80070020


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change: whether there was any, and what a person should know."""

    has_changed: bool
    warnings: tuple[str, ...] = ()


def change_server(path: Path, changes: Sequence[Change], *, home: Path | None = None) -> Outcome:
    """Make `changes` in an applicationHost.config; ConfigErrors, and nothing is written, if not."""
    server = _Server(path, home)
    return _attempted(path, lambda: _change_server(server, changes))


def _attempted(path: Path, change: Callable[[], Outcome]) -> Outcome:
    """Do it, again if somebody else was faster; what goes wrong is a ConfigErrors."""
    for _ in range(_MOST_TRIES - 1):
        with suppress(FileChangedError):
            return _mapped(path, change)
    try:
        return _mapped(path, change)
    except FileChangedError as error:
        raise _fault(str(error), path, _SHARING_VIOLATION) from error


def _mapped(path: Path, action: Callable[[], T]) -> T:
    """Do it; errors of the system and of secrets become faults of the file."""
    try:
        return action()
    except SecretError as error:
        raise _fault(f"A secret cannot be encrypted: {error}", path) from error
    except OSError as error:
        text = f"Cannot write configuration file: {error.strerror}"
        hresult = _HRESULTS.get(error.errno or 0, _WRITE_FAULT)
        raise _fault(text, Path(error.filename or path), hresult) from error


@dataclass(frozen=True, slots=True)
class _Server:
    """The file, and the home that it is read for."""

    path: Path
    home: Path | None

    def read(self) -> tuple[Content, bytes]:
        """What is there. There is no server without the file."""
        content = read_content(self.path)
        if content.data is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        return content, content.data

    def load(self, data: bytes) -> LoadedServer:
        return load_content(data, self.path, home=self.home)


def _change_server(server: _Server, changes: Sequence[Change]) -> Outcome:
    path = server.path
    read, there = server.read()
    inherited = _Inherited(server, there)
    encrypt = Secrets(path.with_name(KEY_NAME)).encrypt
    editor = Editor(Document(there, str(path)), foundation().schema, inherited.at, encrypt)
    for change in changes:
        editor.apply(change)
    data = editor.to_bytes()
    if data == there:
        return Outcome(has_changed=False)
    loaded = server.load(data)
    history = loaded.config.history
    # What a person has changed since the last look is kept too.
    keep(path, history)
    write_file(path, data, expected=read)
    problem = keep(path, history)
    remarks = (f"the history was not kept: {problem}",) if problem else ()
    return Outcome(has_changed=True, warnings=(*loaded.config.warnings, *remarks))


class _Inherited:
    """What holds before the file says anything about a path; read when first asked for."""

    def __init__(self, server: _Server, data: bytes) -> None:
        self._server = server
        self._data = data
        self._loaded: LoadedServer | None = None

    def at(self, location: str, section: str) -> Merged | None:
        merged = foundation().sections.get(section)
        path = location.strip("/").lower()
        if not path or path == ".":
            return merged
        if self._loaded is None:
            self._loaded = self._server.load(self._data)
        segments = path.split("/")
        for count in range(len(segments)):
            for scope in self._loaded.level.scopes_at("/".join(segments[:count])):
                element = scope.sections.get(section)
                if element is not None:
                    ignored: list[ConfigError] = []
                    merged = merge(merged, element, section, ignored, may_restate=not count)
        return merged


def _fault(message: str, path: Path, hresult: int = INVALID_DATA) -> ConfigErrors:
    return ConfigErrors([ConfigError(message, file=str(path), hresult=hresult)])
