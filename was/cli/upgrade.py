"""`was upgrade`: newly installed code comes into force without a failed request."""

from __future__ import annotations

import time
from typing import Any, cast

import click

from was.cli.client import ask
from was.cli.duration import parse_duration
from was.cli.home import find_home, home_option
from was.cli.processes import manager_pid
from was.errors import AdminError, WasError

__all__ = ["command"]

LOOK_EVERY_S = 0.1
# Longer than a supervisor takes to start another manager.
GONE_S = 5.0


@click.command("upgrade")
@click.option(
    "--timeout",
    "timeout_s",
    type=parse_duration,
    default="120s",
    metavar="TIME",
    help="How long to wait (120s).",
)
@home_option
def command(timeout_s: float) -> None:
    """Replace manager, template, listener and workers by the code that is installed now.

    Requests go on: the old listener finishes what it has, and so does each worker.
    """
    home = find_home()
    ask(home, "upgrade")
    seen_at = time.monotonic()
    deadline = seen_at + timeout_s
    while time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        try:
            status = cast("dict[str, Any]", ask(home, "status"))
        except (WasError, OSError):
            # It is becoming the new code at this moment; or somebody has stopped it.
            if manager_pid(home) is None and time.monotonic() - seen_at > GONE_S:
                raise AdminError("the manager has ended meanwhile; see `was status`") from None
            continue
        seen_at = time.monotonic()
        if status.get("upgrade_error"):
            raise AdminError(status["upgrade_error"])
        if status["is_ready"] and not status["is_upgrading"]:
            click.echo(f"upgraded to {status['version']}")
            return
    raise AdminError(f"not within {timeout_s:g} s: the upgrade goes on; see `was status`")
