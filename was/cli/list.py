"""`was list`: a table, or an array of flat objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

import click

from was.cli.client import ask_rows
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument
from was.cli.table import aligned, cell
from was.cli.urlacl import urlacl_rows

__all__ = ["command"]


@click.command("list")
@kind_argument("site", "app", "vdir", "apppool", "wp", "request", "module", "urlacl")
@click.option("--json", "as_json", is_flag=True, help="An array of objects instead of a table.")
@home_option
def command(kind: str, as_json: bool) -> None:
    """List sites, apps, vdirs, apppools, wps (worker processes), requests, modules or urlacls."""
    rows = urlacl_rows() if kind == "urlacl" else ask_rows(find_home(), kind)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for line in aligned([_for_people(row) for row in rows]) if rows else [f"no {kind}s"]:
        click.echo(line)


def _for_people(row: Mapping[str, object]) -> Mapping[str, object]:
    """A pool's isolation in a few words: who it is, and what is off; --json has it all."""
    isolation = row.get("isolation")
    if not isinstance(isolation, dict):
        return row
    facts = cast("dict[str, object]", isolation)
    words = [f"uid {facts['uid']}"] if "uid" in facts else [cell(facts)]
    off = facts.get("off")
    if off:
        words.append(f"off: {cell(off)}")
    return {**row, "isolation": "; ".join(words)}
