"""`was start`: the server in the foreground or detached, or one pool or site of a running one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from was.cli.client import ask
from was.cli.home import find_home, home_option, open_home
from was.cli.objects import kind_argument
from was.errors import HomeError, WasError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["command", "engine_option", "print_ready", "start_detached"]

engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "h11", "llhttp"]),
    default="auto",
    show_default=True,
    help="The HTTP parser; auto takes llhttp where httptools is installed.",
)


@click.command("start")
@kind_argument("apppool", "site", required=False)
@click.argument("name", required=False)
@click.option("--detach", is_flag=True, help="Go to the background; return when ready.")
@click.option("--ready-fd", type=int, hidden=True)
@engine_option
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    kind: str | None,
    name: str | None,
    detach: bool,
    ready_fd: int | None,
    engine: str,
) -> None:
    """Start the server and stay until Ctrl-C, or start an application pool or a site."""
    if kind is not None:
        if name is None:
            raise click.UsageError(f"which {kind}? give its name")
        ask(find_home(), "start", object=kind, name=name)
        click.echo(f"started {kind} {name}")
        return
    home = open_home()
    if detach:
        print_ready(start_detached(home, engine))
    elif ready_fd is not None:
        ctx.exit(_serve_detached(home, engine, ready_fd))
    else:
        ctx.exit(_serve(home, engine))


def print_ready(urls: Sequence[str]) -> None:
    """What a person and a script wait for."""
    click.echo("ready")
    for url in urls:
        click.echo(f"  {url}")


def _serve(home: Home, engine: str) -> int:
    from was.manager.service import run_manager

    return run_manager(home, foreground=True, engine=engine, on_ready=print_ready)


def start_detached(home: Home, engine: str) -> list[str]:
    """Start a manager that outlives this command, and wait for it; the URLs it serves.

    The other end writes "ready" and the URLs, or the reasons why not. Raises HomeError with them.
    """
    reader, writer = os.pipe()
    log = os.open(
        home.logs / "was.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
    )
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
    with os.fdopen(reader, encoding="utf-8", errors="replace") as report:
        lines = report.read().splitlines()
    if lines and lines[0] == "ready":
        child.returncode = 0  # it stays; nobody here waits for it
        return lines[1:]
    code = child.wait()
    reasons = lines or [f"the manager ended with code {code}; see {home.logs / 'was.log'}"]
    raise HomeError("\n".join(reasons))


def _serve_detached(home: Home, engine: str, ready_fd: int) -> int:
    from was.manager.service import run_manager

    os.set_inheritable(ready_fd, False)
    report = os.fdopen(ready_fd, "w", encoding="utf-8")

    def tell(urls: Sequence[str]) -> None:
        with report:
            report.write("\n".join(["ready", *urls]))

    try:
        return run_manager(home, foreground=False, engine=engine, on_ready=tell)
    except (WasError, OSError) as error:
        if not report.closed:
            with report:
                report.write(str(error))
        raise
