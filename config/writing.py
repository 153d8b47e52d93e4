"""Changing a configuration file: read, edit, check by the reader of every file, keep, write.

Nothing is written that the reader would refuse. What somebody else has written in the meantime is
never overwritten: the changes are made again, to what is there now.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from was.config.atomic import Content, read_content, write_file
from was.config.changes import Change
from was.config.document import Document
from was.config.edit import EMPTY_FILE, Editor
from was.config.faults import Faults
from was.config.files import LoadedServer, load_content
from was.config.foundation import foundation
from was.config.history import keep
from was.config.merge import Merged, merge
from was.config.model import Site
from was.config.paths import PathTree
from was.config.secrets import KEY_NAME, Secrets
from was.errors import ConfigError, ConfigErrors, FileChangedError, SecretError

__all__ = ["Outcome", "change_server", "change_web_config"]

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
_NOT_SUPPORTED = 0x80070032


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change: whether there was any, and what a person should know."""

    has_changed: bool
    warnings: tuple[str, ...] = ()


def change_server(
    path: Path,
    changes: Sequence[Change],
    *,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Make `changes` in an applicationHost.config; ConfigErrors, and nothing is written, if not."""
    server = _Server(path, home, environment)
    return _attempted(path, lambda: _change_server(server, changes))


def change_web_config(
    server_path: Path,
    config_path: str,
    changes: Sequence[Change],
    *,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Make `changes` in the web.config of a path ("Site/app/folder"), which is made if need be.

    Locations are relative to that path. ConfigErrors, and nothing is written, if anything is wrong.
    """
    server = _Server(server_path, home, environment)
    target, file = _mapped(server_path, lambda: _target(server, config_path))
    return _attempted(file, lambda: _change_web_config(target, file, changes))


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


# ── applicationHost.config ──────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Server:
    """The file, and what it is read with."""

    path: Path
    home: Path | None
    environment: Mapping[str, str] | None

    def read(self) -> tuple[Content, bytes]:
        """What is there. There is no server without the file."""
        content = read_content(self.path)
        if content.data is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        return content, content.data

    def load(self, data: bytes) -> LoadedServer:
        return load_content(data, self.path, home=self.home, environment=self.environment)


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


# ── web.config ──────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Target:
    """A path of a site: `url` without a slash at its end."""

    loaded: LoadedServer
    site: Site
    url: str

    def file(self) -> Path | None:
        """The web.config of the path; None if none is read there."""
        applications = [a for a in self.site.applications if _is_at_or_below(self.url, a.path)]
        application = max(applications, key=lambda a: len(a.path))
        if not self.loaded.reads_web_config(application):
            return None
        return self.supposing(Path("/"), None).web_config(self.url)

    def supposing(self, file: Path, content: bytes | None) -> PathTree:
        return self.loaded.supposing(self.site, file, content)

    def at(self, location: str) -> str:
        """The URL path of a location tag in the file."""
        return f"{self.url}/{location.strip('/')}"


def _target(server: _Server, config_path: str) -> tuple[_Target, Path]:
    """The path that is meant, and its file."""
    loaded = server.load(server.read()[1])
    name, _, rest = config_path.strip("/").partition("/")
    for site in loaded.config.sites:
        if site.name.lower() == name.lower():
            target = _Target(loaded, site, f"/{rest}".rstrip("/"))
            file = target.file()
            if file is not None:
                return target, file
    raise _unknown_path(config_path, server.path)


def _change_web_config(target: _Target, file: Path, changes: Sequence[Change]) -> Outcome:
    read = read_content(file)
    data = EMPTY_FILE if read.data is None else read.data
    without, as_it_is = target.supposing(file, None), target.supposing(file, data)

    def inherited(location: str, section: str) -> Merged | None:
        path = location.strip("/")
        if path in ("", "."):
            return without.node(target.url).own.sections.get(section)
        return as_it_is.node(target.at(path.rpartition("/")[0])).own.sections.get(section)

    editor = Editor(Document(data, str(file)), foundation().schema, inherited, _refuse_secret)
    for change in changes:
        editor.apply(change)
    new = editor.to_bytes()
    if new == data:
        return Outcome(has_changed=False)
    warnings = _check_web_config(target, file, new)
    write_file(file, new, expected=read)
    return Outcome(has_changed=True, warnings=warnings)


def _check_web_config(target: _Target, file: Path, content: bytes) -> tuple[str, ...]:
    """What the file would say without effect; ConfigErrors if it could not be used."""
    tree = target.supposing(file, content)
    node = tree.node(target.url)
    if node.errors:
        raise ConfigErrors(list(node.errors))
    level = node.sources[-1].level
    errors = Faults()
    for location in level.scopes:
        errors += tree.node(target.at(location)).errors if location else []
    if errors:
        raise ConfigErrors(errors)
    return tuple(target.loaded.remarks_on(level))


def _refuse_secret(text: str) -> str:
    raise SecretError("workers read a web.config; set it for this path in applicationHost.config")


def _is_at_or_below(url: str, application: str) -> bool:
    return f"{url.lower()}/".startswith(f"{application.lower().rstrip('/')}/")


def _unknown_path(config_path: str, file: Path) -> ConfigErrors:
    text = f"Unrecognized configuration path 'MACHINE/WEBROOT/APPHOST/{config_path}'"
    return _fault(text, file, _NOT_SUPPORTED)


def _fault(message: str, path: Path, hresult: int = 0x8007000D) -> ConfigErrors:
    return ConfigErrors([ConfigError(message, file=str(path), hresult=hresult)])
