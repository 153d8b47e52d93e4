"""`was config`: every fault of a configuration before it is put in force, and what is in force."""

from __future__ import annotations

from pathlib import Path

import click

from was.cli.config_show import show_command
from was.cli.home import find_home, given_home, home_option

__all__ = ["command"]

BY_ITSELF = " by itself; `was config show SITE/FOLDER` tells what is locked or there above it"


@click.group("config")
@home_option
def command() -> None:
    """Check the configuration, and show what it comes to."""


@command.command("validate")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@home_option
@click.pass_context
def validate_command(ctx: click.Context, file: Path | None) -> None:
    """Report all errors, and what has no effect.

    Of FILE (default: the home's), each as file:line:column. What FILE says is looked at as that
    of the home that --home names, else of the folder above its own; a web.config by itself.
    With the home's, the web.config files of all virtual directories are read; those of folders
    further down are only read when a request comes for them: name one as FILE.
    """
    from was.config.files import validate

    report = validate(file or find_home().config_file, home=given_home())
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for error in report.errors:
        click.echo(f"error: {error}", err=True)
    if report.errors:
        ctx.exit(1)
    is_part = file is not None and file.name.lower() == "web.config"
    click.echo(f"valid{BY_ITSELF if is_part else ''}")


command.add_command(show_command)
