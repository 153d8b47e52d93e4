"""`was add|list|delete urlacl`: who may serve which URLs by was.httpapi (`netsh http … urlacl`)."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Sequence

import click

from was.cli.change import change_configuration
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument
from was.errors import HomeError

__all__ = ["add_command", "delete_command", "urlacl_rows"]

SECTION = "system.applicationHost/urlReservations"
_OTHERS = "; sites, applications and pools are edited in config/applicationHost.config"


@click.command("add")
@kind_argument("urlacl", others=_OTHERS)
@click.argument("url")
@click.option("--user", "users", multiple=True, help="A user's name or number; * is everybody.")
@click.option("--group", "groups", multiple=True, help="A group's name or number.")
@click.option(
    "--listen",
    type=click.Choice(["yes", "no"]),
    default="yes",
    help="Whether they may have requests for it (yes).",
)
@home_option
def add_command(
    kind: str, url: str, users: Sequence[str], groups: Sequence[str], listen: str
) -> None:
    """Reserve a URL prefix, http://host:port/path/, for users and groups."""
    from was.config.changes import AddItem, Place
    from was.config.urls import parse_prefix

    if not users and not groups:
        raise click.UsageError("for whom? give --user or --group")
    try:
        prefix = str(parse_prefix(url if url.endswith("/") else url + "/"))
    except ValueError as error:
        raise HomeError(str(error)) from error
    if any(parse_prefix(str(row["url"])) == parse_prefix(prefix) for row in urlacl_rows()):
        raise HomeError(f"{prefix} is reserved already: `was delete urlacl {prefix}` comes first")
    attributes = {"url": prefix, "users": ",".join(users), "groups": ",".join(groups)}
    if listen == "no":
        attributes["listen"] = "false"
    given = {name: value for name, value in attributes.items() if value}
    change_configuration([AddItem(Place(SECTION), given)])
    _warn_of_strangers("user", users, pwd.getpwnam)
    _warn_of_strangers("group", groups, grp.getgrnam)
    click.echo(f"added {kind} {prefix}")


def _warn_of_strangers(kind: str, names: Sequence[str], find: Callable[[str], object]) -> None:
    for name in names:
        if name == "*" or name.isdecimal():
            continue
        try:
            find(name)
        except KeyError:
            click.echo(f"warning: this machine has no {kind} {name!r}", err=True)


@click.command("delete")
@kind_argument("urlacl", others=_OTHERS)
@click.argument("url")
@home_option
def delete_command(kind: str, url: str) -> None:
    """Delete the reservation of a URL prefix."""
    from was.config.changes import Item, Place, RemoveItem
    from was.config.urls import parse_prefix

    known = {row["url"] for row in urlacl_rows()}
    try:
        prefix = str(parse_prefix(url if url.endswith("/") else url + "/"))
    except ValueError as error:
        raise HomeError(str(error)) from error
    # As it is written in the file, which a person may have done in another form.
    written = [text for text in known if str(parse_prefix(str(text))) == prefix]
    if not written:
        raise HomeError(f"there is no reservation of {prefix}")
    changes = [RemoveItem(Place(SECTION), Item({"url": str(text)})) for text in written]
    change_configuration(changes)
    click.echo(f"deleted {kind} {prefix}")


def urlacl_rows() -> list[dict[str, object]]:
    """The reservations that the configuration has; the server need not run."""
    from was.config.files import load_server

    home = find_home()
    reservations = load_server(home.config_file, home=home.path).config.url_reservations
    return [
        {
            "url": reservation.url,
            "users": list(reservation.users),
            "groups": list(reservation.groups),
            "listen": reservation.listen,
        }
        for reservation in reservations
    ]
