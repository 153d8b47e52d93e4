"""Whether files of the applications have changed since they were imported.

Looked at by stat, once a second and only where `<python reloadOnChange="true">` asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

__all__ = ["LOOK_EVERY_S", "ModuleFiles"]

LOOK_EVERY_S = 1.0


class ModuleFiles:
    """The files of all modules imported from some folders, as they were when first seen."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = tuple(folder.rstrip(os.sep) + os.sep for folder in folders)
        self._look_at = 0.0
        self._known: dict[str, int | None] = {}
        self._look()

    def changed(self, now: float) -> str:
        """A file that has changed, vanished or come back since the last look; "" for none."""
        if now < self._look_at:
            return ""
        self._look_at = now + LOOK_EVERY_S
        return self._look()

    def _look(self) -> str:
        changed = ""
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or not file.startswith(self._folders):
                continue
            stamp = _stamp(file)
            if self._known.setdefault(file, stamp) != stamp:
                self._known[file] = stamp
                changed = file
        return changed


def _stamp(file: str) -> int | None:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return None
