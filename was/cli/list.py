"""`was list`: a table, or an array of flat objects."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import cast

import click

from was.cli.client import ask_rows
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument, name_argument
from was.cli.table import aligned, cell, fitted, shortened
from was.cli.urlacl import urlacl_rows
from was.errors import AdminError

__all__ = ["command"]

# kind -> the key that NAME is looked for under; all others: name
_NAMED_BY = {
    "app": "site",
    "vdir": "site",
    "wp": "app_pool",
    "request": "app_pool",
    "urlacl": "url",
}
# kind -> the columns that a narrow terminal goes without, one after the other
_FIRST_TO_GO = {
    "apppool": ("cpu_limited_by", "start_mode", "identity", "isolation"),
    "wp": ("worker_id", "generation", "private_bytes", "cpu_s", "started"),
    "request": (
        *("connection_id", "attempt", "notification", "site", "client"),
        *("id", "module", "app_pool"),
    ),
    "module": ("precondition", "image"),
}
# kind -> what NAME is the name of, as we call it and as people do
_NAME_OF = {
    **dict.fromkeys(("site", "app", "vdir"), ("site", "site")),
    **dict.fromkeys(("apppool", "wp", "request"), ("apppool", "application pool")),
    "module": ("module", "module"),
    "urlacl": ("urlacl", "reservation of"),
}


@click.command("list")
@kind_argument("site", "app", "vdir", "apppool", "wp", "request", "module", "urlacl")
@name_argument(required=False)
@click.option("--json", "as_json", is_flag=True, help="An array of objects instead of a table.")
@home_option
def command(kind: str, name: str | None, as_json: bool) -> None:
    """List sites, apps, vdirs, apppools, wps (worker processes), requests, modules or urlacls.

    All of them, or those of one NAME: of the site for sites, apps and vdirs, of the application
    pool for apppools, wps and requests.
    """
    rows = urlacl_rows() if kind == "urlacl" else ask_rows(find_home(), kind)
    if name is not None:
        rows = _named(rows, _NAMED_BY.get(kind, "name"), name)
        if not rows:
            _insist_on_owner(kind, name)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for line in _table(kind, rows) if rows else [f"no {kind}s"]:
        click.echo(line)


def _named(rows: Sequence[dict[str, object]], key: str, name: str) -> list[dict[str, object]]:
    return [row for row in rows if str(row[key]).lower() == name.lower()]


def _insist_on_owner(kind: str, name: str) -> None:
    """An empty list is the truth of a pool or a site only if there is such a one."""
    owner, words = _NAME_OF[kind]
    if kind == owner or not _named(ask_rows(find_home(), owner), "name", name):
        raise AdminError(f"there is no {words} '{name}'")


def _table(kind: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """All columns for a file or a pipe; for a terminal what goes beside each other there."""
    shown = [_for_people(row) for row in rows]
    if not sys.stdout.isatty():
        return aligned(shown)
    columns = shutil.get_terminal_size().columns
    if kind == "request":  # whose length the clients choose
        shown = [{**row, "url": shortened(cell(row["url"]), columns // 3)} for row in shown]
    lines, gone = fitted(shown, columns, _FIRST_TO_GO.get(kind, ()))
    if gone:
        names = ", ".join(name.replace("_", " ") for name in gone)
        lines.append(f"not shown for want of room: {names} (--json has all)")
    return lines


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
