"""Writing a file of configuration so that nobody ever sees half of it, and nothing is lost.

The new content goes to a temporary file beside the old one, reaches the disk, and takes the old
one's name; then the folder reaches the disk. Whenever the writer is killed, the file is the old one
or the new one. Mode, owner and access list stay; of a symbolic link the target is replaced.

Writers of one folder take turns by a lock on the folder itself, which leaves no file behind and
ends with its holder. Who has the lock removes what killed writers left. A writer that says what it
has read (`expected`) never overwrites what another has written since; one that does not say so is
not held up by the lock, so that a program that may only read a folder cannot keep us from writing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from was.errors import FileChangedError

__all__ = ["CALLS", "Calls", "Content", "read_content", "write_file"]

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ACCESS_LIST = "system.posix_acl_access"
_NO_ACCESS_LIST = {errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP}
_END = ".new"


class Calls:
    """The calls to the operating system that a write is made of: tests stand in between."""

    realpath = staticmethod(os.path.realpath)
    open = staticmethod(os.open)
    close = staticmethod(os.close)
    flock = staticmethod(fcntl.flock)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    fstat = staticmethod(os.fstat)
    fchown = staticmethod(os.fchown)
    fchmod = staticmethod(os.fchmod)
    getxattr = staticmethod(os.getxattr)
    setxattr = staticmethod(os.setxattr)
    fsync = staticmethod(os.fsync)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)

    @staticmethod
    def listdir(folder: int) -> list[str]:
        """The names in an open folder."""
        return os.listdir(folder)


CALLS = Calls()


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held when it was read; None: there was no file."""

    data: bytes | None


def read_content(path: Path) -> Content:
    """What is there now, for `expected` of a later write."""
    try:
        with _opened(str(path), os.O_RDONLY | os.O_NONBLOCK, CALLS) as fd:
            return Content(_read(fd, CALLS))
    except FileNotFoundError:
        return Content(None)


def write_file(
    path: Path,
    data: bytes,
    *,
    mode: int | None = None,
    expected: Content | None = None,
    is_durable: bool = True,
    calls: Calls = CALLS,
) -> None:
    """Make `data` the content of `path`; once this returns it survives a power failure.

    `mode` is by default the old file's (0644 for a new one). With `expected`, FileChangedError if
    the file holds anything else, or somebody is just writing in its folder. OSError names `path`;
    the old file is then as it was. Only an error of the folder's own way to the disk comes when the
    new one is there already. `is_durable` False is for files that need not outlive the machine.
    """
    try:
        target = calls.realpath(path)
        with _opened(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY, calls) as folder:
            is_alone = _lock(folder, calls)
            if expected is not None and not is_alone:
                raise FileChangedError(f"{path}: another program is writing in this folder")
            writer = _Writer(os.path.basename(target), folder, calls, is_durable=is_durable)
            if is_alone:
                writer.remove_left_overs()
            writer.write(data, mode)
            try:
                if expected is not None:
                    writer.insist_on(expected, path)
                writer.put_in_place()
            except BaseException:
                writer.give_up()
                raise
            if is_durable:
                calls.fsync(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


class _Writer:
    """One write in one open folder. All names are relative to it."""

    def __init__(self, name: str, folder: int, calls: Calls, *, is_durable: bool) -> None:
        self._name = name
        self._temporary = f".{name}.{os.urandom(8).hex()}{_END}"
        self._folder = folder
        self._calls = calls
        self._is_durable = is_durable

    def remove_left_overs(self) -> None:
        """Remove what writers of this file left that were killed; ours is not there yet."""
        for name in self._calls.listdir(self._folder):
            if name.startswith(f".{self._name}.") and name.endswith(_END):
                with suppress(FileNotFoundError):
                    self._calls.unlink(name, dir_fd=self._folder)

    def insist_on(self, expected: Content, path: Path) -> None:
        """Raise FileChangedError if the file holds anything else at this moment."""
        try:
            with self._open_old() as old:
                found = Content(_read(old, self._calls))
        except FileNotFoundError:
            found = Content(None)
        if found != expected:
            raise FileChangedError(f"{path}: the file has changed since it was read")

    def write(self, data: bytes, mode: int | None) -> None:
        """Write the temporary file, with the mode, owner and access list of the old one."""
        calls = self._calls
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        # Nobody else may look into it before it has its final mode.
        new = calls.open(self._temporary, flags, 0o600, dir_fd=self._folder)
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[calls.write(new, rest) :]
                self._take_over_rights(new, mode)
                if self._is_durable:
                    calls.fsync(new)
            finally:
                calls.close(new)
        except BaseException:
            self.give_up()
            raise

    def _take_over_rights(self, new: int, mode: int | None) -> None:
        calls = self._calls
        try:
            with self._open_old() as old:
                was, now = calls.fstat(old), calls.fstat(new)
                if not stat.S_ISREG(was.st_mode):
                    number = errno.EISDIR if stat.S_ISDIR(was.st_mode) else errno.EINVAL
                    raise OSError(number, os.strerror(number))
                if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
                    try:
                        calls.fchown(new, was.st_uid, was.st_gid)
                    except PermissionError as error:
                        text = f"its owner and group cannot be kept: {error.strerror}"
                        raise OSError(error.errno, text) from error
                calls.fchmod(new, stat.S_IMODE(was.st_mode) if mode is None else mode)
                if mode is None:
                    self._copy_access_list(old, new)
        except FileNotFoundError:
            calls.fchmod(new, 0o644 if mode is None else mode)

    def _copy_access_list(self, old: int, new: int) -> None:
        try:
            entries = self._calls.getxattr(old, _ACCESS_LIST)
        except OSError as error:
            if error.errno in _NO_ACCESS_LIST:
                return
            raise
        self._calls.setxattr(new, _ACCESS_LIST, entries)

    @contextmanager
    def _open_old(self) -> Generator[int]:
        fd = self._calls.open(self._name, os.O_RDONLY | _FLAGS, dir_fd=self._folder)
        try:
            yield fd
        finally:
            self._calls.close(fd)

    def put_in_place(self) -> None:
        """From now on the new file has the name."""
        folder = self._folder
        self._calls.rename(self._temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)

    def give_up(self) -> None:
        """Remove the temporary file; what failed is what the caller is told."""
        with suppress(OSError):
            self._calls.unlink(self._temporary, dir_fd=self._folder)


@contextmanager
def _opened(path: str, flags: int, calls: Calls) -> Generator[int]:
    fd = calls.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        calls.close(fd)


def _lock(folder: int, calls: Calls) -> bool:
    try:
        calls.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _read(fd: int, calls: Calls) -> bytes:
    parts: list[bytes] = []
    while part := calls.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)
