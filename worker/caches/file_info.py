"""IHttpFileInfo: a file as it was when it was opened, and whether it is still that file.

The file is opened once and looked at through its descriptor, which stays open while anybody holds
the information; small files are kept in memory as well.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from was.worker.caches.data import CacheSpecificData
from was.worker.caches.keys import FileKey
from was.worker.http_dates import format_date
from was.worker.interfaces.hresult import (
    E_FAIL,
    ERROR_ACCESS_DENIED,
    ERROR_FILE_NOT_FOUND,
    HResultError,
)
from was.worker.static.representation import entity_tag

if TYPE_CHECKING:
    from was.worker.global_modules.file_monitors import FileMonitor
    from was.worker.security.tokens import HttpTokenEntry, Token

__all__ = ["BUFFER_BYTES", "FileInfo", "open_file"]

# Files up to this size are kept in memory.
BUFFER_BYTES = 64 * 1024

_READ_ONLY, _HIDDEN, _DIRECTORY, _NORMAL = 0x1, 0x2, 0x10, 0x80
_FILETIME_EPOCH = 116444736000000000  # 1970 in units of 100 ns since 1601


class FileInfo(CacheSpecificData):
    """What is known of one file. Made by `open_file`."""

    def __init__(self, path: str, fd: int, status: os.stat_result, data: bytes | None) -> None:
        super().__init__(FileKey(path))
        self.file_path = path
        self.size = status.st_size
        self.file_buffer = data
        self.vr_path = ""
        self.vr_token: HttpTokenEntry | None = None
        self.monitor: FileMonitor | None = None  # that tells of changes of it
        self._fd = fd
        self._status = status

    @property
    def file_handle(self) -> int:
        """A descriptor open for reading, ours: use pread; -1 for a folder."""
        return self._fd

    @property
    def attributes(self) -> int:
        """FILE_ATTRIBUTE_ bits: a name that begins with a dot is hidden."""
        mode = self._status.st_mode
        found = 0 if mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) else _READ_ONLY
        if os.path.basename(self.file_path).startswith("."):
            found |= _HIDDEN
        if stat.S_ISDIR(mode):
            found |= _DIRECTORY
        return found or _NORMAL

    @property
    def etag(self) -> str:
        """A strong entity tag, as StaticFileModule sends it."""
        return entity_tag(self._status.st_mtime_ns, self.size)

    @property
    def last_modified_time(self) -> int:
        """FILETIME: units of 100 ns since 1601."""
        return self._status.st_mtime_ns // 100 + _FILETIME_EPOCH

    @property
    def last_modified_string(self) -> str:
        """The same as an HTTP date."""
        return format_date(int(self._status.st_mtime))

    @property
    def http_cache_allowed(self) -> tuple[bool, int]:
        """Whether the response cache may keep it, and for how many seconds (0: until a change)."""
        return stat.S_ISREG(self._status.st_mode), 0

    def access_check(self, token: Token | None) -> None:
        """Whether a user may read the file. HResultError: ERROR_ACCESS_DENIED. None: nobody asks.

        By owner, group and mode, as the kernel decides where there is no access control list.
        """
        if token is None or token.uid == 0:
            return
        mode, status = self._status.st_mode, self._status
        if token.uid == status.st_uid:
            is_allowed = mode & stat.S_IRUSR
        elif status.st_gid in (token.gid, *token.groups):
            is_allowed = mode & stat.S_IRGRP
        else:
            is_allowed = mode & stat.S_IROTH
        if not is_allowed:
            raise HResultError(ERROR_ACCESS_DENIED, self.file_path)

    def check_if_file_has_changed(self, token: Token | None = None) -> bool:
        """Whether another file, or another content, is at the path now."""
        try:
            now = os.stat(self.file_path)
        except (OSError, ValueError):
            return True
        return _identity(now) != _identity(self._status)

    def release(self) -> None:
        """Nobody holds it any more."""
        if self.monitor is not None:
            self.monitor.dereference_file_monitor()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # A module that forgets its reference must not cost the worker a descriptor.
        if self._fd >= 0:
            os.close(self._fd)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def open_file(path: str) -> FileInfo:
    """Open a regular file or look at a folder.

    HResultError: ERROR_FILE_NOT_FOUND, ERROR_ACCESS_DENIED, E_FAIL for what is neither.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except PermissionError as error:
        raise HResultError(ERROR_ACCESS_DENIED, path) from error
    except (OSError, ValueError) as error:
        raise HResultError(ERROR_FILE_NOT_FOUND, path) from error
    try:
        return _look(path, fd)
    except BaseException:
        os.close(fd)
        raise


def _look(path: str, fd: int) -> FileInfo:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        os.close(fd)
        return FileInfo(path, -1, status, None)
    if not stat.S_ISREG(status.st_mode):
        raise HResultError(E_FAIL, f"{path} is no file")
    is_small = status.st_size <= BUFFER_BYTES
    return FileInfo(path, fd, status, os.pread(fd, status.st_size, 0) if is_small else None)
