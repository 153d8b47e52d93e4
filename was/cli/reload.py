"""`was reload`: the changed configuration comes into force, or all its errors are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from was.cli.client import ask
from was.cli.home import find_home, home_option
from was.cli.objects import no_object
from was.errors import AdminError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["RELOAD_TIMEOUT_S", "command"]

RELOAD_TIMEOUT_S = 60.0


@click.command("reload")
@no_object("the whole configuration is read; `was recycle apppool NAME` takes changed code")
@home_option
def command() -> None:
    """Read the configuration again; a broken one changes nothing, and says where it is broken."""
    home = find_home()
    try:
        result = ask(home, "reload", timeout_s=RELOAD_TIMEOUT_S)
    except AdminError as error:
        raise AdminError("\n".join(_errors(home)) or str(error)) from None
    warnings = cast("dict[str, list[str]]", result or {}).get("warnings", [])
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("reloaded")


def _errors(home: Home) -> list[str]:
    """All faults of the configuration that was refused, as the manager keeps them."""
    status = cast("dict[str, dict[str, list[str]]]", ask(home, "status"))
    return status.get("config", {}).get("errors", [])
