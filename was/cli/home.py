"""Which home a command means: --home before or after the verb, WAS_HOME, or the default."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from was.errors import HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = [
    "ROOT_HOME",
    "default_home",
    "find_home",
    "given_home",
    "home_option",
    "home_path",
    "insist_on_text",
    "is_home",
    "no_home_at",
    "open_home",
]

ROOT_HOME = Path("/etc/was")
_META_KEY = "was.cli.home"
# What XML 1.0 has no way to write, bytes that are no UTF-8 (as Python shows them) among it.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def home_option(function: Decorated) -> Decorated:
    """Give the command --home; the one nearest to the end of the line counts."""
    return click.option(
        "--home",
        metavar="DIR",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_remember,
        help="The home to act on (default: WAS_HOME, then the user's own).",
    )(function)


def _remember(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    del parameter
    if value is not None:
        ctx.meta[_META_KEY] = value


def default_home() -> Path:
    """Root's home is the machine's, anybody else's lies in their state folder."""
    if os.geteuid() == 0:
        return ROOT_HOME
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "was"


def given_home() -> Path | None:
    """The folder that --home names, None where nobody has given it."""
    given: Path | None = click.get_current_context().meta.get(_META_KEY)
    return given


def home_path() -> Path:
    """The folder that the command line, the environment or the default names.

    Raises HomeError for one whose name no configuration, title or log could say, and for a file.
    """
    given = given_home()
    if given is None:
        environment = os.environ.get("WAS_HOME")
        given = Path(environment) if environment else default_home()
    insist_on_text(given.absolute())
    if os.path.isfile(given):
        raise HomeError(f"{given} is a file: a home is a folder")
    return given


def insist_on_text(folder: Path) -> None:
    """Raise HomeError where the path is bytes that are no UTF-8, or holds what XML cannot."""
    if _NO_TEXT.search(str(folder)):
        text = "the name of a folder must be UTF-8, without control characters"
        raise HomeError(f"{text}: {str(folder)!a}")


def find_home() -> Home:
    """The home as an object of paths; it need not exist."""
    from was.ipc.endpoints import Home

    return Home(home_path())


def open_home() -> Home:
    """The home to start, with its run and log folders in place.

    Raises HomeError when there is no configuration. The machine's own home keeps run and logs
    elsewhere, by links; /run is emptied at every boot, so a link's target is made anew.
    """
    home = find_home()
    if not home.config_file.exists():
        raise HomeError(no_home_at(home))
    for folder in (home.run, home.logs):
        os.makedirs(os.path.realpath(folder), exist_ok=True)
    return home


def no_home_at(home: Home) -> str:
    """What is said of a folder that is no home yet, most often since another one was meant."""
    command = shlex.join(("was", "init", str(home.path)))
    return f"no home at {home.path}: `{command}` makes one, --home or WAS_HOME names another"


def is_home(home: Home) -> bool:
    """Whether somebody has made it one; also for who may not read what is in it."""
    return os.path.isdir(home.config_file.parent)
