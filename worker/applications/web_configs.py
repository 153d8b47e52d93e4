"""WebConfigs: which web.config files are in force in this worker, and whether any has changed.

Told by the kernel where it can (was.file_watch), else looked at every few seconds. What is watched
are folders: of files that are there, and of those that would be in force if they were. A file that
one of them names (configSource, childSource) is a part of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from was.file_watch import OVERFLOW, FolderWatch
from was.log import log

__all__ = ["LOOK_EVERY_S", "WebConfigs"]

LOOK_EVERY_S = 2.0


class WebConfigs:
    """The folders that somebody has asked about; `fd` is readable when one may have changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._stamps: dict[str, int | None] = {}
        self._named: dict[str, str] = {}  # files that a web.config names, and its folder
        self._look_at = 0.0
        self._watch: FolderWatch | None = None
        try:
            self._watch = FolderWatch()
        except OSError as error:
            log("limit_lowered", limit="inotify", error=str(error))

    @property
    def fd(self) -> int:
        """To be polled; -1: nobody tells, `changes` must be asked now and then."""
        return -1 if self._watch is None else self._watch.fd

    def add(
        self, files: Iterable[Path], named: Callable[[Path], Iterable[Path]] = lambda _file: ()
    ) -> list[str]:
        """Watch the folders of these files from now on; those that were not watched before.

        `named` gives the files that one of them names. What was read before this call, in the
        folders that are returned, may be out of date.
        """
        new: list[str] = []
        with self._lock:
            for file in files:
                folder = str(file.parent)
                if folder not in self._known and self._add(folder, str(file)):
                    self._known.add(folder)
                    new.append(folder)
                new += [folder for part in named(file) if self._add_named(str(part), folder)]
        return new

    def _add_named(self, file: str, by: str) -> bool:
        if file in self._named:
            return False
        self._named[file] = by
        folder = os.path.dirname(file)
        if folder not in self._known and self._add(folder, file):
            self._known.add(folder)
        if self._watch is None or folder not in self._watch.folders:
            self._stamps[file] = _stamp(file)
        return True

    def _add(self, folder: str, file: str) -> bool:
        if self._watch is not None:
            try:
                self._watch.add(folder)
            except FileNotFoundError:
                if os.path.dirname(folder) in self._known:
                    return False  # its coming is seen in the folder above
            except OSError:
                pass
            else:
                return True
        self._stamps[file] = _stamp(file)
        return True

    def changes(self, now: float) -> list[str]:
        """The folders whose configuration may be another since the last call; "/" means all.

        The log has those of a web.config that is there, or has gone.
        """
        with self._lock:
            found, said = self._hear()
            if self._stamps and now >= self._look_at:
                self._look_at = now + LOOK_EVERY_S
                said |= self._look()
            # An application that makes folders of its own changes no configuration by that.
            said |= {f for f in found if _stamp(os.path.join(f, "web.config")) is not None}
            said |= {by for file, by in self._named.items() if _lies_in(file, found)}
            found |= said
            for folder in found:
                self._drop(folder)
        for folder in sorted(said):
            log("web_config_changed", folder=folder)
        return sorted(found)

    def _hear(self) -> tuple[set[str], set[str]]:
        """The folders that the kernel tells of, and those whose web.config it names."""
        found: set[str] = set()
        said: set[str] = set()
        for change in self._watch.changes() if self._watch is not None else ():
            if change.folder == OVERFLOW:
                said.add("/")
            elif change.is_folder:
                found.add(os.path.join(change.folder, change.name))
            elif change.name == "web.config":
                said.add(change.folder)
            elif not change.name:
                found.add(change.folder)
            elif (file := os.path.join(change.folder, change.name)) in self._named:
                said.add(self._named[file])
        return found, said

    def _look(self) -> set[str]:
        found: set[str] = set()
        for file, before in self._stamps.items():
            stamp = _stamp(file)
            if stamp != before:
                self._stamps[file] = stamp
                found.add(self._named.get(file) or os.path.dirname(file))
        return found

    def _drop(self, folder: str) -> None:
        """Have what lies at and below a folder added anew: it may be another folder by now."""
        above = folder.rstrip("/") + "/"
        gone = {f for f in self._known if f == folder or f.startswith(above)}
        self._known -= gone
        if self._watch is not None and gone:
            self._watch.keep(set(self._watch.folders) - gone)
        self._stamps = {f: s for f, s in self._stamps.items() if os.path.dirname(f) not in gone}
        self._named = {f: by for f, by in self._named.items() if by not in gone}

    def close(self) -> None:
        """Watch nothing any more."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def _lies_in(file: str, folders: Iterable[str]) -> bool:
    return any(file.startswith(f"{folder}/") for folder in folders)


def _stamp(file: str) -> int | None:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return None
