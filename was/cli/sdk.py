"""`was sdk`: where the C headers for compiled extensions lie."""

from __future__ import annotations

from pathlib import Path

import click

import was.sdk

__all__ = ["command"]


@click.command("sdk")
def command() -> None:
    """Print the folder with httpext.h and httpfilt.h, for `cc -I "$(was sdk)"`."""
    click.echo(Path(was.sdk.__file__).parent)
