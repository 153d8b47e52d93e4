"""IHttpSite and IHttpApplication: what requests of one application share."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.config.model import PoolRequests
from was.worker.applications.warming import Warming
from was.worker.global_modules.perf_counters import PerfCounterInfo
from was.worker.interfaces.stored_contexts import ModuleContextContainer

if TYPE_CHECKING:
    from was.config.model import Application, PathSettings, Site, VirtualDirectory
    from was.errors import ConfigErrors
    from was.worker.applications.app_loader import ApplicationLoader, Failure
    from was.worker.calls.call_lists import CallLists
    from was.worker.calls.path_calls import PathCalls
    from was.worker.calls.registration import ModuleRegistration
    from was.worker.global_modules.http_server import HttpServer

__all__ = ["HttpApplication", "HttpSite"]

# Of the time limit, for what a handler waits for; the rest is for a worker that stands still for a
# second. No less than half.
OWN_SHARE = 0.95
REST_S = 2.0


class HttpSite:
    """One site in this worker; `config` is what the configuration says of it now."""

    def __init__(self, site: Site) -> None:
        self.config = site
        self.site_id = site.id
        self.module_context_container = ModuleContextContainer()
        self.perf_counter_info = PerfCounterInfo()

    @property
    def site_name(self) -> str:
        """The name, which another one may take the place of."""
        return self.config.name


class HttpApplication:
    """One application in this worker: paths, settings in force, and its call lists.

    Settings and call lists are replaced as a whole when configuration changes; a request keeps
    those it began with.
    """

    def __init__(self, site: HttpSite, application: Application, server: HttpServer) -> None:
        self.site = site
        self.config = application
        self.server: HttpServer = server  # the worker that it runs in
        self.pool: str = server.app_pool_name
        self.path = application.path
        self.prefix = "" if application.path == "/" else application.path.rstrip("/")
        self.prefix_length = len(self.prefix)
        self.physical_path: str = application.physical_path
        self.id: str = f"/LM/W3SVC/{site.site_id}/ROOT{self.prefix}"
        self.module_context_container = ModuleContextContainer()
        self.settings: PathSettings
        self.calls: CallLists
        self.paths: PathCalls
        # What handler modules have loaded, by scriptProcessor: outlives a change of settings.
        self.loaders: dict[str, ApplicationLoader] = {}
        # What came of starting each, with the application or for a request: None = it runs.
        self.programs: dict[str, Failure | None] = {}
        # Modules that others have added to it, by name.
        self.resolved_modules: dict[str, ModuleRegistration] = {}
        self.warming = Warming()
        self.errors: ConfigErrors | None = None  # why its configuration is not in force
        # The one that a site's URL path belongs to; None: another pool's.
        self.locate: Callable[[int, str], HttpApplication | None] = lambda _site, _path: self
        self.requests = PoolRequests()  # the pool's
        self.is_multiprocess = False
        self._directories = _by_length(application.virtual_directories)

    @property
    def config_path(self) -> str:
        """Where its configuration begins."""
        return f"MACHINE/WEBROOT/APPHOST/{self.site.site_name}{self.prefix}"

    @property
    def time_limit_s(self) -> float:
        """requests/@timeLimit: the listener answers 504 where no response has begun; 0 = never."""
        return self.requests.time_limit_s

    @property
    def own_time_limit_s(self) -> float:
        """How long a handler lets what it waits for take; 0 = as long as it likes.

        The listener's limit must not pass first: it costs the worker.
        """
        limit_s = self.time_limit_s
        return max(limit_s / 2, min(limit_s * OWN_SHARE, limit_s - REST_S))

    # ── warm-up (IHttpApplication2) ─────────────────────────────────────────────────────────────

    def begin_application_warmup(self) -> None:
        """Something of it warms up: a worker that starts waits with its first request for it."""
        self.warming.begin()

    def end_application_warmup(self) -> None:
        """What was begun has ended."""
        self.warming.end()

    def query_is_warming_up(self) -> bool:
        """Whether its first pages have not answered yet, or somebody has begun and not ended."""
        return self.warming.is_warming_up

    # ── paths ───────────────────────────────────────────────────────────────────────────────────

    def map_path(self, url: str) -> str:
        """The file that a canonical URL path below this application stands for.

        The longest virtual directory wins; letter case of its path does not matter.
        """
        below = url[self.prefix_length :]
        for directory in self._directories:
            if directory.path == "/":
                return _join(directory.physical_path, below)
            if _holds(directory, below):
                return _join(directory.physical_path, below[len(directory.path) :])
        return _join(self.physical_path, below)

    def root_of(self, url: str) -> str:
        """The folder of the virtual directory that a URL path lies in."""
        directory = self.directory_of(url)
        return self.physical_path if directory is None else directory.physical_path

    def directory_of(self, url: str) -> VirtualDirectory | None:
        """The virtual directory that a URL path lies in."""
        below = url[self.prefix_length :]
        for directory in self._directories:
            if directory.path == "/" or _holds(directory, below):
                return directory
        return None


def _by_length(directories: tuple[VirtualDirectory, ...]) -> tuple[VirtualDirectory, ...]:
    return tuple(sorted(directories, key=lambda directory: -len(directory.path)))


def _holds(directory: VirtualDirectory, below: str) -> bool:
    """Whether a path below the application lies in the directory."""
    end = len(directory.path)
    return below[:end].lower() == directory.path.lower() and below[end : end + 1] in ("", "/")


def _join(folder: str, below: str) -> str:
    # A canonical path has no dot segments; this holds for paths that modules make up as well.
    if "/." in below:
        below = posixpath.normpath("/" + below.lstrip("/")) + ("/" if below.endswith("/") else "")
    return folder.rstrip("/") + below if below.startswith("/") else f"{folder.rstrip('/')}/{below}"
