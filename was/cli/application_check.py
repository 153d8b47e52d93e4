"""`python -P -m was.cli.application_check SPEC FOLDER`: can this be served?

A process of its own, so that the command line never imports a user's code. Prints what is wrong
on one line and exits with 1; of a good application it prints interface and name, "wsgi mod:app".
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import shlex
import sys
import traceback
from collections.abc import Callable

from was.config.callables import reference_of
from was.worker.applications.app_loader import RESERVED
from was.worker.process.real_threads import ReplacedThreadsError, insist_on_real_threads

__all__ = ["check", "interface_of", "split_spec"]

_FIRST = "application"
DEFAULT_CALLABLES = (_FIRST, "app")


class _RefusedError(Exception):
    """You get this when an application cannot be served; the text is the line to print."""


def split_spec(spec: str) -> tuple[str, str]:
    """Module and callable of "module:callable"; the callable is "" when it is not given."""
    module, _, name = spec.partition(":")
    return module, name


def check(spec: str, folder: str) -> tuple[str, str]:
    """Interface and name and "", or "" and one line that says why SPEC cannot be served.

    Where SPEC has no callable it is one of the usual names.
    """
    module_name, name = split_spec(spec)
    sys.path.insert(0, folder)
    try:
        _insist_on_a_module(module_name)
        module = _imported(module_name, folder)
        name = name or next((n for n in DEFAULT_CALLABLES if hasattr(module, n)), _FIRST)
        spec = f"{module_name}:{name}"
        found = _attribute(module, name.partition("(")[0], module_name, folder)
        application = _application(found, spec, folder)
        insist_on_real_threads()
        return f"{interface_of(application)} {spec}", ""
    except (_RefusedError, ReplacedThreadsError) as refused:
        return "", str(refused).replace("\n", " ")


def _application(found: object, spec: str, folder: str) -> object:
    if not callable(found):
        raise _RefusedError(f"{spec} is not callable")
    if "(" in spec:
        return _made(found, spec, folder)
    if not _takes(found, 2) and not _takes(found, 3):
        raise _RefusedError(
            f"{spec} takes neither (environ, start_response) nor (scope, receive, send);"
            f" a factory is given as '{spec}()'"
        )
    return found


def _insist_on_a_module(name: str) -> None:
    file = name.removeprefix("./")
    if file != name or file.endswith(".py") or "/" in file:
        path = file.removesuffix(".py").split("/")
        if all(part.isidentifier() for part in path):
            raise _RefusedError(f"{name!r} is a file; its module is {'.'.join(path)!r}")
        folder = shlex.quote("/".join(path[:-1]) or "/")
        raise _RefusedError(f"{name!r} is a file; its module is {path[-1]!r}, --app-dir {folder}")
    top = name.partition(".")[0]
    if top in RESERVED:
        raise _RefusedError(f"{top!r} is a module of the server's: yours needs another name")


def _imported(name: str, folder: str) -> object:
    try:
        return importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 the user's code may do anything, exit included
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
            raise _RefusedError(f"no module {name!r} in {folder}") from None
        raise _RefusedError(f"{name} cannot be imported: {_told(error, folder)}") from None


def _attribute(found: object, name: str, module_name: str, folder: str) -> object:
    for part in name.split("."):
        if not hasattr(found, part):
            other = _other_file(module_name, folder)
            raise _RefusedError(f"{module_name} has no {name!r}{other}")
        found = getattr(found, part)
    return found


def _made(factory: Callable[..., object], spec: str, folder: str) -> object:
    """What a factory makes, as the worker will have it."""
    named = reference_of(spec)
    if named is None:
        raise _RefusedError(f"{spec}: a factory takes literals only, as in 'mod:make(1, a=\"b\")'")
    try:
        made = factory(*named.arguments, **named.keywords)
    except BaseException as error:  # noqa: BLE001 the user's code may do anything, exit included
        raise _RefusedError(f"{spec} failed: {_told(error, folder)}") from None
    if not callable(made):
        raise _RefusedError(f"{spec} made a {type(made).__name__}, which is not callable")
    return made


def _told(error: BaseException, folder: str) -> str:
    """The error, and the last line of the user's own that led to it."""
    kind = "" if isinstance(error, ModuleNotFoundError) else f"{type(error).__name__}: "
    if isinstance(error, SyntaxError):  # it says its own place
        return f"{kind}{error}"
    own = os.path.realpath(folder) + os.sep
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith("<"):
            continue
        file = os.path.realpath(frame.filename)
        # A virtual environment often lies in the application's folder.
        if file.startswith(own) and "site-packages" not in file:
            return f"{kind}{error} ({file.removeprefix(own)}, line {frame.lineno})"
    return f"{kind}{error}"


def _other_file(module_name: str, folder: str) -> str:
    """Where the module is from, if that is not the application's folder: a name may be taken."""
    file = getattr(sys.modules[module_name], "__file__", None)
    if isinstance(file, str) and not os.path.realpath(file).startswith(os.path.realpath(folder)):
        return f": the module of that name is {file}"
    return ""


def _takes(found: object, count: int) -> bool:
    """Whether it can be called with so many arguments, as far as can be seen."""
    try:
        inspect.signature(found).bind(*range(count))  # type: ignore[arg-type]
    except ValueError:  # written in C: nobody knows
        return True
    except TypeError:
        return False
    return True


def interface_of(found: object) -> str:
    """What a callable is: asgi for a coroutine function, or one of three arguments; else wsgi."""
    call = getattr(found, "__call__", None)  # noqa: B004 its kind is wanted, not whether it exists
    if inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "wsgi"
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    return "asgi" if len(required) == 3 else "wsgi"


def main() -> None:
    """Check the application named on the command line."""
    spec, folder = sys.argv[1:3]
    with contextlib.redirect_stdout(io.StringIO()):
        found, complaint = check(spec, folder)
    print(complaint or found, flush=True)
    os._exit(1 if complaint else 0)  # not for the threads that the application has started


if __name__ == "__main__":
    main()
