"""A change of the configuration that a command makes: written, and in force when it ends."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from was.cli.client import ask
from was.cli.home import find_home
from was.cli.reload import RELOAD_TIMEOUT_S
from was.errors import AdminError, HomeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from was.config.changes import Change

__all__ = ["change_configuration"]


def change_configuration(changes: Sequence[Change]) -> None:
    """Write the changes to the home's file; a server that runs there has read them on return.

    Raises ConfigErrors where the file would be wrong with them; nothing is written then.
    """
    from was.config.writing import change_server

    home = find_home()
    outcome = change_server(home.config_file, changes, home=home.path)
    for warning in outcome.warnings:
        click.echo(f"warning: {warning}", err=True)
    # A manager that cannot be asked, or is about to stop, sees by itself that the file has changed.
    with contextlib.suppress(HomeError, AdminError):
        ask(home, "reload", timeout_s=RELOAD_TIMEOUT_S)
