"""`import isapi` in a worker: pywin32's names for the package and its neighbours.

A finder at the end of sys.meta_path knows them, so that nothing is paid for names that are found
elsewhere, and a neighbour that is really installed is preferred; `isapi` itself is reserved (in
front). A name and our file for it are one module object: an exception has one class.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["install"]

_FACE = "was.worker.isapi.face"
_NEIGHBOURS = "was.worker.isapi.neighbours"
_MODULES = ("isapicon", "simple", "threaded_extension", "install")
NEIGHBOURS = frozenset(
    {
        "pywintypes",
        "win32api",
        "win32con",
        "win32event",
        "win32file",
        "win32security",
        "win32traceutil",
        "winerror",
    }
)


class _Loader:
    """Hands out the module that was.worker.isapi has for a name."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Ours, as it is; its own spec is put back by exec_module."""
        module = importlib.import_module(self._target)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""
        module.__spec__ = self._spec


class _Finder:
    """Finds names in one of the two sets."""

    def __init__(self, targets: dict[str, str]) -> None:
        self._targets = targets

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a name of ours."""
        del path, target
        found = self._targets.get(name)
        if found is None:
            return None
        return ModuleSpec(name, _Loader(found), is_package=name == "isapi")  # type: ignore[arg-type]


_FIRST = _Finder({"isapi": _FACE, **{f"isapi.{name}": f"{_FACE}.{name}" for name in _MODULES}})
_LAST = _Finder({name: f"{_NEIGHBOURS}.{name}" for name in NEIGHBOURS})


def install() -> None:
    """Make the names importable in this process. Again is harmless."""
    if _FIRST not in sys.meta_path:
        sys.meta_path.insert(0, _FIRST)
        sys.meta_path.append(_LAST)
