"""An extension in Python: what pywin32's PyISAPI_loader.dll does, for a module of this worker.

`x.py`, or the stub `_x.dll` beside it, is module x of its folder, which comes first on sys.path.
Its `__ExtensionFactory__()` returns the object whose three methods are the entry points.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from threading import get_ident
from types import ModuleType
from typing import Any

from was.log import log, log_exception
from was.worker.application_calls import inside, settle
from was.worker.isapi import import_names
from was.worker.isapi.constants import Win32
from was.worker.isapi.control_block import ControlBlock
from was.worker.isapi.errors import ImageError
from was.worker.isapi.face import InternalReloadException
from was.worker.isapi.image_files import module_name_of
from was.worker.isapi.note import CallNote
from was.worker.isapi.session import Session
from was.worker.isapi.version_info import VersionInfo

__all__ = ["PythonExtension", "file_of_handle", "import_file", "next_handle"]

_numbers = itertools.count(1)
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


class PythonExtension:
    """One module with an __ExtensionFactory__."""

    def __init__(self, path: str) -> None:
        """Import it and ask its version. Raises ImageError."""
        self.path = path
        self._handle = next_handle(path)
        self._lock = threading.Lock()
        self._note = CallNote("HttpExtensionProc", path)
        import_names.install()
        with self._saying_why():
            self._module = import_file(self._source(), self._handle)
            self._object = self._make(VersionInfo())

    def _source(self) -> str:
        folder, name = os.path.dirname(self.path), module_name_of(self.path)
        source = os.path.join(folder, f"{name}.py")
        if not os.path.exists(source):
            raise ImageError(self.path, Win32.MOD_NOT_FOUND, f"there is no {name}.py beside it")
        return source

    def _make(self, info: VersionInfo | None) -> Any:
        factory = getattr(self._module, "__ExtensionFactory__", None)
        if factory is None:
            reason = "the module has no __ExtensionFactory__"
            raise ImageError(self.path, Win32.PROC_NOT_FOUND, reason)
        made = factory()
        answer = made.GetExtensionVersion(info)
        if answer is not None and not (isinstance(answer, int) and answer):
            reason = f"GetExtensionVersion answered {answer!r}"
            raise ImageError(self.path, Win32.DLL_INIT_FAILED, reason)
        if info is not None:
            text = info.ExtensionDesc.decode("utf-8", "replace")
            log("isapi_loaded", library=self.path, description=text)
        return made

    @contextmanager
    def _saying_why(self) -> Generator[None]:
        try:
            yield
        except ImageError:
            raise
        except BaseException as error:
            text = "".join(traceback.format_exception(error))
            log_exception("application_failed", error, application=self.path)
            reason = f"{type(error).__name__}: {error}"
            raise ImageError(self.path, Win32.DLL_INIT_FAILED, reason, text) from error

    def call(self, session: Session) -> int:
        """HttpExtensionProc on this thread, marked. What it raises is raised."""
        block = ControlBlock(session, next(_numbers))
        exchange, proof = session.context.exchange, session.proof
        current = self._object
        self._note.leave(exchange)
        try:
            inside[proof] = get_ident()
            try:
                try:
                    status = current.HttpExtensionProc(block)
                except InternalReloadException:
                    status = self._reload(current).HttpExtensionProc(block)
            finally:
                if inside.pop(proof, None) is None:
                    settle(proof)
        except BaseException as error:
            if not session.is_over:
                raise
            # The answer was complete before.
            log_exception("application_error", error, application=self.path)
            return 1
        if not isinstance(status, int):
            if session.is_over:
                return 1
            raise TypeError(f"HttpExtensionProc returned {status!r}, which is not an HSE_STATUS_")
        return status

    def _reload(self, current: Any) -> Any:
        """Another object of the module's source as it is now; others may have done it."""
        with self._lock:
            if self._object is current:
                log("isapi_reloaded", library=self.path)
                current.TerminateExtension(1)
                self._module = import_file(self._source(), self._handle, anew=True)
                self._object = self._make(None)
            return self._object

    def terminate(self, flags: int) -> None:
        """TerminateExtension."""
        self._object.TerminateExtension(int(flags))


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
