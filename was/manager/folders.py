"""Folders with an owner. Never through a link: who owns the folder above may have put one there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["give_folder", "hide_from_others", "let_others_pass"]


def give_folder(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make a folder, or take the one there is, for this owner; what lies in it directly follows.

    Raises OSError, also for a link in its place.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if (found.st_uid, found.st_gid) != (uid, gid):
            if found.st_uid != uid:
                _give_entries(fd, uid, gid)
            os.fchown(fd, uid, gid)
        if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _give_entries(folder: int, uid: int, gid: int) -> None:
    for name in os.listdir(folder):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        # A second name may be that of anything.
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)


def hide_from_others(path: Path) -> None:
    """Take from a folder of ours what its mode gives to others."""
    if os.geteuid() != 0 or not path.is_dir():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        path.chmod(mode & ~0o007)


def let_others_pass(path: Path) -> None:
    """Let everybody reach what is theirs in a folder of ours, whatever the umask it was made with.

    They do not see what else is in it.
    """
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & stat.S_IXOTH:
        path.chmod(mode | stat.S_IXOTH)
