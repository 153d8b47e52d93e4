"""ConfigurationWatch: the files of the configuration are read again when they change.

inotify tells that something happened in a folder; whether it concerns us is decided by looking at
the files. They are looked at now and then without it too: on some file systems nothing is told.
A storm of changes counts as one, at its first quiet moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from was.file_watch import FolderWatch
from was.log import log

__all__ = ["ConfigurationWatch", "Stamp", "Storm", "stamp"]

QUIET_S = 0.2
LONGEST_S = 2.0
MOST_LINKS = 40

Stamp: TypeAlias = tuple[int, int, int, int, int] | None


class Storm:
    """When changes in a row are to be acted on: after a quiet moment, and soon in any case."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    def touched(self, now: float) -> None:
        """One more change."""
        if self._first is None:
            self._first = now
        self._last = now

    def next_deadline(self) -> float | None:
        """When `is_over` will be True if nothing more happens."""
        if self._first is None:
            return None
        return min(self._last + QUIET_S, self._first + LONGEST_S)

    def is_over(self, now: float) -> bool:
        """Whether it is time to act; True once for each storm."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return False
        self._first = None
        return True


class ConfigurationWatch:
    """Watches the files in force, and the folders of all links that lead to them."""

    def __init__(
        self, add_reader: Callable[[int, Callable[[], None]], None], tell: Callable[[], None]
    ) -> None:
        """`tell` is called from the reader when something has happened."""
        self._watch: FolderWatch | None = None
        self._tell = tell
        self._files: dict[Path, Stamp] = {}
        try:
            self._watch = FolderWatch()
        except OSError as error:
            log("limit_lowered", limit="inotify", error=str(error))
            return
        add_reader(self._watch.fd, self._readable)

    def close(self, remove_reader: Callable[[int], object]) -> None:
        """Watch no longer."""
        if self._watch is not None:
            remove_reader(self._watch.fd)
            self._watch.close()
            self._watch = None

    def _readable(self) -> None:
        if self._watch is not None and self._watch.changes():
            self._tell()

    def look_at(self, files: Mapping[Path, Stamp]) -> None:
        """These are the files from now on, as they were when they were read."""
        self._files = dict(files)
        if self._watch is None:
            return
        folders = {folder for file in self._files for folder in _folders_to(file)}
        self._watch.keep(folders)
        for folder in folders:
            with suppress(OSError):  # then looking now and then must do
                self._watch.add(folder)

    def has_changed(self) -> bool:
        """Whether any file is another than at the last call; looks at each."""
        before, self._files = self._files, self._stamps()
        return before != self._files

    def differs(self) -> bool:
        """The same, and the next call says so again."""
        return self._stamps() != self._files

    def _stamps(self) -> dict[Path, Stamp]:
        return {file: stamp(file) for file in self._files}


def stamp(file: Path) -> Stamp:
    """What tells one content of a file from another without reading it; None: there is none."""
    try:
        s = os.stat(file)
    except OSError:
        return None
    return s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def _folders_to(file: Path) -> set[str]:
    """The folder that the file lies in, and that of each link on the way to it."""
    parts = list(reversed(file.absolute().parts[1:]))
    here, links, folders = "/", 0, set[str]()
    while parts and links <= MOST_LINKS:
        part = parts.pop()
        if part == "..":
            here = os.path.dirname(here)
            continue
        path = os.path.join(here, part)
        try:
            target = Path(os.readlink(path))
        except OSError:  # no link
            if not parts:
                folders.add(here)
            here = path
            continue
        folders.add(here)
        links += 1
        if target.is_absolute():
            here = "/"
        parts += [p for p in reversed(target.parts) if p != "/"]
    return folders
