"""IHttpServer2::GetToken: who a name and password stand for, cached by TokenCacheModule.

The users are those of `authentication/users` at the server's level. A right password takes some
tens of milliseconds to prove; the cache keeps what was right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.worker.caches.keys import CacheKey, CacheOperation, TokenKey
from was.worker.interfaces.hresult import ERROR_LOGON_FAILURE, HResultError
from was.worker.security.tokens import HttpTokenEntry, password_hash, token_of

if TYPE_CHECKING:
    from was.config.security_settings import User
    from was.worker.caches.data import CacheSpecificData

__all__ = ["LOGON_NETWORK_CLEARTEXT", "Logon"]

LOGON_NETWORK_CLEARTEXT = 8

Operate = Callable[
    [CacheOperation, CacheKey, "CacheSpecificData | None"], "CacheSpecificData | None"
]


class Logon:
    """Logs users on. Any thread; it waits while a password is checked."""

    def __init__(self, users: Callable[[], Iterable[User]], operate: Operate) -> None:
        self._users = users
        self._operate = operate

    def get_token(self, user_name: str, password: str, logon_method: int) -> HttpTokenEntry:
        """An entry with a reference that the caller gives back. HResultError: LOGON_FAILURE."""
        from hmac import compare_digest

        from was.worker.security.verified_passwords import is_right

        name = user_name.lower()
        key = TokenKey(name, logon_method, password_hash(name, password))
        known = self._operate(CacheOperation.RETRIEVE, key, None)
        if isinstance(known, HttpTokenEntry):
            if compare_digest(known.password_hash, key.password_hash):
                return known
            known.dereference_cache_data()
        user = next((u for u in self._users() if u.enabled and u.name.lower() == name), None)
        if not is_right(user, password):
            raise HResultError(ERROR_LOGON_FAILURE, f"user '{user_name}'")
        entry = HttpTokenEntry(key, token_of(user.name if user is not None else user_name))
        self._operate(CacheOperation.ADD, key, entry)
        return entry
