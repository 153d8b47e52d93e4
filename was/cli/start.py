"""`was start`: the server in the foreground or detached, or one pool or site of a running one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from was.cli.client import ask
from was.cli.home import find_home, home_option, open_home
from was.cli.objects import kind_argument, name_argument
from was.cli.other_servers import ServerCommand
from was.errors import HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home
    from was.manager.server import Engine

__all__ = ["command", "engine_option", "print_ready", "start_detached"]

engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "h11", "llhttp"]),
    default="auto",
    show_default=True,
    help="The HTTP parser; auto takes llhttp where httptools is installed.",
)


@click.command("start", cls=ServerCommand)
@kind_argument("apppool", "site", required=False, others="; write `was start apppool {}`")
@name_argument(required=False)
@click.option("--detach", is_flag=True, help="Go to the background; return when ready.")
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--detached", is_flag=True, hidden=True)  # an upgrade of one that was detached
@engine_option
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    kind: str | None,
    name: str | None,
    detach: bool,
    ready_fd: int | None,
    detached: bool,
    engine: Engine,
) -> None:
    """Start the server and stay until Ctrl-C, or start an application pool or a site."""
    if kind is not None:
        if name is None:
            raise click.UsageError(f"which {kind}? give its name")
        if detach or ctx.get_parameter_source("engine") is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--detach and --engine are of the server, and not of one {kind}"
            )
        ask(find_home(), "start", object=kind, name=name)
        click.echo(f"started {kind} {name}")
        return
    home = open_home()
    if detach:
        print_ready(start_detached(home, engine))
        return
    from was.manager.server import Options
    from was.manager.service import run_manager

    if ready_fd is not None:
        os.set_inheritable(ready_fd, False)
    options = Options(engine, is_detached=detached or ready_fd is not None)
    ctx.exit(run_manager(home, options, detach_notify_fd=ready_fd))


def print_ready(urls: Sequence[str]) -> None:
    """What a person and a script wait for."""
    for line in ("ready", *urls):
        click.echo(line)


def start_detached(home: Home, engine: str) -> list[str]:
    """Start a manager that outlives this command, and wait for it; the URLs it serves.

    The manager reports on a pipe. Raises HomeError with its reasons when it did not start.
    """
    log_file = home.logs / "was.log"
    reader, writer = os.pipe()
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    arguments = ["start", "--ready-fd", str(writer), "--engine", engine]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "was", "--home", str(home.path), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(writer,),
        start_new_session=True,
        cwd="/",
    )
    os.close(writer)
    os.close(log)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as pipe:
        urls, errors = _read_report(pipe.readline())
    if errors is None:
        child.returncode = 0  # it stays; nobody here waits for it
        return urls
    code = child.wait()
    raise HomeError("\n".join(errors) or f"the manager ended with code {code}; see {log_file}")


def _read_report(line: str) -> tuple[list[str], list[str] | None]:
    """The URLs and None, or nothing and the reasons (none when the manager died without a word)."""
    if not line:
        return [], []
    report = cast("dict[str, Any]", json.loads(line))
    return (report["urls"], None) if report["ok"] else ([], report["errors"])
