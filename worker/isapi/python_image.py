"""Python files of extensions and filters: found, imported, and loaded anew when they ask for it.

`x.py`, or the stub `_x.dll` beside it, is module x of its folder, which comes first on sys.path.
Its factory makes the object whose methods are the entry points.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
import threading
import traceback
from types import ModuleType
from typing import Any, NamedTuple

from was.log import log, log_exception, text_of
from was.worker.isapi import import_names
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError
from was.worker.isapi.image_files import module_name_of

__all__ = ["EntryPoints", "PythonImage", "file_of_handle"]

_handles = itertools.count(0x10000000, 0x10000)
_files: dict[int, str] = {}  # by handle


def next_handle(path: str) -> int:
    """A module handle for a file."""
    handle = next(_handles)
    _files[handle] = path
    return handle


def file_of_handle(handle: int) -> str | None:
    """The extension's file, by what sys.isapidllhandle was when it was imported."""
    return _files.get(handle)


class EntryPoints(NamedTuple):
    """Names of the module's factory and of its object's methods."""

    factory: str
    version: str
    terminate: str
    terminate_flag: int  # what `terminate` is told before it is loaded anew


class PythonImage:
    """One file, and the object that its factory has made last."""

    def __init__(self, path: str, entry_points: EntryPoints, version: object) -> None:
        """Import it and have it fill in `version`. Raises ImageError."""
        self._path = path
        self._entry_points = entry_points
        self._lock = threading.Lock()
        import_names.install()
        source = self._source()
        self._handle = next_handle(path)
        try:
            self.object = self._make(import_file(source, self._handle), version)
        except ImageError:
            raise
        except BaseException as error:
            log_exception("application_failed", error, application=path)
            text = "".join(traceback.format_exception(error))
            raise ImageError(path, Win32.DLL_INIT_FAILED, text_of(error), text) from error

    def _source(self) -> str:
        folder, name = os.path.dirname(self._path), module_name_of(self._path)
        source = os.path.join(folder, f"{name}.py")
        if not os.path.exists(source):
            raise ImageError(self._path, Win32.MOD_NOT_FOUND, f"there is no {name}.py beside it")
        return source

    def _make(self, module: ModuleType, version: object) -> Any:
        names = self._entry_points
        factory = getattr(module, names.factory, None)
        if factory is None:
            reason = f"the module has no {names.factory}"
            raise ImageError(self._path, Win32.PROC_NOT_FOUND, reason)
        made = factory()
        answer = getattr(made, names.version)(version)
        if answer is not None and not (isinstance(answer, int) and answer):
            reason = f"{names.version} answered {answer!r}"
            raise ImageError(self._path, Win32.DLL_INIT_FAILED, reason)
        return made

    def reload(self, current: Any) -> Any:
        """Another object of the module's source as it is now; others may have done it."""
        with self._lock:
            if self.object is current:
                log("isapi_reloaded", library=self._path)
                getattr(current, self._entry_points.terminate)(self._entry_points.terminate_flag)
                module = import_file(self._source(), self._handle, anew=True)
                self.object = self._make(module, None)
            return self.object


# Imports change sys.path and sys.modules, which belong to the process: one at a time.
_import_lock = threading.RLock()


def import_file(source: str, handle: int, *, anew: bool = False) -> ModuleType:
    """The module of a file, by its own name unless another file's module has that.

    `anew`: its source runs again, in the same module: what it finds there of itself it may keep.
    """
    folder, name = os.path.split(source)
    name = name.removesuffix(".py")
    with _import_lock:
        sys.isapidllhandle = handle  # type: ignore[attr-defined]  # how samples know where they are
        if sys.path[:1] != [folder]:
            sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
        known = sys.modules.get(name)
        if known is not None:
            file = getattr(known, "__file__", None)
            if file == source and not anew:
                return known
            if file != source:
                name = f"{name}@{folder}"
        spec = importlib.util.spec_from_file_location(name, source)
        if spec is None or spec.loader is None:
            raise ImportError(f"{source} cannot be imported")
        if anew and (known := sys.modules.get(name)) is not None:
            spec.loader.exec_module(known)
            return known
        module = importlib.util.module_from_spec(spec)
        before = sys.modules.get(name)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
            raise
        return module
