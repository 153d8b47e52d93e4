"""UriCacheModule: keeps what modules know of URLs (the cache `URI`, IHttpContext::GetUrlInfo)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.cache_keys import URI_CACHE
from was.worker.notifications import GL_CONTINUE, GlobalNotification, GlobalNotificationStatus
from was.worker.object_cache import ObjectCache
from was.worker.registration import GlobalModule, ModuleRegistrationInfo

if TYPE_CHECKING:
    from was.worker.global_providers import CacheProvider, ConfigurationChangeProvider
    from was.worker.providers import EventProvider

MOST_URLS = 4096


class UriCache(GlobalModule):
    """The URLs of one worker."""

    def __init__(self) -> None:
        self._cache = ObjectCache(URI_CACHE, MOST_URLS)

    def on_global_cache_operation(self, provider: CacheProvider) -> GlobalNotificationStatus:
        """Handle what concerns URLs."""
        return self._cache.operate(provider)

    def on_global_configuration_change(
        self, provider: ConfigurationChangeProvider
    ) -> GlobalNotificationStatus:
        """What was worked out for a URL may be another thing now."""
        self._cache.flush()
        return GL_CONTINUE

    def on_global_cache_cleanup(self, provider: EventProvider) -> GlobalNotificationStatus:
        """Hold nothing any more."""
        self._cache.flush()
        return GL_CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to the cache's operations, its end, and changes of the configuration."""
    registration_info.set_global_notifications(
        UriCache(),
        GlobalNotification.CACHE_CLEANUP
        | GlobalNotification.CACHE_OPERATION
        | GlobalNotification.CONFIGURATION_CHANGE,
    )
