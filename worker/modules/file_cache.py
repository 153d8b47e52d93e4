"""FileCacheModule: keeps what IHttpServer's get_file_info has opened (the cache `FILE`).

Whoever retrieves an entry looks whether it is still the file at its path; GL_FILE_CHANGE drops what
is known to have changed before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.caches.keys import FILE_CACHE, FileKey
from was.worker.caches.object_cache import ObjectCache
from was.worker.calls.registration import GlobalModule, ModuleRegistrationInfo
from was.worker.notifications import GL_CONTINUE, GlobalNotification, GlobalNotificationStatus

if TYPE_CHECKING:
    from was.worker.global_modules.providers import CacheProvider, FileChangeProvider
    from was.worker.interfaces.providers import EventProvider

# Each entry holds a descriptor.
MOST_FILES = 512


class FileCache(GlobalModule):
    """The files of one worker."""

    def __init__(self) -> None:
        self._cache = ObjectCache(FILE_CACHE, MOST_FILES)

    def on_global_cache_operation(self, provider: CacheProvider) -> GlobalNotificationStatus:
        """Handle what concerns files."""
        return self._cache.operate(provider)

    def on_global_file_change(self, provider: FileChangeProvider) -> GlobalNotificationStatus:
        """Drop the file, or what lies in the folder."""
        self._cache.drop(FileKey(provider.file_name))
        self._cache.drop_below(FileKey(provider.file_name.rstrip("/") + "/"))
        return GL_CONTINUE

    def on_global_cache_cleanup(self, provider: EventProvider) -> GlobalNotificationStatus:
        """Hold nothing any more."""
        self._cache.flush()
        return GL_CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to the cache's operations, its end, and changes of files."""
    registration_info.set_global_notifications(
        FileCache(),
        GlobalNotification.CACHE_CLEANUP
        | GlobalNotification.CACHE_OPERATION
        | GlobalNotification.FILE_CHANGE,
    )
