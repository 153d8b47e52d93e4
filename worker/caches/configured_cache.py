"""A cache of one worker whose entries are worked out from the configuration: flushed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.caches.object_cache import ObjectCache
from was.worker.calls.registration import GlobalModule, ModuleRegistrationInfo
from was.worker.notifications import GL_CONTINUE, GlobalNotification, GlobalNotificationStatus

if TYPE_CHECKING:
    from was.worker.global_modules.providers import CacheProvider, ConfigurationChangeProvider
    from was.worker.interfaces.providers import EventProvider

__all__ = ["ConfiguredCache"]


class ConfiguredCache(GlobalModule):
    """The global module that keeps one kind of entries."""

    def __init__(self, name: str, most: int) -> None:
        """`name` is the cache's in operations, `most` how many entries it holds."""
        self._cache = ObjectCache(name, most)

    def register(self, registration_info: ModuleRegistrationInfo) -> None:
        """Subscribe to the cache's operations, its end, and changes of the configuration."""
        registration_info.set_global_notifications(
            self,
            GlobalNotification.CACHE_CLEANUP
            | GlobalNotification.CACHE_OPERATION
            | GlobalNotification.CONFIGURATION_CHANGE,
        )

    def on_global_cache_operation(self, provider: CacheProvider) -> GlobalNotificationStatus:
        """Handle what concerns this cache."""
        return self._cache.operate(provider)

    def on_global_configuration_change(
        self, provider: ConfigurationChangeProvider
    ) -> GlobalNotificationStatus:
        """What was worked out may be another thing now."""
        self._cache.flush()
        return GL_CONTINUE

    def on_global_cache_cleanup(self, provider: EventProvider) -> GlobalNotificationStatus:
        """Hold nothing any more."""
        self._cache.flush()
        return GL_CONTINUE
