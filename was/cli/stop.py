"""`was stop`: ask, else signal what is proven to be ours, and wait until it has gone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from was.cli.client import NoManagerError, ask
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument
from was.cli.processes import (
    LiveProcess,
    live_processes,
    open_manager,
    remove_stale_pid_file,
)
from was.errors import HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["command", "stop_home", "stop_orphans"]

ASK_TIMEOUT_S = 5.0
UNASKED_LIMIT_S = 30.0  # for processes that no manager looks after


@click.command("stop")
@kind_argument("apppool", "site", required=False)
@click.argument("name", required=False)
@click.option("--now", is_flag=True, help="Do not let the requests finish.")
@home_option
def command(kind: str | None, name: str | None, now: bool) -> None:
    """Stop the server, or only an application pool or a site. Requests finish first."""
    home = find_home()
    if kind is None:
        click.echo("stopped" if stop_home(home, drain=not now) else "was not running")
        return
    if name is None:
        raise click.UsageError(f"which {kind}? give its name")
    ask(home, "stop", object=kind, name=name)
    click.echo(f"stopped {kind} {name}")


def stop_home(home: Home, *, drain: bool) -> bool:
    """Stop everything of the home and wait for it; False when nothing ran.

    Raises HomeError when something is left that does not go.
    """
    manager = open_manager(home)
    if manager is None:
        return stop_orphans(home)
    try:
        try:
            ask(home, "shutdown", timeout_s=ASK_TIMEOUT_S, drain=drain)
        except NoManagerError:
            manager.send(signal.SIGTERM)
            if not manager.wait(UNASKED_LIMIT_S):
                raise HomeError(
                    f"the manager (pid {manager.pid}) neither answers nor ends;"
                    f" `kill -9 {manager.pid}`, then `was stop` again"
                ) from None
        manager.wait(None)
    finally:
        manager.close()
    stop_orphans(home)
    return True


def stop_orphans(home: Home) -> bool:
    """End what a dead manager left: ask by SIGTERM, wait, kill."""
    note = remove_stale_pid_file(home)
    if note:
        click.echo(f"was: {note}", err=True)
    left = live_processes(home)
    try:
        for process in left:
            process.send(signal.SIGTERM)
        still = [process for process in left if not process.wait(UNASKED_LIMIT_S)]
        for process in still:
            process.send(signal.SIGKILL)
        _wait_killed(still)
    finally:
        for process in left:
            process.close()
    return bool(left)


def _wait_killed(killed: list[LiveProcess]) -> None:
    for process in killed:
        if not process.wait(5.0):
            raise HomeError(f"{process.name} (pid {process.pid}) cannot be killed")
