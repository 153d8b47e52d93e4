"""Folders of sockets whose owners have gone: whoever makes the next one removes them.

A manager that is killed leaves its folder, and where its home is removed too nobody else would
ever come to it. Each folder notes its home. It is nobody's when that home's lock is free and no
socket in it is bound by a living process (a listener serves on without a manager). Making and
removing exclude each other, and a manager makes its folder only when it holds its home's lock; so
between that look and the removal nobody can come to use it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from was.recorded import lock_holder

__all__ = ["excluding_others", "note_home", "remove_left"]

LOCK = ".lock"
HOME_NOTE = "home"
# A folder without a note is of code that did not write any: such a one may just be starting.
LEAST_AGE_S = 60.0

_NAME = re.compile(r"[0-9a-f]{8}")


@contextmanager
def excluding_others(base: Path) -> Generator[None]:
    """Nobody else makes or removes folders in `base` meanwhile."""
    lock = os.open(base / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def note_home(folder: Path, lock_file: Path) -> None:
    """Write down whose folder it is: whoever holds this lock."""
    note = folder / HOME_NOTE
    note.write_bytes(os.fsencode(lock_file))
    note.chmod(0o600)


def remove_left(base: Path, own: Path) -> None:
    """Remove every folder of this user in `base` that is nobody's any more; `own` is ours."""
    for folder in base.iterdir():
        if folder == own or not _NAME.fullmatch(folder.name):
            continue
        try:
            if _is_nobodys(folder):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # whatever cannot be looked at stays


def _is_nobodys(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False
    try:
        lock_file = Path(os.fsdecode((folder / HOME_NOTE).read_bytes()))
    except FileNotFoundError:
        if time.time() - found.st_mtime < LEAST_AGE_S:
            return False
    else:
        if lock_holder(lock_file) is not None:
            return False
    return not any(_is_bound(path) for path in folder.rglob("*"))


def _is_bound(path: Path) -> bool:
    """Whether a living process has a socket there. No connection is made to find that out."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    # No socket of ours is one for datagrams, so a living one is of the wrong kind, never connected.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass
        return True
