"""Which Python runs the workers of a pool, by `python/@virtualEnvironment` and `@interpreter`.

A worker is a fork of the template, and so the server's own interpreter: a virtual environment of
the same Python only adds its packages. One that has `was` itself, or another interpreter, is a
program of its own, which the forked process becomes; `was` must be installed there, in the server's
version.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from was.config.environments import (
    editable_folders,
    is_own,
    versions_of,
    why_no_server,
    why_unusable,
)
from was.config.model import PoolPython

__all__ = ["Interpreter", "InterpreterError", "choose", "variables_of"]

# Imported in every worker before the application is: those of an environment are never looked at.
_SHARED = ("pyzmq", "msgspec")


class InterpreterError(OSError):
    """The pool's interpreter or virtual environment cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What a worker is told, and what it needs for it."""

    program: str = ""  # "": it stays the fork that it is
    virtual_environment: str = ""  # whose packages it takes
    folders: tuple[str, ...] = ()  # to be readable
    passed_over: tuple[str, ...] = ()  # packages of the environment that it will not see


def choose(settings: PoolPython, search: str) -> Interpreter:
    """What runs the pool; `search` is the PATH for an interpreter without a folder.

    Raises InterpreterError.
    """
    environment, program = settings.virtual_environment, settings.interpreter
    folders: list[str] = []
    passed_over: list[str] = []
    if environment:
        if not os.path.isdir(environment):
            raise InterpreterError(f"there is no virtual environment '{environment}'")
        folders += (environment, *editable_folders(environment))
    if environment and not program and not is_own(environment):
        if versions_of(environment, "was"):
            program = os.path.join(environment, "bin", "python")
        elif reason := why_unusable(environment):
            raise InterpreterError(reason)
        else:
            passed_over += _passed_over(environment)
            # What the worker starts by sys.executable, or by a script of the environment's bin.
            folders += _folders_of(os.path.join(environment, "bin", "python"))
    if program:
        program = _found(program, search)
        if reason := why_no_server(program):
            raise InterpreterError(reason)
        folders += _folders_of(program)
    if environment and (is_own(environment) or program.startswith(f"{environment}{os.sep}")):
        environment = ""  # its packages are there anyway
    return Interpreter(program, environment, tuple(dict.fromkeys(folders)), tuple(passed_over))


def variables_of(settings: PoolPython, path: str) -> Mapping[str, str]:
    """What an activated environment has set, so that programs of it are found by name."""
    environment = settings.virtual_environment
    if not environment:
        return {}
    programs = os.path.join(environment, "bin")
    return {"VIRTUAL_ENV": environment, "PATH": f"{programs}:{path}" if path else programs}


def _found(program: str, search: str) -> str:
    if os.sep in program and not os.path.isabs(program):
        raise InterpreterError(f"the interpreter '{program}' must be a name or a whole path")
    found = shutil.which(program, path=search)
    if found is None:
        raise InterpreterError(f"there is no interpreter '{program}' that can be run")
    return found


def _folders_of(program: str) -> Iterator[str]:
    """The program, and where it has its libraries: it may be a link in a virtual environment."""
    for path in (program, os.path.realpath(program)):
        yield path
        prefix = os.path.dirname(os.path.dirname(path))
        if any(Path(prefix).glob("lib*/python*")):
            yield prefix


def _passed_over(environment: str) -> Iterator[str]:
    for package in _SHARED:
        own = metadata.version(package)
        for version in versions_of(environment, package):
            if version != own:
                yield f"{package} {version} (here {own})"
