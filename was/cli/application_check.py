"""`python -P -m was.cli.application_check SPEC FOLDER`: can this be served?

A process of its own, so that the command line never imports a user's code. Prints what is wrong
on one line and exits with 1; of a good application it prints the interface, "wsgi" or "asgi".
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import sys

__all__ = ["complaint_about", "interface_of", "split_spec"]

DEFAULT_CALLABLES = ("application", "app")


def split_spec(spec: str) -> tuple[str, str]:
    """Module and callable of "module:callable"; the callable is "" when it is not given."""
    module, _, name = spec.partition(":")
    return module, name


def complaint_about(spec: str, folder: str) -> str:
    """One line that says why SPEC cannot be served, "" when it can."""
    module_name, name = split_spec(spec)
    sys.path.insert(0, folder)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name.partition(".")[0]:
            return f"no module {module_name!r} in {folder}"
        return f"{module_name} cannot be imported: {error}"
    except BaseException as error:  # noqa: BLE001 the user's code may do anything, exit included
        return f"{module_name} cannot be imported: {type(error).__name__}: {error}"
    for part in name.split("."):
        if not hasattr(found, part):
            return f"{module_name} has no {name!r}{_other_file(module_name, folder)}"
        found = getattr(found, part)
    if not callable(found):
        return f"{spec} is not callable"
    return ""


def _other_file(module_name: str, folder: str) -> str:
    """Where the module is from, if that is not the application's folder: a name may be taken."""
    file = getattr(sys.modules[module_name], "__file__", None)
    if isinstance(file, str) and not os.path.realpath(file).startswith(os.path.realpath(folder)):
        return f": the module of that name is {file}"
    return ""


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


def _find(spec: str) -> object:
    module_name, name = split_spec(spec)
    found: object = importlib.import_module(module_name)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def main() -> None:
    """Check the application named on the command line."""
    spec, folder = sys.argv[1:3]
    with contextlib.redirect_stdout(io.StringIO()):
        complaint = complaint_about(spec, folder)
        said = complaint.replace("\n", " ") if complaint else interface_of(_find(spec))
    print(said, flush=True)
    os._exit(1 if complaint else 0)  # not for the threads that the application has started


if __name__ == "__main__":
    main()
