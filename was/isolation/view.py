"""Folders that lie below closed ones, made reachable for one process and nobody else.

An interpreter in /root/.pyenv, or a home in /root, cannot be entered by any other user, though the
files themselves are readable. The process gets a mount namespace of its own in which each closed
folder holds nothing but the paths that were asked for; the modes of what lies in those still rule.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Collection, Iterable, Sequence

__all__ = ["closed_folders", "open_view"]

_CLONE_NEWNS = 0x20000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def closed_folders(
    paths: Iterable[str], uid: int = -1, groups: Collection[int] = ()
) -> dict[str, list[str]]:
    """The topmost folder above each path that this user may not pass, and the paths below it.

    Without a user: one whom no folder belongs to. A closed folder that is itself asked for stays as
    it is: an empty one in its place would hide why nothing in it can be read.
    """
    closed: dict[str, list[str]] = {}
    wanted = dict.fromkeys(_real_path(p) for p in paths)
    known = dict.fromkeys(wanted, False)
    for path in wanted:
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            folder = "/" + "/".join(parts[:depth])
            if folder not in known:
                known[folder] = _is_closed(folder, uid, groups)
            if known[folder]:
                closed.setdefault(folder, []).append(path)
                break
    return closed


def _real_path(path: str) -> str:
    """As os.path.realpath, by the kernel: some fifty of them are looked at for each worker."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return os.path.realpath(path)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return os.path.realpath(path)
    finally:
        os.close(fd)


def _is_closed(folder: str, uid: int, groups: Collection[int]) -> bool:
    try:
        found = os.stat(folder)
    except OSError:
        return False
    if found.st_uid == uid:
        return not found.st_mode & stat.S_IXUSR
    if found.st_gid in groups:
        return not found.st_mode & stat.S_IXGRP
    return not found.st_mode & stat.S_IXOTH


def open_view(closed: dict[str, list[str]]) -> None:
    """Put this process into the view; needs CAP_SYS_ADMIN. Raises OSError."""
    if not closed:
        return
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
    for folder, paths in closed.items():
        _replace(folder, _topmost(paths))


def _topmost(paths: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    for path in sorted(paths):
        if not chosen or not path.startswith(chosen[-1] + "/"):
            chosen.append(path)
    return chosen


def _replace(folder: str, paths: Sequence[str]) -> None:
    held: list[tuple[str, int]] = []
    for path in paths:
        try:
            held.append((path, os.open(path, os.O_PATH | os.O_CLOEXEC)))
        except FileNotFoundError:
            continue
    before = os.umask(0o022)
    try:
        _mount("tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=64k,nr_inodes=4k")
        for path, fd in held:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            _mount(f"/proc/self/fd/{fd}", path, None, _MS_BIND | _MS_REC, None)
    finally:
        os.umask(before)
        for _, fd in held:
            os.close(fd)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None
) -> None:
    encoded = [None if t is None else os.fsencode(t) for t in (source, target, kind, options)]
    what = f"mount of {target}"
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), what)


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
