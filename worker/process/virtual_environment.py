"""The packages of a pool's virtual environment, in a worker that another interpreter runs."""

from __future__ import annotations

import importlib
import os
import site
import sys

__all__ = ["use_virtual_environment"]


def use_virtual_environment(prefix: str) -> None:
    """Put the packages of `prefix` before the interpreter's own, which stay: we need some of them.

    As in a process that the environment's own interpreter runs, `.pth` files are honoured, and
    sys.prefix and sys.executable are the environment's. Raises ImportError where it has no packages
    of this version of Python.
    """
    python = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    folders = [
        os.path.join(prefix, library, python, "site-packages")
        for library in dict.fromkeys((sys.platlibdir, "lib"))
    ]
    folders = [folder for folder in folders if os.path.isdir(folder)]
    if not folders:
        raise ImportError(f"the virtual environment {prefix} has no packages for {python}")
    before = list(sys.path)
    for folder in folders:
        site.addsitedir(folder)
    added = [path for path in sys.path if path not in before]
    first = next((i for i, path in enumerate(before) if "-packages" in path), len(before))
    sys.path[:] = [*before[:first], *added, *before[first:]]
    sys.prefix = sys.exec_prefix = prefix
    program = os.path.join(prefix, "bin", "python")
    if os.path.exists(program):
        if not os.path.samefile(program, sys.executable):
            # What it spawns is given our sys.path, whose library may be of another build.
            importlib.import_module("multiprocessing.spawn").set_executable(sys.executable)
        sys.executable = program  # what applications start
