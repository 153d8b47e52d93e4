"""Virtual environments, as far as their files tell: of which Python they are, and what they have.

Nothing of an environment is run to find that out: it may be somebody else's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["editable_folders", "is_own", "versions_of", "why_no_server", "why_unusable"]

_OWN = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"


def is_own(environment: str) -> bool:
    """Whether it is the one that the server runs in."""
    return os.path.realpath(environment) == os.path.realpath(sys.prefix)


def _packages_of(environment: str) -> Iterator[Path]:
    for packages in Path(environment).glob("lib*/python*/site-packages"):
        if not packages.parent.parent.is_symlink():  # lib64 -> lib
            yield packages


def _pythons_of(environment: str) -> list[str]:
    return sorted(packages.parent.name for packages in _packages_of(environment))


def versions_of(environment: str, package: str) -> list[str]:
    """Those of the package that are installed there."""
    return [
        found.name.removesuffix(".dist-info").partition("-")[2]
        for packages in _packages_of(environment)
        for found in packages.glob(f"{package}-*.dist-info")
    ]


def editable_folders(environment: str) -> Iterator[str]:
    """Where the packages lie that `pip install -e` knows; direct_url.json (PEP 610) says it.

    Root's or our own word counts, nobody else's: it opens a folder to the pool, and the pool's user
    may be the owner of the environment.
    """
    for packages in _packages_of(environment):
        for file in packages.glob("*.dist-info/direct_url.json"):
            try:
                if file.lstat().st_uid not in (0, os.geteuid()):
                    continue
                said = json.loads(file.read_bytes())
            except (OSError, ValueError):
                continue
            match said:
                case {"url": str(url), "dir_info": {"editable": True}}:
                    yield unquote(urlsplit(url).path)
                case _:
                    pass


def why_unusable(environment: str) -> str:
    """Why a fork of the server cannot take its packages, and it cannot run a worker; "": it can."""
    found = _pythons_of(environment)
    if _OWN in found or versions_of(environment, "was"):
        return ""
    pythons = ", ".join(name.replace("python", "Python ") for name in found)
    if not pythons:
        return f"'{environment}' is no virtual environment: it has no packages of any Python"
    return (
        f"the virtual environment '{environment}' is of {pythons}, the server of "
        f"{_OWN.replace('python', 'Python ')}: install `was` in it too"
    )


def why_no_server(program: str) -> str:
    """Why an interpreter cannot be a worker, where that is certain: `was` is not installed there.

    Certain it is of a virtual environment that has no packages but its own.
    """
    environment = os.path.dirname(os.path.dirname(program))
    try:
        settings = Path(environment, "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return ""
    takes_others = any(
        line.partition("=")[0].strip() == "include-system-site-packages"
        and line.partition("=")[2].strip().lower() == "true"
        for line in settings.splitlines()
    )
    if takes_others or versions_of(environment, "was"):
        return ""
    return f"the interpreter '{program}' has no `was`: install it in '{environment}' too"
