"""IMetadataInfo: where a URL path lies in configuration and file system, and what modules attach.

It lives as long as the configuration of its path, and a request that has asked for it keeps it to
its end.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from was.worker.caches.data import CacheSpecificData, let_go
from was.worker.caches.keys import CacheKey
from was.worker.security.tokens import HttpTokenEntry, token_entry

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication

__all__ = ["MetadataInfo", "MetadataTable"]

# So many paths of an application are remembered; beyond it all are found anew.
MOST_PATHS = 1024


class MetadataInfo(CacheSpecificData):
    """IMetadataInfo, and IReferencedMetadataInfo for who holds it beyond a request."""

    def __init__(self, application: HttpApplication, path: str) -> None:
        site_id = application.site.site_id
        below = "" if path == "/" else path.rstrip("/")
        self.meta_path = f"/LM/W3SVC/{site_id}/ROOT{below}"
        super().__init__(CacheKey("METADATA", (site_id, path), self.meta_path))
        directory = application.directory_of(path)
        self.vr_path = application.root_of(path)
        self._user = "" if directory is None else directory.user_name

    @property
    def vr_token(self) -> HttpTokenEntry | None:
        """Who the virtual directory names to reach its files as; None where it names nobody."""
        return token_entry(self._user) if self._user else None

    def reference_metadata(self) -> None:
        """Hold it beyond the request."""
        self.reference_cache_data()

    def dereference_metadata(self) -> None:
        """Let go of it."""
        self.dereference_cache_data()


class MetadataTable:
    """The metadata of one application's paths under one state of its configuration. Any thread."""

    def __init__(self, application: HttpApplication) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._known: dict[str, MetadataInfo] = {}
        self._is_closed = False

    def at(self, path: str) -> MetadataInfo:
        """Of a canonical path; with a reference that the caller gives back."""
        dropped: list[MetadataInfo] = []
        with self._lock:
            found = self._known.get(path)
            if found is None and self._is_closed:
                return MetadataInfo(self._application, path)  # its caller alone holds it
            if found is None:
                if len(self._known) >= MOST_PATHS:
                    dropped += self._known.values()
                    self._known = {}
                found = self._known[path] = MetadataInfo(self._application, path)
            found.reference_cache_data()
        let_go(dropped)
        return found

    def flush(self) -> None:
        """The configuration has changed."""
        with self._lock:
            dropped, self._known = list(self._known.values()), {}
        let_go(dropped)

    def close(self) -> None:
        """Another table is in its place, or the application has ended."""
        with self._lock:
            self._is_closed = True
        self.flush()
