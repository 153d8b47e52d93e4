"""IHttpCachePolicy(2): what the output cache is to do with one response, as modules say it."""

from __future__ import annotations

from enum import IntEnum

from was.worker.interfaces.hresult import E_INVALIDARG, HResultError

__all__ = ["CachePolicyType", "CacheSetting", "HttpCachePolicy"]


class CachePolicyType(IntEnum):
    """HTTP_CACHE_POLICY_TYPE."""

    NOCACHE = 0
    USER_INVALIDATES = 1  # until it is invalidated: here, until the file changes
    TIME_TO_LIVE = 2


class CacheSetting:
    """HTTP_CACHE_POLICY: to be changed in place; `seconds_to_live` counts with TIME_TO_LIVE."""

    __slots__ = ("policy", "seconds_to_live")

    def __init__(self) -> None:
        self.policy = CachePolicyType.NOCACHE
        self.seconds_to_live = 0


class HttpCachePolicy:
    """The cache policy of one response."""

    def __init__(self) -> None:
        self._kernel = CacheSetting()
        self._user = CacheSetting()
        self._has_invalidator = False
        self._headers: list[str] = []
        self._query_strings: list[str] = []
        self._vary_by_value: str | None = None
        self._is_user_cache_enabled = True
        self._is_cached = False
        self._is_force_update = False

    @property
    def kernel_cache_policy(self) -> CacheSetting:
        """What HTTP.SYS's cache is to do; kept, the listener has none yet."""
        return self._kernel

    @property
    def user_cache_policy(self) -> CacheSetting:
        """What the output cache of HttpCacheModule is to do."""
        return self._user

    def set_kernel_cache_invalidator_set(self) -> None:
        """Somebody will invalidate the kernel's entry. One way."""
        self._has_invalidator = True

    @property
    def kernel_cache_invalidator_set(self) -> bool:
        """Whether somebody will."""
        return self._has_invalidator

    def append_vary_by_header(self, names: str | None) -> None:
        """Keep one response for each set of values of these request fields (a comma list)."""
        self._headers += _names(names)

    @property
    def vary_by_headers(self) -> str:
        """The fields so far, as a comma list."""
        return ",".join(self._headers)

    def append_vary_by_query_string(self, names: str | None) -> None:
        """The same for parameters of the query; `*` stands for the whole of it."""
        self._query_strings += _names(names)

    @property
    def vary_by_query_strings(self) -> str:
        """The parameters so far, as a comma list."""
        return ",".join(self._query_strings)

    def set_vary_by_value(self, value: str | None) -> None:
        """Keep one response for each value that modules set before RESOLVE_REQUEST_CACHE.

        E_INVALIDARG for None.
        """
        if value is None:
            raise HResultError(E_INVALIDARG, "a value is needed")
        self._vary_by_value = value

    @property
    def vary_by_value(self) -> str | None:
        """The value set, None if none is."""
        return self._vary_by_value

    @property
    def is_user_cache_enabled(self) -> bool:
        """Whether the output cache may keep or give this response."""
        return self._is_user_cache_enabled

    def disable_user_cache(self) -> None:
        """It may not. One way."""
        self._is_user_cache_enabled = False

    @property
    def is_cached(self) -> bool:
        """Whether this response came from the cache, or is in it by now."""
        return self._is_cached

    def set_is_cached(self) -> None:
        """It is. One way."""
        self._is_cached = True

    def set_force_update(self) -> None:
        """Keep this response in place of one that is still valid. One way."""
        self._is_force_update = True

    @property
    def is_force_update_set(self) -> bool:
        """Whether that was said."""
        return self._is_force_update


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
