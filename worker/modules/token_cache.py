"""TokenCacheModule: keeps the users that IHttpServer2's get_token has logged on (`TOKEN`)."""

from __future__ import annotations

from was.worker.caches.configured_cache import ConfiguredCache
from was.worker.caches.keys import TOKEN_CACHE
from was.worker.calls.registration import ModuleRegistrationInfo

MOST_TOKENS = 1024


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """One cache a worker."""
    ConfiguredCache(TOKEN_CACHE, MOST_TOKENS).register(registration_info)
