"""What a configuration names and this machine has not: folders of sites, what pools run as and by.

No faults: a folder may come later, and a file may be checked on another machine than its own.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable

from was.config.environments import why_no_server, why_unusable
from was.config.loaded import LoadedServer
from was.config.model import IdentityType, SectionView
from was.config.semantics import POOLS, SITES, is_windows_path

__all__ = ["missing"]


def missing(loaded: LoadedServer) -> list[str]:
    """A line for each of them, with the place that names it."""
    pools = loaded.section(POOLS)
    return [*_users(pools), *_interpreters(pools), *_folders(loaded.section(SITES))]


def _users(pools: SectionView) -> Iterable[str]:
    for pool in pools.items:
        place = f"{pool.file}:{pool.line}: pool '{pool['name']}'"
        model = pool.elements["processModel"]
        if model["identityType"] == IdentityType.SPECIFIC_USER.value:
            name = str(model["userName"])
            if name and not _is_user(name):
                yield f"{place}: there is no user '{name}'"
        for name in str(pool.elements["isolation"]["supplementaryGroups"]).split(";"):
            if name.strip() and not _is_group(name.strip()):
                yield f"{place}: there is no group '{name.strip()}'"


def _interpreters(pools: SectionView) -> Iterable[str]:
    for pool in pools.items:
        python = pool.elements["python"]
        place = f"{pool.file}:{pool.line}: pool '{pool['name']}'"
        environment, program = str(python["virtualEnvironment"]), str(python["interpreter"])
        if environment and not os.path.isdir(environment):
            yield f"{place}: there is no virtual environment '{environment}'"
        elif environment and not program and (reason := why_unusable(environment)):
            yield f"{place}: {reason}"
        if os.path.isabs(program) and not os.path.isfile(program):
            yield f"{place}: there is no interpreter '{program}'"
        elif os.path.isabs(program) and (reason := why_no_server(program)):
            yield f"{place}: {reason}"


def _is_user(name: str) -> bool:
    try:
        pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        return False
    return True


def _is_group(name: str) -> bool:
    try:
        grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name)
    except (KeyError, OverflowError):
        return False
    return True


def _folders(sites: SectionView) -> Iterable[str]:
    for site in sites.items:
        for application in site.items:
            for directory in application.items:
                path = str(directory["physicalPath"])
                if path and not is_windows_path(path) and not os.path.isdir(path):
                    place = f"{directory.file}:{directory.line}"
                    yield f"{place}: site '{site['name']}': there is no folder '{path}'"
