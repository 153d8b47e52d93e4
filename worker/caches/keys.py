"""IHttpCacheKey and its kinds: how caches of a worker find what they hold.

Keys of one kind are compared; of different kinds none is equal to or a prefix of another.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.caches.data import CacheSpecificData

__all__ = [
    "FILE_CACHE",
    "TOKEN_CACHE",
    "URI_CACHE",
    "CacheKey",
    "CacheOperation",
    "FileKey",
    "TokenKey",
    "UriKey",
]

FILE_CACHE, URI_CACHE, TOKEN_CACHE = "FILE", "URI", "TOKEN"


class CacheOperation(IntEnum):
    """CACHE_OPERATION."""

    RETRIEVE = 0
    ADD = 1
    DELETE = 2
    FLUSH_PREFIX = 3
    ENUM = 4


class CacheKey:
    """IHttpCacheKey: derive from it for a cache of your own.

    `identity` is compared; `prefix` says what FLUSH_PREFIX compares, None where nothing is a
    prefix.
    """

    __slots__ = ("_hash", "cache_name", "identity", "prefix")

    def __init__(
        self, cache_name: str, identity: tuple[object, ...], prefix: str | None = None
    ) -> None:
        self.cache_name = cache_name
        self.identity = identity
        self.prefix = prefix
        self._hash = hash((cache_name, identity))

    @property
    def hash(self) -> int:
        """Of 32 bits, the same for equal keys of any process."""
        return zlib.crc32(
            repr((self.cache_name, self.identity)).encode("utf-8", "backslashreplace")
        )

    def get_is_equal(self, key: CacheKey) -> bool:
        """Whether both name the same entry."""
        return self.cache_name == key.cache_name and self.identity == key.identity

    def get_is_prefix(self, key: CacheKey) -> bool:
        """Whether this key is a prefix of `key`, so that flushing this one flushes that entry."""
        if self.cache_name != key.cache_name or self.prefix is None or key.prefix is None:
            return False
        return key.prefix.startswith(self.prefix)

    def enum(self, record: CacheSpecificData) -> None:
        """Called with each record at ENUM. Nothing, unless you override it."""

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CacheKey) and self.get_is_equal(other)


class FileKey(CacheKey):
    """IFileKey: a physical path."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        super().__init__(FILE_CACHE, (path,), path)
        self.path = path


class UriKey(CacheKey):
    """IUriKey: a URL path of a site."""

    __slots__ = ("config_path", "frequently_hit_ticks", "site_id", "site_name", "url")

    def __init__(self, site_id: int, site_name: str, url: str, config_path: str = "") -> None:
        super().__init__(URI_CACHE, (site_id, url), f"{site_id}:{url}")
        self.site_id = site_id
        self.site_name = site_name
        self.url = url
        self.config_path = config_path
        self.frequently_hit_ticks = 0

    def update_frequently_hit_tick_count(self, ticks: int) -> None:
        """Note when the URL was last found to be frequently hit, milliseconds."""
        self.frequently_hit_ticks = ticks


class TokenKey(CacheKey):
    """IHttpTokenKey: a user and a way to log on. The password is known by its hash only."""

    __slots__ = ("logon_method", "password_hash", "user_name")

    def __init__(self, user_name: str, logon_method: int, password_hash: bytes) -> None:
        super().__init__(TOKEN_CACHE, (user_name, logon_method))
        self.user_name = user_name
        self.logon_method = logon_method
        self.password_hash = password_hash
