"""Tokens: who a user is on this machine, and IHttpTokenEntry, which a token cache holds.

Windows hands out kernel objects that a thread can put on. Here a token is a record: what the
system's user database says of the name. Nothing is impersonated; access checks compare ids.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from was.worker.caches.data import CacheSpecificData
from was.worker.caches.keys import TokenKey

__all__ = [
    "HttpTokenEntry",
    "Token",
    "password_hash",
    "process_token",
    "token_entry",
    "token_of",
]


@dataclass(frozen=True, slots=True)
class Token:
    """A user record; ids are -1 for a user that the system does not know."""

    user_name: str
    uid: int = -1
    gid: int = -1
    groups: tuple[int, ...] = ()

    @property
    def sid(self) -> str:
        """The user's id as text, in the form of a SID for Unix users (S-1-22-1-uid)."""
        return f"S-1-22-1-{self.uid}" if self.uid >= 0 else ""


class HttpTokenEntry(CacheSpecificData):
    """IHttpTokenEntry: a token in the cache."""

    def __init__(self, key: TokenKey, token: Token) -> None:
        super().__init__(key)
        self.password_hash = key.password_hash
        self.primary_token = token

    @property
    def impersonation_token(self) -> Token:
        """The same record: nothing is put on here."""
        return self.primary_token

    @property
    def sid(self) -> str:
        """Of the token."""
        return self.primary_token.sid


def token_of(user_name: str) -> Token:
    """What the system's user database says of a name; ids of -1 if it has no such user."""
    import grp
    import pwd

    try:
        user = pwd.getpwnam(user_name)
    except (KeyError, ValueError):
        return Token(user_name)
    try:
        groups = tuple(os.getgrouplist(user_name, user.pw_gid))
    except OSError:
        groups = tuple(g.gr_gid for g in grp.getgrall() if user_name in g.gr_mem)
    return Token(user_name, user.pw_uid, user.pw_gid, groups)


def token_entry(user_name: str) -> HttpTokenEntry:
    """An entry of no cache, for a name that the configuration vouches for."""
    return HttpTokenEntry(TokenKey(user_name, 0, b""), token_of(user_name))


def process_token() -> Token:
    """The identity that this worker runs under."""
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Token(name, os.getuid(), os.getgid(), tuple(os.getgroups()))


@cache
def _salt() -> bytes:
    """Of this process: what is kept in memory fits no table of hashes."""
    return os.urandom(16)


def password_hash(user_name: str, password: str) -> bytes:
    """What stands for a password in a key of the cache; differs from process to process."""
    import hashlib

    text = f"{user_name}\0{password}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=_salt(), digest_size=16).digest()
