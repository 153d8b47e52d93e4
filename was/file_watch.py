"""FolderWatch: which names changed in some folders, told by the kernel (inotify(7)).

Folders, not files: editors and deployments replace files, and a watch on one would stay with what
was replaced. What cannot be watched is said, so that its user looks by himself now and then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

__all__ = ["OVERFLOW", "Change", "FolderWatch"]

# In place of a folder's path: changes were lost, anything may have changed.
OVERFLOW = ""

_CLOSE_WRITE, _ATTRIB = 0x8, 0x4
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT = 0x400, 0x800, 0x2000
_QUEUE_OVERFLOW, _IGNORED, _IS_FOLDER = 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS = 0x01000000
_MASK = (
    _CLOSE_WRITE
    | _ATTRIB
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLY_FOLDERS
)
_GONE = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_HEADER = struct.Struct("iIII")
_READ_SIZE = 64 * 1024


class Change(NamedTuple):
    """What happened in a folder; the name is "" where the folder itself went."""

    folder: str
    name: str
    is_folder: bool = False  # what has the name is a folder


class FolderWatch:
    """Some folders, watched without a thread: whoever polls `fd` calls `changes`."""

    def __init__(self) -> None:
        """OSError (EMFILE, ENOSYS …) where the kernel gives no watch."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self.fd: int = self._checked(self._libc.inotify_init1(flags))
        self._numbers: dict[str, int] = {}
        # The kernel has one number for one folder, however many paths lead to it.
        self._folders: dict[int, set[str]] = {}

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def add(self, folder: str) -> None:
        """Watch a folder from now on; OSError if it is none, cannot be read, or limits are met."""
        if folder in self._numbers:
            return
        number = self._checked(
            self._libc.inotify_add_watch(self.fd, os.fsencode(folder), ctypes.c_uint32(_MASK))
        )
        self._numbers[folder] = number
        self._folders.setdefault(number, set()).add(folder)

    def keep(self, folders: Iterable[str]) -> None:
        """Stop watching all folders but these."""
        for folder in self._numbers.keys() - set(folders):
            number = self._numbers.pop(folder)
            self._folders[number].discard(folder)
            if not self._folders[number]:
                self._remove(number)

    @property
    def folders(self) -> list[str]:
        """What is watched."""
        return list(self._numbers)

    def changes(self) -> set[Change]:
        """All that was written, made, moved or removed since the last call. Never blocks.

        A folder that went is watched no longer.
        """
        found: set[Change] = set()
        while True:
            try:
                data = os.read(self.fd, _READ_SIZE)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.EINTR:
                    raise
                continue
            self._take(data, found)

    def _take(self, data: bytes, found: set[Change]) -> None:
        at = 0
        while at < len(data):
            number, mask, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            if mask & _QUEUE_OVERFLOW:
                found.add(Change(OVERFLOW, ""))
                continue
            is_gone = bool(mask & _GONE)
            folders = self._folders.get(number, ())
            is_folder = bool(mask & _IS_FOLDER)
            found.update(
                Change(folder, "" if is_gone else name, is_folder and not is_gone)
                for folder in folders
            )
            if is_gone and folders:
                for folder in folders:
                    del self._numbers[folder]
                # Moved away it would be watched on, under a name that is not its own.
                self._remove(number)

    def _remove(self, number: int) -> None:
        del self._folders[number]
        self._libc.inotify_rm_watch(self.fd, number)

    def close(self) -> None:
        """Give the descriptor back."""
        with suppress(OSError):
            os.close(self.fd)
