"""`was recycle apppool NAME`: new workers first, then the old ones go."""

from __future__ import annotations

import click

from was.cli.client import ask
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument, name_argument

__all__ = ["command"]


@click.command("recycle")
@kind_argument("apppool", others="; write `was recycle apppool {}`")
@name_argument()
@click.option(
    "--wait",
    is_flag=True,
    help="Return when the old workers have finished and gone, 1 if no new ones became ready.",
)
@home_option
def command(kind: str, name: str, wait: bool) -> None:
    """Replace a pool's workers; the old ones stay until the new ones are ready."""
    del kind
    if wait:
        ask(find_home(), "recycle", timeout_s=None, apppool=name, wait=True)
        click.echo(f"recycled {name}")
    else:
        ask(find_home(), "recycle", apppool=name, wait=False)
        click.echo(f"recycling {name}")
