"""`was restart`: stop, then start in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from was.cli.home import home_option, open_home
from was.cli.objects import no_object
from was.cli.processes import open_manager
from was.cli.start import engine_option, print_ready, start_detached
from was.cli.stop import stop_home
from was.errors import HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["command"]


@click.command("restart")
@no_object("`was recycle apppool NAME` replaces a pool's workers, `was stop site NAME` ends a site")
@engine_option
@home_option
def command(engine: str) -> None:
    """Stop the server if it runs, then start it in the background. Requests finish first.

    The ports are closed in between; `was reload` and `was recycle` do without.
    """
    home = open_home()
    for is_last in (False, False, True):
        stop_home(home, drain=True)
        try:
            print_ready(start_detached(home, engine))
        except HomeError:
            # One that a supervisor had started just before its own end was quicker: it goes, too.
            if is_last or not _has_manager(home):
                raise
        else:
            return


def _has_manager(home: Home) -> bool:
    found = open_manager(home)
    if found is not None:
        found.close()
    return found is not None
