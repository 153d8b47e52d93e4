"""`was user`: who may log in by Basic or Digest authentication."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from was.cli.change import change_configuration
from was.cli.home import find_home, home_option
from was.errors import AdminError

if TYPE_CHECKING:
    from was.config.changes import Change
    from was.config.origins import Shown

__all__ = ["command"]

_AT = click.option(
    "--at",
    "path",
    default="",
    metavar="PATH",
    help="A site, or Site/app/folder: the users of this path (default: of the whole server).",
)


@click.group("user")
@home_option
def command() -> None:
    """Add, list and delete users for Basic and Digest authentication."""


@command.command("add")
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="A role of the user; may be given again.")
@click.option("--digest", is_flag=True, help="Let the user log in by Digest authentication too.")
@click.option("--realm", default="", help="The realm of --digest (default: that of the path).")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@_AT
@home_option
def add_command(
    name: str, roles: tuple[str, ...], digest: bool, realm: str, password_stdin: bool, path: str
) -> None:
    """Add a user, or give one another password.

    The roles of a user NAME who exists are replaced too.
    """
    from was.config.changes import AddItem, Item, Place, RemoveItem
    from was.config.password_hash import digest_hash, hash_password
    from was.config.security_settings import USERS

    password = _password(from_stdin=password_stdin)
    attributes = {"name": name, "passwordHash": hash_password(password)}
    if roles:
        attributes["roles"] = ",".join(roles)
    if digest or realm:
        realm = realm or _realm(path)
        attributes["digestRealm"] = realm
        attributes["digestMD5"] = digest_hash(name, realm, password, "md5")
        attributes["digestSHA256"] = digest_hash(name, realm, password, "sha256")
    place = Place(USERS, path)
    changes: list[Change] = []
    known = _names(path)
    if name.lower() in known:
        changes.append(RemoveItem(place, Item({"name": known[name.lower()]})))
    change_configuration([*changes, AddItem(place, attributes)])
    click.echo(f"added user {name}" if name.lower() not in known else f"changed user {name}")


@command.command("delete")
@click.argument("name")
@_AT
@home_option
def delete_command(name: str, path: str) -> None:
    """Delete a user.

    One that a higher level has is only taken away from this path.
    """
    from was.config.changes import Item, Place, RemoveItem
    from was.config.security_settings import USERS

    known = _names(path).get(name.lower())
    if known is None:
        raise AdminError(f"there is no user '{name}' here")
    change_configuration([RemoveItem(Place(USERS, path), Item({"name": known}))])
    click.echo(f"deleted user {known}")


@command.command("list")
@_AT
@click.option("--json", "as_json", is_flag=True, help="An array of objects instead of a table.")
@home_option
def list_command(path: str, as_json: bool) -> None:
    """List users, their roles and schemes."""
    from was.cli.table import aligned

    rows: list[dict[str, object]] = []
    for item in _shown(path):
        values = {value.name: value.text for value in item.attributes}
        basic = "basic" if values["passwordHash"] else ""
        digest = "digest" if values["digestMD5"] or values["digestSHA256"] else ""
        rows.append(
            {
                "name": values["name"],
                "enabled": values["enabled"] == "true",
                "roles": [part.strip() for part in values["roles"].split(",") if part.strip()],
                "schemes": [scheme for scheme in (basic, digest) if scheme],
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for line in aligned(rows) if rows else ["no users"]:
        click.echo(line)


def _password(*, from_stdin: bool) -> str:
    password = sys.stdin.readline().rstrip("\n") if from_stdin else _asked()
    if not password:
        raise AdminError("the password is empty")
    return password


def _asked() -> str:
    """The password as it was typed, unseen. Raises AdminError where no terminal can hide it."""
    import getpass
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
        except getpass.GetPassWarning:
            raise AdminError(
                "there is no terminal to ask for the password: --password-stdin reads it"
            ) from None


def _shown(path: str) -> tuple[Shown, ...]:
    """The users in force at a path."""
    return _section("security/authentication/users", path).items


def _names(path: str) -> dict[str, str]:
    names = [
        value.text for item in _shown(path) for value in item.attributes if value.name == "name"
    ]
    return {name.lower(): name for name in names}


def _realm(path: str) -> str:
    from was.config.security_settings import DEFAULT_DIGEST_REALM

    section = _section("security/authentication/digestAuthentication", path)
    configured = next(value.text for value in section.attributes if value.name == "realm")
    return configured or DEFAULT_DIGEST_REALM


def _section(name: str, path: str) -> Shown:
    from was.config.files import load_server

    home = find_home()
    loaded = load_server(home.config_file, home=home.path)
    return loaded.shown(path.strip("/"))[f"system.webServer/{name}"]
