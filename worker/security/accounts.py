"""The users of `authentication/users`, and what an authenticated one is to modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.security_settings import USERS, User, Users
from was.config.typed import Typer
from was.worker.interfaces.user import HttpUser

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication

__all__ = ["Account", "Accounts", "credentials_of", "quoted", "realm_of"]


class Account(HttpUser):
    """A user with roles. The name is as the configuration spells it, however it was sent."""

    __slots__ = ("_roles", "_sent_name")

    def __init__(
        self,
        user: User,
        *,
        authentication_type: str,
        sent_name: str,
        shown: str,
        password: str = "",
    ) -> None:
        """`shown` is the name that REMOTE_USER tells."""
        super().__init__(
            user.name,
            authentication_type=authentication_type,
            password=password,
            remote_user_name=shown,
        )
        self._roles = frozenset(role.lower() for role in user.roles)
        self._sent_name = sent_name

    def supports_is_in_role(self) -> bool:
        """Roles are known."""
        return True

    def is_in_role(self, role: str) -> bool:
        """Whether the configuration gives the user this role; letter case does not matter."""
        return role.lower() in self._roles

    def get_user_variable(self, name: str) -> object:
        """UNMAPPED_REMOTE_USER is the name as it was sent."""
        return self._sent_name if name == "UNMAPPED_REMOTE_USER" else None


class Accounts:
    """The users that are enabled, by name in lower case."""

    def __init__(self, application: HttpApplication) -> None:
        users = Typer().make(Users, application.settings.section(USERS)).entries
        self._users = {user.name.lower(): user for user in users if user.enabled}

    def find(self, name: str) -> User | None:
        """The user of a name."""
        return self._users.get(name.lower())

    def all(self) -> tuple[User, ...]:
        """Every user."""
        return tuple(self._users.values())


def credentials_of(fields: list[tuple[str, str]], scheme: str) -> str | None:
    """What Authorization says after the scheme (given in lower case); None: another, or none.

    Two Authorization fields are ambiguous; then nothing is to be believed, and "" is the answer.
    """
    found = [value for name, value in fields if name.lower() == "authorization"]
    mine = [v.partition(" ")[2].strip() for v in found if v.partition(" ")[0].lower() == scheme]
    if not mine:
        return None
    return mine[0] if len(found) == 1 else ""


def realm_of(configured: str, default: str) -> str:
    """The realm as text that a quoted string can hold."""
    return "".join(c for c in configured or default if c.isprintable() and ord(c) < 256)


def quoted(text: str) -> str:
    """A quoted-string (RFC 9110, 5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
