"""An extension in Python: what pywin32's PyISAPI_loader.dll does, for a module of this worker.

`x.py`, or the stub `_x.dll` beside it, is module x of its folder, which comes first on sys.path.
Its `__ExtensionFactory__()` returns the object whose three methods are the entry points.
"""

from __future__ import annotations

import itertools
from threading import get_ident

from was.log import log, log_exception
from was.worker.isapi.constants import TerminateFlag
from was.worker.isapi.control_block import ControlBlock
from was.worker.isapi.face import InternalReloadException
from was.worker.isapi.note import CallNote
from was.worker.isapi.python_image import EntryPoints, PythonImage
from was.worker.isapi.session import Session
from was.worker.isapi.version_info import VersionInfo
from was.worker.threads.application_calls import inside, settle

__all__ = ["PythonExtension"]

ENTRY_POINTS = EntryPoints(
    "__ExtensionFactory__",
    "GetExtensionVersion",
    "TerminateExtension",
    int(TerminateFlag.ADVISORY_UNLOAD),
)

_numbers = itertools.count(1)


class PythonExtension:
    """One module with an __ExtensionFactory__."""

    def __init__(self, path: str) -> None:
        """Import it and ask its version. Raises ImageError."""
        self.path = path
        self._note = CallNote("HttpExtensionProc", path)
        info = VersionInfo()
        self._image = PythonImage(path, ENTRY_POINTS, info)
        log("isapi_loaded", library=path, description=info.ExtensionDesc.decode("utf-8", "replace"))

    def call(self, session: Session) -> int:
        """HttpExtensionProc on this thread, marked. What it raises is raised."""
        block = ControlBlock(session, next(_numbers))
        exchange, proof = session.context.exchange, session.proof
        current = self._image.object
        self._note.leave(exchange)
        try:
            inside[proof] = get_ident()
            try:
                try:
                    status = current.HttpExtensionProc(block)
                except InternalReloadException:
                    status = self._image.reload(current).HttpExtensionProc(block)
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

    def terminate(self, flags: int) -> None:
        """TerminateExtension."""
        self._image.object.TerminateExtension(int(flags))
