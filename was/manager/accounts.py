"""Users and groups: those of the machine, and the ids of a home's own.

What has been given is kept in run/state/identities.json, so a pool has the same id for as long as
the home exists. A pool's id is that of its user and of its group alike; a pool that runs as another
user has its group beside, as IIS puts the pool's SID into every worker's token.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass

from was.config.model import Identities
from was.isolation.identities import IdRange, choose_id
from was.manager.state_files import StateFiles

__all__ = ["Account", "Accounts", "IdentityError"]

RECORD = "identities"


class IdentityError(OSError):
    """A pool's identity cannot be used. Not raised for one that merely cannot read its content."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a process runs as; `home` is "" for one of ours, which has none."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = ""


class Accounts:
    """Finds and gives ids."""

    def __init__(self, files: StateFiles, home: str) -> None:
        self._files = files
        self._home = home
        record = files.read(RECORD)
        self._given: dict[str, int] = {
            str(name): number for name, number in record.items() if isinstance(number, int)
        }

    def given(self) -> Mapping[str, int]:
        """Names and ids so far."""
        return self._given

    def id_of(self, name: str, identities: Identities) -> int:
        """The id of a name of ours. What was given stays, also when the range is another now.

        Files, and sockets of a listener that lives, belong to it.
        """
        known = self._given.get(name)
        if known is not None:
            return known
        ids = IdRange(identities.first_id, identities.count)
        number = choose_id(name, self._home, ids, set(self._given.values()), _is_taken)
        self._files.write_now(RECORD, {**self._given, name: number})
        self._given[name] = number
        return number

    def own(self, name: str, identities: Identities) -> Account:
        """An account of ours: a user and a group that nothing else on the machine has."""
        number = self.id_of(name, identities)
        return Account(name, number, number)

    def user(self, name: str) -> Account:
        """A user of the machine, by name or number; raises IdentityError."""
        try:
            found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except (KeyError, OverflowError):
            raise IdentityError(f"there is no user '{name}'") from None
        groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
        return Account(found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir)

    def group(self, name: str) -> int:
        """A group of the machine, by name or number; raises IdentityError."""
        try:
            return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
        except KeyError:
            raise IdentityError(f"there is no group '{name}'") from None

    def iis_users(self) -> tuple[int, ...]:
        """The group iis_iusrs where the machine has one: every worker is in it."""
        try:
            return (grp.getgrnam("iis_iusrs").gr_gid,)
        except KeyError:
            return ()


def _is_taken(number: int) -> bool:
    for find in (pwd.getpwuid, grp.getgrgid):
        try:
            find(number)
        except KeyError:
            continue
        return True
    return False
