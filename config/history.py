"""The history of applicationHost.config, as IIS keeps it: a numbered folder for each change.

CFGHISTORY_0000000001 and so on hold the file and the schema it was read with; the oldest go when
there are more than maxHistories. A folder appears whole or not at all, and none is made for what
the newest holds already. Nothing that goes wrong here stops anybody: the reason is returned.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from was.config.atomic import write_file
from was.config.model import ConfigHistory

__all__ = ["Plan", "keep", "newest", "plan"]

_NAME = re.compile(r"CFGHISTORY_([0-9]{10})\Z")
_UNFINISHED = ".CFGHISTORY.new"
_SCHEMA = Path(__file__).resolve().parent / "schema"


@dataclass(frozen=True, slots=True)
class Plan:
    """The folder to make ("" = none), and those that are too old then."""

    new: str
    removed: tuple[str, ...]


def newest(names: Iterable[str]) -> str:
    """The history that was made last, "" if there is none. Pure."""
    return max((name for name in names if _NAME.match(name)), default="")


def plan(names: Iterable[str], max_histories: int, *, has_changed: bool) -> Plan:
    """What is to be done where `names` are there (others than histories do not matter). Pure."""
    kept = sorted(name for name in names if _NAME.match(name))
    number = int(kept[-1].removeprefix("CFGHISTORY_")) + 1 if kept else 1
    new = [f"CFGHISTORY_{number:010}"] if has_changed else []
    return Plan("".join(new), tuple([*kept, *new][:-max_histories]))


def keep(file: Path, settings: ConfigHistory) -> str:
    """Keep what `file` holds if the newest history holds something else.

    What went wrong, "" if nothing. The folder is root's (or the server's owner's) alone: files of
    configuration hold secrets.
    """
    if not settings.enabled:
        return ""
    folder = Path(settings.path)
    try:
        content = file.read_bytes()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # One at a time; the lock ends with its holder and leaves no file behind.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _keep(file.name, content, folder, fd, settings.max_histories)
        finally:
            os.close(fd)
    except BlockingIOError:
        return f"{folder}: another program is writing here"
    except OSError as error:
        return f"{error.filename or folder}: {error.strerror or error}"
    return ""


def _keep(name: str, content: bytes, folder: Path, fd: int, max_histories: int) -> None:
    names = os.listdir(folder)
    last = newest(names)
    has_changed = not last or _content(folder / last / name) != content
    what = plan(names, max_histories, has_changed=has_changed)
    unfinished = folder / _UNFINISHED
    if unfinished.name in names:  # of a writer that was killed
        shutil.rmtree(unfinished)
    if what.new:
        try:
            _make(unfinished, name, content)
            unfinished.rename(folder / what.new)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        os.fsync(fd)
    for old in what.removed:
        # Under its own name a history is whole, also while it goes.
        (folder / old).rename(unfinished)
        shutil.rmtree(unfinished)


def _make(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(mode=0o700)
    (folder / "schema").mkdir()
    for source in sorted(_SCHEMA.glob("*.xml")):
        shutil.copyfile(source, folder / "schema" / source.name)
    write_file(folder / name, content, mode=0o600)


def _content(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes()
    return None
