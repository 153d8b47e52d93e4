"""Imports the user's application, and reports a failure that a person can act on.

`scriptProcessor` is "module:callable": dots in both, "module" alone means "module:application",
"module:make_app()" calls a factory, with the literals that it is given. The application's folder
comes first on sys.path, so its own `config.py` or `worker.py` is what `import config` finds: ours
are only ever was.config, was.worker.

Modules belong to the process: of two applications of one pool that have modules of one name, the
second would run the first one's. It is refused instead.

An application that fails keeps the worker alive. What was imported in the attempt is forgotten,
and the next request tries again if a file has changed since: one named in the traceback, one
imported from the folder, anything directly in the folder or in another one of sys.path, where what
was missing may have been installed; and after RETRY_S without a change, for what no file tells (a
database that was not there yet). What the attempt has left elsewhere stays, as in the registry of
Django, which is begun and never ended: where the next one fails in another way that may be why,
and only another process can tell.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from typing import Any

from was.config.callables import reference_of
from was.log import log, log_exception, text_of

__all__ = ["RESERVED", "ApplicationLoader", "Failure", "failure_of"]

# Top-level names that are something else in every worker.
RESERVED = frozenset({"was", "isapi", "zmq", "msgspec"})

# Attempts without a change are so many seconds apart, or as long as one takes.
RETRY_S = 30.0
# Imports change sys.path and sys.modules, which belong to the process: one at a time.
_import_lock = threading.RLock()
# A file that was changed so long before an attempt is what the attempt has read.
_SETTLED_NS = 1_000_000_000


class Failure:
    """Why an application did not start."""

    __slots__ = ("is_the_process_s", "message", "signature", "traceback")

    def __init__(
        self, message: str, text: str, signature: dict[str, tuple[int, int] | None]
    ) -> None:
        self.message = message
        self.traceback = text
        self.signature = signature
        self.is_the_process_s = False  # another process may start it: this one has failed before

    def is_outdated(self) -> bool:
        """Whether a file that it may have come from has changed."""
        return self.signature != _sign(self.signature)


def failure_of(outcome: Callable[..., Any] | Failure) -> Failure | None:
    """Why an application does not run; None where it does."""
    return outcome if isinstance(outcome, Failure) else None


class ApplicationLoader:
    """One callable of one folder: loaded once, tried again when its files change."""

    def __init__(self, reference: str, folder: str) -> None:
        self._reference = reference
        self._folder = folder
        self._failure: Failure | None = None
        self._retry_at = 0.0
        self._application: Callable[..., Any] | None = None

    def load(self) -> Callable[..., Any] | Failure:
        """The application, or why there is none."""
        application = self._application
        if application is not None:
            return application
        with _import_lock:
            return self._load_locked()

    def _load_locked(self) -> Callable[..., Any] | Failure:
        # Another thread may have done it while this one waited for the lock.
        if self._application is not None:
            return self._application
        failure = self._failure
        started = time.monotonic()
        if failure is not None and started < self._retry_at and not failure.is_outdated():
            return failure
        outcome = self._try()
        if isinstance(outcome, Failure):
            ended = time.monotonic()
            self._retry_at = ended + max(RETRY_S, ended - started)
            outcome.is_the_process_s = failure is not None and failure.message != outcome.message
            self._failure = outcome
        else:
            self._application, self._failure = outcome, None
        return outcome

    def _try(self) -> Callable[..., Any] | Failure:
        started = time.monotonic()
        settled_ns = time.time_ns() - _SETTLED_NS
        before = set(sys.modules)
        # As they are before they are read: what is saved meanwhile is another attempt's.
        listed = _listed(self._folder)
        known = self._failure.signature if self._failure is not None else {}
        seen = _sign({**known, **listed})
        _put_first(self._folder)
        try:
            _insist_on_reading(self._folder)
            application = _resolve(self._reference, self._folder)
        except BaseException as error:  # noqa: BLE001 SystemExit too must not end the worker
            _leave_out_the_import(error)
            log_exception(
                "application_failed", error, application=self._reference, folder=self._folder
            )
            return self._describe(error, before, listed, seen, settled_ns)
        log(
            "application_loaded",
            application=self._reference,
            folder=self._folder,
            elapsed_ms=round((time.monotonic() - started) * 1000),
        )
        return application

    def _describe(
        self,
        error: BaseException,
        before: set[str],
        listed: dict[str, None],
        seen: dict[str, tuple[int, int] | None],
        settled_ns: int,
    ) -> Failure:
        files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
        if isinstance(error, SyntaxError) and error.filename:
            files.add(error.filename)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and file.startswith(self._folder + os.sep) and not _is_installed(file):
                files.add(file)
                # Left in place it would be found again, half made, without being run.
                del sys.modules[name]
        importlib.invalidate_caches()
        text = "".join(traceback.format_exception(error))
        paths = {**listed, **{file: None for file in files if not file.startswith("<")}}
        signature = _sign(paths)
        for path in paths:
            if path in seen:
                signature[path] = seen[path]
            elif path.startswith(self._folder + os.sep) and not _is_older(path, settled_ns):
                signature[path] = None  # how it was is not known: the next request tries again
        return Failure(text_of(error), text, signature)


def _leave_out_the_import(error: BaseException) -> None:
    """Let the traceback begin with the application's own code."""
    step = error.__traceback__
    while step is not None and (
        (file := step.tb_frame.f_code.co_filename) in (__file__, importlib.__file__)
        or file.startswith("<frozen importlib")
    ):
        step = step.tb_next
    error.__traceback__ = step


