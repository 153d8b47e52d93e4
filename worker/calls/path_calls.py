"""PathCalls: which call lists a path of an application has, found once and remembered.

Most paths have those of the application's root; web.config files of folders and location tags give
some others. What is remembered is bounded, and forgotten as a whole when a file has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

from was.errors import ConfigErrors
from was.log import log
from was.worker.caches.metadata import MetadataTable

if TYPE_CHECKING:
    from was.config.model import PathSettings
    from was.worker.applications.application import HttpApplication
    from was.worker.calls.call_lists import CallLists

__all__ = ["PathCalls"]

# So many paths are remembered; beyond it all are found anew.
MOST_PATHS = 4096


class PathCalls:
    """The call lists of one application's paths, under one state of its configuration."""

    def __init__(
        self,
        application: HttpApplication,
        find: Callable[[str], tuple[PathSettings, bool]],
        make: Callable[[HttpApplication, ConfigErrors | None], CallLists],
    ) -> None:
        """`find` gives a path's settings and whether they hold for every path below it too.

        It raises ConfigErrors; `make` builds call lists.
        """
        self.metadata = MetadataTable(application)
        self._application = application
        self._find = find
        self._make = make
        self._lock = threading.Lock()
        self._paths: dict[str, CallLists] = {}
        self._wholes: dict[str, CallLists] = {}
        # By identity of the settings, which the entry keeps alive.
        self._lists: dict[int, tuple[PathSettings, CallLists]] = {}
        self._keep_root()

    def _keep_root(self) -> None:
        application = self._application
        if application.errors is None:
            self._lists[id(application.settings)] = (application.settings, application.calls)

    def at(self, path: str) -> CallLists:
        """The call lists of a canonical path; any thread."""
        found = self._paths.get(path)
        if found is None:
            found = self._wholes.get(path[: path.rfind("/")])
            if found is None:
                with self._lock:
                    found = self._look(path)
        return found

    def forget(self) -> None:
        """Files have changed: find everything anew, but for the application's own root."""
        self.metadata.flush()
        with self._lock:
            self._paths, self._wholes, self._lists = {}, {}, {}
            self._keep_root()

    def _look(self, path: str) -> CallLists:
        if len(self._paths) >= MOST_PATHS or len(self._wholes) >= MOST_PATHS:
            self._paths, self._wholes = {}, {}
        folder = path[: path.rfind("/")]
        if folder:
            found, is_whole = self._found(folder)
            if is_whole:
                self._wholes[folder] = found
                return found
        found, _ = self._found(path)
        self._paths[path] = found
        return found

    def _found(self, path: str) -> tuple[CallLists, bool]:
        try:
            settings, is_whole = self._find(path)
        except ConfigErrors as errors:
            application = self._application
            log(
                "config_error",
                site=application.site.site_name,
                application=application.path,
                path=path,
                errors=str(errors),
            )
            # Whatever is wrong here is wrong below.
            return self._make(application, errors), True
        return self._lists_of(settings), is_whole

    def _lists_of(self, settings: PathSettings) -> CallLists:
        known = self._lists.get(id(settings))
        if known is None:
            # The same application in everything but what is in force.
            here = copy(self._application)
            here.settings = settings
            known = self._lists[id(settings)] = (settings, self._make(here, None))
        return known[1]
