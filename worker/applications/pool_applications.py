"""Applications: those of this worker's pool, and what of the configuration each has in force.

Made, renewed and stopped under the server's lock; `find` is called by any request thread. The
dictionary is replaced, never changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from was.config.files import LoadedServer
from was.config.model import Application, PathSettings, PoolRequests, RecycleReason, Site
from was.errors import ConfigErrors
from was.log import log
from was.worker.applications.application import HttpApplication, HttpSite
from was.worker.calls.path_calls import PathCalls
from was.worker.global_modules import providers
from was.worker.notifications import GlobalNotification

if TYPE_CHECKING:
    from was.worker.applications.web_configs import WebConfigs
    from was.worker.calls.call_lists import CallLists
    from was.worker.global_modules.http_server import HttpServer
    from was.worker.interfaces.providers import EventProvider

__all__ = ["Applications"]

GL = GlobalNotification


class Applications:
    """The applications of one pool in one worker."""

    def __init__(
        self,
        server: HttpServer,
        make_calls: Callable[[HttpApplication, ConfigErrors | None], CallLists],
        resolve: Callable[[HttpApplication], None],
    ) -> None:
        """`resolve` lets modules add others to one, each time before its call lists are made."""
        # Tells of changed web.config files; None: nobody will ask.
        self.web_configs: WebConfigs | None = None
        self._server = server
        self._pool = server.app_pool_name
        self._make_calls = make_calls
        self._resolve = resolve
        self._loaded: LoadedServer | None = None
        self._sites: dict[int, HttpSite] = {}
        self._all: dict[tuple[int, str], HttpApplication] = {}
        self._by_name: dict[tuple[int, str], HttpApplication] = {}  # paths in lower case
        self._elsewhere: frozenset[tuple[int, str]] = frozenset()  # those of other pools

    def find(self, site_id: int, path: str) -> HttpApplication | None:
        """An application by its site and path."""
        return self._all.get((site_id, path))

    def owner(self, site_id: int, path: str) -> HttpApplication | None:
        """The application of ours that a canonical URL path belongs to; None: another pool's."""
        folder = path.rstrip("/")
        while True:
            for name in (folder or "/", folder + "/"):
                application = self._by_name.get((site_id, name.lower()))
                if application is not None:
                    return application
            if not folder or (site_id, folder.lower()) in self._elsewhere:
                return None
            folder = folder.rpartition("/")[0]

    @property
    def loaded(self) -> LoadedServer | None:
        """The configuration in force."""
        return self._loaded

    def named(self, site_name: str, path: str) -> HttpApplication | None:
        """The application of ours that a canonical path of a site belongs to."""
        wanted = site_name.lower()
        site = next((s for s in self._sites.values() if s.site_name.lower() == wanted), None)
        return None if site is None else self.owner(site.site_id, path)

    def has(self, config_path: str) -> bool:
        """Whether one of ours has this configuration path."""
        wanted = config_path.rstrip("/").lower()
        return any(application.config_path.lower() == wanted for application in self)

    def __iter__(self) -> Iterator[HttpApplication]:
        return iter(self._all.values())

    # ── the configuration as a whole ────────────────────────────────────────────────────────────

    def build(self, loaded: LoadedServer) -> None:
        """Make the applications of the pool, or renew what they have of the configuration."""
        is_first, self._loaded = self._loaded is None, loaded
        applications: dict[tuple[int, str], HttpApplication] = {}
        for site_config in loaded.config.sites:
            site = self._sites.get(site_config.id)
            if site is None:
                site = self._sites[site_config.id] = HttpSite(site_config)
            site.config = site_config
            for config in site_config.applications:
                if config.application_pool == self._pool:
                    key = (site_config.id, config.path)
                    if key not in self._all and not is_first and not _can_enter(config):
                        # Most likely the sandbox that this process has taken for good.
                        self._ask_for_another(site, config, "lie where this process may not look")
                    applications[key] = self._build_one(loaded, site, site_config, config)
        old, self._all = self._all, applications
        self._by_name = {(site, path.lower()): a for (site, path), a in applications.items()}
        self._elsewhere = frozenset(
            (site.id, path.lower())
            for site in loaded.config.sites
            for path in (
                *(a.path for a in site.applications if a.application_pool != self._pool),
                *site.other_applications,
            )
        )
        for key, application in old.items():
            if applications.get(key) is not application:
                self._stop(application)
        self._drop_sites({site.id for site in loaded.config.sites})

    def _drop_sites(self, kept: set[int]) -> None:
        for site_id in self._sites.keys() - kept:
            self._sites.pop(site_id).module_context_container.cleanup()

    def _build_one(
        self, loaded: LoadedServer, site: HttpSite, site_config: Site, config: Application
    ) -> HttpApplication:
        known = self._all.get((site.site_id, config.path))
        if known is not None and known.config != config:
            if _needs_another_process(known, config):
                # Until it is there, this one goes on with the folders that it has.
                self._ask_for_another(site, config, "are others now")
            else:
                known = None
        application = known or HttpApplication(site, config, self._server)
        application.locate = self.owner
        pool = loaded.config.app_pools.get(self._pool)
        application.requests = PoolRequests() if pool is None else pool.requests
        application.is_multiprocess = pool is not None and pool.process_model.max_processes != 1
        if known is not None:
            self._renew(loaded, application, site_config)
        else:
            self._set(loaded, application, site_config)
            self._raise(GL.APPLICATION_START, providers.ApplicationProvider(application))
        return application

    def _raise(self, notification: GlobalNotification, provider: EventProvider) -> None:
        self._server.events.raise_event(notification, provider)

    def _ask_for_successor(self, why: str) -> None:
        self._server.ask_for_recycle(RecycleReason.CONFIG_CHANGE.value, why)

    def _ask_for_another(self, site: HttpSite, config: Application, why: str) -> None:
        self._ask_for_successor(f"the folders of {site.site_name}{config.path} {why}")

    def _renew(self, loaded: LoadedServer, application: HttpApplication, site: Site) -> None:
        """Put in force what the files now say, and notice when it is another program."""
        is_hidden = isinstance(_hindrance(application.config), PermissionError)
        if application.errors is None and is_hidden:
            # A link of its path leads to a folder that the sandbox does not know.
            self._ask_for_another(application.site, application.config, "lie elsewhere now")
            return
        was_right, before = application.errors is None, application.settings
        self._set(loaded, application, site)
        is_right, now = application.errors is None, application.settings
        # Another program to run is run by another process.
        if was_right and is_right and _programs(before) != _programs(now):
            name = f"{application.site.site_name}{application.path}"
            self._ask_for_successor(f"the handlers of {name} name another application")

    def _set(self, loaded: LoadedServer, application: HttpApplication, site: Site) -> None:
        def find(path: str) -> tuple[PathSettings, bool]:
            config = application.config
            if self.web_configs is not None:
                files = loaded.files(site, config, path)
                for folder in self.web_configs.add(files, loaded.named_by):
                    loaded.forget(folder)  # it may have changed before it was watched
            settings = loaded.settings(site, config, path)
            return settings, loaded.holds_below(site, config, path)

        try:
            application.settings, _ = find(application.path)
            application.errors = None
        except ConfigErrors as errors:
            name, path = application.site.site_name, application.path
            log("config_error", site=name, application=path, errors=str(errors))
            application.errors = errors
            # Its own settings cannot be had: the server's modules log and answer in their place.
            application.settings = loaded.silent_settings()
        self._resolve(application)
        application.calls = self._make_calls(application, application.errors)
        before: PathCalls | None = getattr(application, "paths", None)
        application.paths = PathCalls(application, find, self._make_calls)
        if before is not None:
            before.metadata.close()

    # ── web.config files ────────────────────────────────────────────────────────────────────────

    def read_folders(self, folders: list[str]) -> None:
        """Files in these folders, or the folders themselves, have changed."""
        loaded = self._loaded
        if loaded is None:
            return
        sites = {site.id: site for site in loaded.config.sites}
        for folder in folders:
            if not self._is_shut_out(loaded, sites, folder):
                loaded.forget(folder)
        for application in self:
            site = sites[application.site.site_id]
            if application.errors is None and _is_current(loaded, application, site):
                application.paths.forget()
            else:
                self._renew(loaded, application, site)
        for folder in folders:
            path = _config_path(folder, self)
            self._raise(GL.CONFIGURATION_CHANGE, providers.ConfigurationChangeProvider(path))

    def are_shut_out(self) -> bool:
        """Whether ours inherit a web.config that this process may not read; a successor may."""
        loaded = self._loaded
        if loaded is None:
            return False
        sites = {site.id: site for site in loaded.config.sites}
        for application in self:
            own = _folders(application.config).values()
            for file in loaded.files(sites[application.site.site_id], application.config):
                if str(file.parent) not in own and not _may_read(file):
                    self._ask_for_successor(f"{file} is another file than this process may read")
                    return True
        return False

    def _is_shut_out(self, loaded: LoadedServer, sites: dict[int, Site], folder: str) -> bool:
        """Whether a web.config that ours inherit is one that this process may not read.

        It lies in another pool's content, and the sandbox knows the file that was there when the
        process began. What that said holds until another process is there, which may read this one.
        """
        file = Path(folder, "web.config")
        is_inherited = any(
            folder not in _folders(application.config).values()
            and file in loaded.files(sites[application.site.site_id], application.config)
            for application in self
        )
        if not is_inherited or _may_read(file):
            return False
        if self.web_configs is not None:
            self.web_configs.add([file])
        self._ask_for_successor(f"{file} is another file than this process may read")
        return True

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Stop all of them. Once."""
        applications, self._all = self._all, {}
        for application in applications.values():
            self._stop(application)

    def _stop(self, application: HttpApplication) -> None:
        self._raise(GL.APPLICATION_STOP, providers.ApplicationProvider(application))
        application.paths.metadata.close()
        application.module_context_container.cleanup()

    def clean_up_sites(self) -> None:
        """The last that modules hear of them."""
        for site in self._sites.values():
            site.module_context_container.cleanup()


def _needs_another_process(application: HttpApplication, config: Application) -> bool:
    """Whether its folders are others than this process can serve.

    What it has imported from the old ones stays imported, and a sandbox is never widened.
    """
    if _folders(application.config) == _folders(config):
        return False
    return bool(application.loaders) or not _can_enter(config)


def _folders(config: Application) -> dict[str, str]:
    return {directory.path: directory.physical_path for directory in config.virtual_directories}


def _can_enter(config: Application) -> bool:
    """Whether this process can look into the folders; one that is not there is as one hidden."""
    return _hindrance(config) is None


def _hindrance(config: Application) -> OSError | None:
    """What keeps this process from looking into the folders."""
    try:
        for directory in config.virtual_directories:
            os.scandir(directory.physical_path).close()
    except OSError as error:
        return error
    return None


def _may_read(file: Path) -> bool:
    """Whether this process may; one that is not there is as one that says nothing."""
    try:
        file.open("rb").close()
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _is_current(loaded: LoadedServer, application: HttpApplication, site: Site) -> bool:
    """Whether the files still say about the application's root what is in force there."""
    try:
        return loaded.settings(site, application.config) is application.settings
    except ConfigErrors:
        return False


def _programs(settings: PathSettings) -> set[str]:
    """What the handlers of an application run."""
    return {
        h.script_processor
        for h in settings.handlers.entries
        if "WsgiModule" in h.modules or "AsgiModule" in h.modules
    }


def _config_path(folder: str, applications: Iterable[HttpApplication]) -> str:
    """How IIS names the place whose web.config lies in a folder."""
    for application in applications:
        root = application.physical_path.rstrip("/")
        if folder == root or folder.startswith(root + "/"):
            return application.config_path + folder[len(root) :]
    return "MACHINE/WEBROOT/APPHOST"
