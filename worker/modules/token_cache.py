"""TokenCacheModule: keeps the users that IHttpServer2's get_token has logged on (`TOKEN`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.cache_keys import TOKEN_CACHE
from was.worker.notifications import GL_CONTINUE, GlobalNotification, GlobalNotificationStatus
from was.worker.object_cache import ObjectCache
from was.worker.registration import GlobalModule, ModuleRegistrationInfo

if TYPE_CHECKING:
    from was.worker.global_providers import CacheProvider, ConfigurationChangeProvider
    from was.worker.providers import EventProvider

MOST_TOKENS = 1024


class TokenCache(GlobalModule):
    """The tokens of one worker."""

    def __init__(self) -> None:
        self._cache = ObjectCache(TOKEN_CACHE, MOST_TOKENS)

    def on_global_cache_operation(self, provider: CacheProvider) -> GlobalNotificationStatus:
        """Handle what concerns tokens."""
        return self._cache.operate(provider)

    def on_global_configuration_change(
        self, provider: ConfigurationChangeProvider
    ) -> GlobalNotificationStatus:
        """Users and their passwords are configuration."""
        self._cache.flush()
        return GL_CONTINUE

    def on_global_cache_cleanup(self, provider: EventProvider) -> GlobalNotificationStatus:
        """Hold nothing any more."""
        self._cache.flush()
        return GL_CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to the cache's operations and end, and to changes of the users."""
    registration_info.set_global_notifications(
        TokenCache(),
        GlobalNotification.CACHE_CLEANUP
        | GlobalNotification.CACHE_OPERATION
        | GlobalNotification.CONFIGURATION_CHANGE,
    )
