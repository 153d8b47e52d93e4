"""The extensions that this process has loaded: one image a file, whoever maps to it.

Loading is tried again after a failure when the file has changed.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from was.log import log, log_exception
from was.worker.isapi.constants import TerminateFlag
from was.worker.isapi.errors import ImageError
from was.worker.isapi.image_files import Kind, tell_kind
from was.worker.isapi.note import CallNote
from was.worker.isapi.session import Session
from was.worker.threads.application_calls import call

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["Extension", "find_extension", "terminate_all"]


class Extension(Protocol):
    """A loaded extension of either kind."""

    path: str

    def call(self, session: Session) -> int:
        """HttpExtensionProc; an HSE_STATUS_."""
        ...

    def terminate(self, flags: int) -> None:
        """TerminateExtension, and what follows it."""
        ...


_Signature = tuple[int, int, int] | None

_lock = threading.RLock()
_loaded: dict[str, Extension] = {}
_failed: dict[str, tuple[_Signature, ImageError]] = {}


def find_extension(path: str, context: HttpContext) -> Extension:
    """The extension of a file, loaded at the first call. Raises ImageError.

    Loading runs code of the extension's: it is noted as such, and can be interrupted.
    """
    found = _loaded.get(path)
    if found is None:
        CallNote("GetExtensionVersion", path).leave(context.exchange)
        found = call(context.proof, _find, path)
    return found


def _find(path: str) -> Extension:
    with _lock:
        real = os.path.realpath(path)
        found = _loaded.get(real)
        if found is None:
            signature = _sign(real)
            failure = _failed.get(real)
            if failure is not None and failure[0] == signature:
                raise failure[1]
            try:
                found = _load(real)
            except ImageError as error:
                log("isapi_failed", library=real, number=error.number, error=error.reason)
                _failed[real] = signature, error
                raise
            _failed.pop(real, None)
            _loaded[real] = found
        _loaded[path] = found
        return found


def _load(path: str) -> Extension:
    if tell_kind(path) is Kind.PYTHON:
        from was.worker.isapi.python_extension import PythonExtension

        return PythonExtension(path)
    from was.worker.isapi.native_extension import NativeExtension

    return NativeExtension(path)


def terminate_all() -> None:
    """The worker ends: each is told once."""
    with _lock:
        extensions = list(dict.fromkeys(_loaded.values()))
        _loaded.clear()
    for extension in extensions:
        try:
            extension.terminate(TerminateFlag.MUST_UNLOAD)
        except BaseException as error:  # noqa: BLE001 each is told, whatever the others do
            log_exception("module_failed", error, module=extension.path)


def _sign(path: str) -> _Signature:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_mode
