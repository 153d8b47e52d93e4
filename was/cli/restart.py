"""`was restart`: stop, then start in the background."""

from __future__ import annotations

import click

from was.cli.home import home_option, open_home
from was.cli.start import engine_option, print_ready, start_detached
from was.cli.stop import stop_home

__all__ = ["command"]


@click.command("restart")
@engine_option
@home_option
def command(engine: str) -> None:
    """Stop the server if it runs, then start it in the background. Requests finish first.

    The ports are closed in between; `was reload` and `was recycle` do without.
    """
    home = open_home()
    stop_home(home, drain=True)
    print_ready(start_detached(home, engine))
