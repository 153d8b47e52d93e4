"""Which Python runs the workers of a pool, by `python/@virtualEnvironment` and `@interpreter`.

A worker is a fork of the template, and so the server's own interpreter: a virtual environment of
the same Python only adds its packages. One that has `was` itself, or another interpreter, is a
program of its own, which the forked process becomes; `was` must be installed there, in the server's
version.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from was.config.model import PoolPython

__all__ = ["Interpreter", "InterpreterError", "choose", "variables_of"]

_OWN = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"

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
        folders.append(environment)
    if environment and not program and not _is_own(environment):
        if _versions_of(environment, "was"):
            program = os.path.join(environment, "bin", "python")
        elif _OWN not in _pythons_of(environment):
            raise InterpreterError(_unusable(environment))
        else:
            passed_over += _passed_over(environment)
    if program:
        program = _found(program, search)
        folders += _folders_of(program)
    if environment and (_is_own(environment) or program.startswith(f"{environment}{os.sep}")):
        environment = ""  # its packages are there anyway
    return Interpreter(program, environment, tuple(dict.fromkeys(folders)), tuple(passed_over))


def variables_of(settings: PoolPython, path: str) -> Mapping[str, str]:
    """What an activated environment has set, so that programs of it are found by name."""
    environment = settings.virtual_environment
    if not environment:
        return {}
    programs = os.path.join(environment, "bin")
    return {"VIRTUAL_ENV": environment, "PATH": f"{programs}:{path}" if path else programs}


def _is_own(environment: str) -> bool:
    return os.path.realpath(environment) == os.path.realpath(sys.prefix)


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


def _packages_of(environment: str) -> Iterator[Path]:
    for packages in Path(environment).glob("lib*/python*/site-packages"):
        if not packages.parent.parent.is_symlink():  # lib64 -> lib
            yield packages


def _pythons_of(environment: str) -> list[str]:
    return sorted(packages.parent.name for packages in _packages_of(environment))


def _versions_of(environment: str, package: str) -> list[str]:
    return [
        found.name.removesuffix(".dist-info").partition("-")[2]
        for packages in _packages_of(environment)
        for found in packages.glob(f"{package}-*.dist-info")
    ]


def _unusable(environment: str) -> str:
    pythons = ", ".join(name.replace("python", "Python ") for name in _pythons_of(environment))
    if not pythons:
        return f"'{environment}' is no virtual environment: it has no packages of any Python"
    return (
        f"the virtual environment '{environment}' is of {pythons}, the server of "
        f"{_OWN.replace('python', 'Python ')}: install `was` in it too"
    )


def _passed_over(environment: str) -> Iterator[str]:
    for package in _SHARED:
        own = metadata.version(package)
        for version in _versions_of(environment, package):
            if version != own:
                yield f"{package} {version} (here {own})"
