"""`was reload`: the changed configuration comes into force, or all its errors are shown."""

from __future__ import annotations

import click

from was.cli.client import ask
from was.cli.home import find_home, home_option

__all__ = ["command"]

RELOAD_TIMEOUT_S = 60.0


@click.command("reload")
@home_option
def command() -> None:
    """Read the configuration again; a broken one changes nothing, and says where it is broken."""
    ask(find_home(), "reload", timeout_s=RELOAD_TIMEOUT_S)
    click.echo("reloaded")
