"""UriCacheModule: keeps what modules know of URLs (the cache `URI`, IHttpContext::GetUrlInfo)."""

from __future__ import annotations

from was.worker.caches.configured_cache import ConfiguredCache
from was.worker.caches.keys import URI_CACHE
from was.worker.calls.registration import ModuleRegistrationInfo

MOST_URLS = 4096


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """One cache a worker."""
    ConfiguredCache(URI_CACHE, MOST_URLS).register(registration_info)
