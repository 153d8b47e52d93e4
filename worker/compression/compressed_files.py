"""The disk cache of compressed static files: `httpCompression/@directory`, a folder a pool.

A file's name says which content it holds: a digest of path, scheme and level, then the original's
time and size. So a changed original is never answered from its old form, workers of one pool share
the folder without a lock, and a restart finds everything again. A file comes into being under
another name and is renamed when it is whole. `maxDiskSpaceUsage` holds per pool; the files longest
unused go first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from was.known import keep
from was.log import log
from was.worker.compression.body_encoding import write_all

if TYPE_CHECKING:
    from was.worker.compression.encoders import Coding

__all__ = ["CompressedFiles"]

_BLOCK_BYTES = 1 << 18
# A use is noted in the file's time when the last note is older.
_NOTE_EVERY_S = 60.0
_MOST_NAMES = 4096


class CompressedFiles:
    """Compressed forms of files, made on demand; `limit_bytes` 0 means none.

    Of `folders` the first is used that can be written to.
    """

    def __init__(self, folders: Sequence[str], limit_bytes: int) -> None:
        self._folder: str = folders[0]
        self._others: list[str] = [*folders[1:]]
        self._limit_bytes = limit_bytes
        self._names: dict[tuple[str, str, int], str] = {}
        self._in_work: set[str] = set()
        self._lock = threading.Lock()
        self._is_broken = False
        self._uid = os.geteuid()

    def open(self, path: str, status: os.stat_result, coding: Coding) -> int:
        """A descriptor of the compressed form, which the caller closes; -1 if there is none."""
        name = self._name(path, status, coding)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return -1
        own = os.fstat(fd)
        if own.st_uid != self._uid:  # a folder that others can write to may hold anything
            os.close(fd)
            return -1
        with suppress(OSError):
            if own.st_atime - own.st_mtime >= _NOTE_EVERY_S:
                os.utime(fd)
        return fd

    def make(self, path: str, status: os.stat_result, coding: Coding, source: int) -> int:
        """Compress what `source` is a descriptor of; like `open`.

        -1 also while another thread does it, or when it cannot be kept.
        """
        name = self._name(path, status, coding)
        with self._lock:
            if self._is_broken or name in self._in_work:
                return -1
            self._in_work.add(name)
        try:
            return self._make(name, status, coding, source)
        except OSError as error:
            if not self._leave(os.path.dirname(name), str(error)):
                return -1
            fd = self.open(path, status, coding)
            return fd if fd >= 0 else self.make(path, status, coding, source)
        finally:
            with self._lock:
                self._in_work.discard(name)

    def _leave(self, folder: str, error: str) -> bool:
        """Whether there is another folder than the one that failed."""
        with self._lock:
            if folder != self._folder:  # another thread was there first
                return True
            if not self._others:
                self._is_broken = True
                log("compression_failed", folder=folder, error=error)
                return False
            self._folder = self._others.pop(0)
            self._names = {}  # after the folder, see _name
        log("compression_elsewhere", folder=folder, instead=self._folder, error=error)
        return True

    def _name(self, path: str, status: os.stat_result, coding: Coding) -> str:
        key = (path, coding.name, coding.level)
        names = self._names
        stem = names.get(key)
        if stem is None:
            stem = os.path.join(self._folder, _digest(repr(key)))
            keep(names, key, stem, _MOST_NAMES)
        return f"{stem}-{status.st_mtime_ns:x}-{status.st_size:x}.{coding.name}"

    def _make(self, name: str, status: os.stat_result, coding: Coding, source: int) -> int:
        os.makedirs(os.path.dirname(name), mode=0o700, exist_ok=True)
        temporary = f"{name}.{os.getpid()}-{threading.get_ident()}"
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            is_whole = _encode_file(source, fd, coding) == status.st_size
            if is_whole:
                os.replace(temporary, name)
                self._make_room(name)
                return fd
            os.unlink(temporary)  # the original is being written just now
        except BaseException:
            os.close(fd)
            with suppress(OSError):
                os.unlink(temporary)
            raise
        os.close(fd)
        return -1

    def _make_room(self, new: str) -> None:
        """Drop older forms of the same file, and what has been unused for longest."""
        folder, name = os.path.split(new)
        stem = name.partition("-")[0]
        files: list[tuple[float, int, str]] = []
        for entry in os.scandir(folder):
            with suppress(OSError):
                own = entry.stat(follow_symlinks=False)
                if entry.name.startswith(stem + "-") and entry.path != new:
                    os.unlink(entry.path)
                else:
                    files.append((own.st_mtime, own.st_size, entry.path))
        if not self._limit_bytes:
            return
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._limit_bytes:
                break
            with suppress(OSError):
                os.unlink(path)
            total -= size


def _digest(text: str) -> str:
    from hashlib import blake2b  # brings OpenSSL along, which most workers never need

    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _encode_file(source: int, target: int, coding: Coding) -> int:
    """Write the coded form; how many bytes the original had."""
    encoder = coding.encoder()
    at = 0
    while data := os.pread(source, _BLOCK_BYTES, at):
        at += len(data)
        write_all(target, encoder.encode(data))
    write_all(target, encoder.finish())
    return at