def _is_older(path: str, than_ns: int) -> bool:
    """Whether the file is what it has been since then: its ctime is new also after a rename."""
    try:
        return os.stat(path).st_ctime_ns < than_ns
    except OSError:
        return False


def _is_installed(file: str) -> bool:
    """Whether it is of the virtual environment, which may lie below the application's folder."""
    return file.startswith(sys.prefix + os.sep)


def _listed(folder: str) -> dict[str, None]:
    """A folder, the modules directly in it, and where else modules are found."""
    listed: dict[str, None] = {folder: None, **dict.fromkeys(sys.path)}
    try:
        with os.scandir(folder) as entries:
            listed.update((entry.path, None) for entry in entries if entry.name.endswith(".py"))
    except OSError:
        pass
    return listed


def _put_first(folder: str) -> None:
    if sys.path[:1] != [folder]:
        sys.path[:] = [folder, *(path for path in sys.path if path != folder)]


def _insist_on_reading(folder: str) -> None:
    """Raise PermissionError; an import would pass over the folder and find no such module."""
    try:
        os.scandir(folder).close()
    except PermissionError:
        raise
    except OSError:
        pass  # the application may be an installed one, and have no folder


def _resolve(reference: str, folder: str) -> Callable[..., Any]:
    named = reference_of(reference.strip())
    if named is None:
        raise ValueError(f"scriptProcessor must be module:callable, not {reference!r}")
    found: Any = importlib.import_module(named.module)
    _insist_on_own(named.module.partition(".")[0], folder)
    for part in (named.name or "application").split("."):
        found = getattr(found, part)
    if named.is_factory:
        found = found(*named.arguments, **named.keywords)
    if not callable(found):
        raise TypeError(f"{reference} is a {type(found).__name__}, not callable")
    application: Callable[..., Any] = found
    return application


def _insist_on_own(name: str, folder: str) -> None:
    """Raise ImportError where the folder has a module of this name and another one was found."""
    found = getattr(sys.modules.get(name), "__file__", None)
    own = PathFinder.find_spec(name, [folder])
    if found is None or own is None or own.origin is None:
        return
    try:
        is_own = os.path.samefile(found, own.origin)
    except OSError:
        return  # one of them has gone since: nothing is proved
    if not is_own and name in RESERVED:
        raise ImportError(f"{name!r} is {found} in every worker: {own.origin} needs another name")
    if not is_own:
        raise ImportError(
            f"module {name!r} is {found} in this worker, and not {own.origin}: applications of "
            "one pool share their modules. Give this one a pool of its own, or its module another "
            "name"
        )


def _sign(
    paths: Mapping[str, object],
) -> dict[str, tuple[int, int] | None]:
    """Time and size of each file; None for one that is not there."""
    signature: dict[str, tuple[int, int] | None] = {}
    for path in paths:
        try:
            status = os.stat(path)
            signature[path] = (status.st_mtime_ns, status.st_size)
        except OSError:
            signature[path] = None
    return signature
