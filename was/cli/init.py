"""`was init`: a commented home that works, with four sample sites on free ports."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import sys
from importlib.resources import as_file, files
from pathlib import Path

import click

from was.cli.home import ROOT_HOME, home_option, home_path, insist_on_text
from was.errors import HomeError

__all__ = ["command", "move_taken_ports", "program", "write_home"]

_SAMPLE_BINDING = re.compile(r'(?<=bindingInformation="127\.0\.0\.1:)\d+(?=:")')
_SAMPLE_PARTS = ("apps", "wwwroot", "config")  # the configuration last: it makes it a home
_ELSEWHERE = {"run": Path("/run/was"), "logs": Path("/var/log/was")}  # of the machine's home


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--move-ports", is_flag=True, hidden=True)
@home_option
def command(folder: Path | None, move_ports: bool) -> None:
    """Make a home in FOLDER (default: the home that --home, WAS_HOME or the user name).

    The folder must be empty or not exist.
    """
    home = (folder or home_path()).absolute()
    insist_on_text(home)
    config = home / "config" / "applicationHost.config"
    if move_ports and config.exists():
        _say_moved(move_taken_ports(config))
        return
    if config.exists():
        raise HomeError(f"{home} is a home already")
    write_home(home)
    moved = move_taken_ports(config)
    click.echo(f"made a home in {home}")
    _say_moved(moved)
    click.echo(f"edit   {config}")
    click.echo(f"start  {shlex.join((program(), 'start', '--home', str(home)))}")


def write_home(home: Path) -> None:
    """Copy the sample. Raises HomeError for a folder that holds anything.

    Whatever goes wrong on the way, the folder is then as empty as it was.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise HomeError(f"{home} is not an empty folder; nothing was written")
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _fill(home)
    except OSError as error:
        for part in (*_SAMPLE_PARTS, *_ELSEWHERE):
            shutil.rmtree(home / part, ignore_errors=True)
        if isinstance(error, shutil.Error):  # of many files; the first one's reason says enough
            raise HomeError(str(error.args[0][0][2])) from error
        raise


def _fill(home: Path) -> None:
    with as_file(files("was.cli.sample")) as sample:
        for part in _SAMPLE_PARTS:
            shutil.copytree(
                sample / part, home / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
    if os.geteuid() == 0:
        _let_pools_read(home / "apps", home / "wwwroot")
    for name, elsewhere in _ELSEWHERE.items():
        if home == ROOT_HOME:
            elsewhere.mkdir(mode=0o755, parents=True, exist_ok=True)
            (home / name).symlink_to(elsewhere)
        else:
            (home / name).mkdir(mode=0o755)


def _let_pools_read(*folders: Path) -> None:
    """Whatever the umask: each pool is a user of its own, and none is root."""
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def move_taken_ports(config: Path) -> list[tuple[int, int]]:
    """Give each 127.0.0.1 binding whose port is taken the next free one; (old, new) of each."""
    text = config.read_text(encoding="utf-8")
    used = {int(port) for port in _SAMPLE_BINDING.findall(text)}
    moved: list[tuple[int, int]] = []

    def choose(found: re.Match[str]) -> str:
        old = int(found[0])
        if _is_free(old):
            return found[0]
        new = next(p for p in range(old + 1, 65536) if p not in used and _is_free(p))
        used.add(new)
        moved.append((old, new))
        return str(new)

    changed = _SAMPLE_BINDING.sub(choose, text)
    if moved:
        temporary = config.with_name(f".{config.name}.new")
        temporary.write_text(changed, encoding="utf-8")
        os.replace(temporary, config)
    return moved


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def program() -> str:
    """What a person types to get this program again: `was` where that is it, else its path."""
    own = os.path.abspath(sys.argv[0])
    if os.path.basename(own) != "was" or shutil.which("was") == own:
        return "was"
    return own


def _say_moved(moved: list[tuple[int, int]]) -> None:
    for old, new in moved:
        click.echo(f"port {old} is taken: {new} instead")
