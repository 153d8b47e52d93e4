"""IHttpServer (1 to 3): what register_module is given, and what modules may ask of their worker.

One object a worker; it lives as long as the process. Any thread may call it. Raising an event while
modules are still being loaded reaches nobody, as in IIS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from was.config.model import RecycleReason
from was.config.security_settings import USERS, User, Users
from was.config.typed import Typer
from was.worker.caches.file_info import FileInfo, open_file
from was.worker.caches.fragment_cache import FragmentCache
from was.worker.caches.keys import CacheOperation, FileKey, UriKey
from was.worker.caches.url_info import UrlInfo
from was.worker.calls.preconditions import is_satisfied
from was.worker.global_modules.admin_manager import AdminManager
from was.worker.global_modules.descriptor_callbacks import DescriptorCallbacks
from was.worker.global_modules.events import GlobalEvents
from was.worker.global_modules.file_monitors import FileMonitor, FileMonitors
from was.worker.global_modules.health import Health
from was.worker.global_modules.perf_counters import PerfCounterInfo
from was.worker.global_modules.process_settings import WorkerProcessSettings
from was.worker.global_modules.providers import (
    CacheProvider,
    ConfigurationChangeProvider,
    CustomNotificationProvider,
    FileChangeProvider,
    RscaQueryProvider,
)
from was.worker.global_modules.suspension import Suspension
from was.worker.interfaces.connection_contexts import ConnectionContexts
from was.worker.interfaces.hresult import (
    E_FAIL,
    E_INVALIDARG,
    ERROR_FILE_NOT_FOUND,
    ERROR_INSUFFICIENT_BUFFER,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    HResultError,
    from_win32,
)
from was.worker.interfaces.stored_contexts import DispensedModuleContextContainer
from was.worker.notifications import GlobalNotification, GlobalNotificationStatus
from was.worker.security.logon import LOGON_NETWORK_CLEARTEXT, Logon
from was.worker.threads.loop_limits import LoopLimits
from was.worker.tracing.trace import TraceContext, Tracing

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.applications.pool_applications import Applications
    from was.worker.caches.data import CacheSpecificData
    from was.worker.caches.keys import CacheKey
    from was.worker.caches.metadata import MetadataInfo
    from was.worker.security.tokens import HttpTokenEntry, Token
    from was.worker.threads.descriptor_watch import DescriptorWatch

__all__ = ["HttpServer"]

GL = GlobalNotification

# What the answer to a query may come to.
MOST_ANSWER_BYTES = 1024 * 1024


class HttpServer:
    """The server as modules see it."""

    def __init__(
        self, pool: str, config_file: Path, run: Callable[[Callable[[], None]], None]
    ) -> None:
        """`run` runs a callable on another thread of the worker."""
        self.events = GlobalEvents()
        # Asks the manager for a successor of this worker: a RecycleReason, and words for people.
        self.ask_for_recycle: Callable[[str, str], None] = lambda _reason, _detail: None
        # What waits without a thread; None: there is no thread that would look after it.
        self.watch: DescriptorWatch | None = None
        # Has the host's thread look at what it waits for again.
        self.wake: Callable[[], None] = lambda: None
        self.applications: Applications  # set once, before any module is loaded
        # What runs in the worker now, for RequestMonitorModule.
        self.running_requests: Callable[[], list[dict[str, object]]] = list
        self.limits = LoopLimits()
        self.is_command_line_launch = False  # `was run`
        self.is_multithread = True  # whether more than one request may run at a time
        self.perf_counter_info = PerfCounterInfo()
        self.monitors = FileMonitors(lambda: self.wake())
        self.health = Health(self.events, self._told_unhealthy)
        self.suspension = Suspension(self.events)
        self._pool = pool
        self._config_file = config_file
        self.tracing = Tracing(self.events)
        self.trace_context = TraceContext(self.tracing)
        self.admin_manager = AdminManager(lambda: self.applications.loaded)
        self._fragments = FragmentCache()
        self.connections = ConnectionContexts(run)
        self._descriptors = DescriptorCallbacks(run)
        self._logon = Logon(self._users, self.do_cache_operation)
        self._blocked_threads = 0
        self._is_closed = False

    # ── what it is ──────────────────────────────────────────────────────────────────────────────

    @property
    def app_pool_name(self) -> str:
        """The pool this worker serves."""
        return self._pool

    @property
    def app_pool_config_file(self) -> Path:
        """The file that the worker reads its configuration from."""
        return self._config_file

    def satisfies_precondition(self, text: str) -> bool:
        """Whether an entry with this preCondition is meant for this worker."""
        return is_satisfied(text, self._pool)

    @property
    def worker_process_settings(self) -> WorkerProcessSettings:
        """Limits of the pool. HResultError, ERROR_NOT_FOUND: before the configuration is read."""
        loaded = self.applications.loaded
        pool = None if loaded is None else loaded.config.app_pools.get(self._pool)
        if pool is None:
            raise HResultError(ERROR_NOT_FOUND, f"no pool '{self._pool}'")
        return WorkerProcessSettings(pool)

    def get_extended_interface(self, version: int) -> HttpServer:
        """IHttpServer2 (0) and IHttpServer3 (1): this very object. E_INVALIDARG for others."""
        if version not in (0, 1):
            raise HResultError(E_INVALIDARG, f"no interface of version {version}")
        return self

    def query_request_property(self, request_id: int, name: int) -> bytes:
        """HResultError, ERROR_NOT_SUPPORTED: the listener has no such properties."""
        raise HResultError(ERROR_NOT_SUPPORTED, f"property {name} of request {request_id:016x}")

    def dispense_container(self) -> DispensedModuleContextContainer:
        """A container of stored contexts that the caller releases when it wants."""
        return DispensedModuleContextContainer()

    # ── its end ─────────────────────────────────────────────────────────────────────────────────

    def report_unhealthy(self, reason: str = "", hresult: int = 0) -> None:
        """GL_HEALTH_CHECK, then the worker is replaced; what runs here goes on to its end."""
        self.health.report_unhealthy(str(reason), hresult)

    def _told_unhealthy(self, reason: str) -> None:
        self.ask_for_recycle(RecycleReason.ISAPI_UNHEALTHY.value, reason)

    def recycle_process(self, reason: str = "") -> None:
        """The worker is replaced; the new one is ready before the old one stops."""
        self.ask_for_recycle(RecycleReason.ON_DEMAND.value, str(reason))

    def recycle_application(self, app_config_path: str) -> None:
        """An application of this worker begins anew: MACHINE/WEBROOT/APPHOST/site/path.

        Python code that was imported cannot be unloaded, so the worker is replaced, with all its
        applications. HResultError: ERROR_FILE_NOT_FOUND where there is no such application.
        """
        if not self.applications.has(app_config_path):
            raise HResultError(ERROR_FILE_NOT_FOUND, f"no application '{app_config_path}'")
        self.ask_for_recycle(RecycleReason.ON_DEMAND.value, f"application {app_config_path}")

    # ── events ──────────────────────────────────────────────────────────────────────────────────

    def notify_custom_notification(
        self, provider: CustomNotificationProvider
    ) -> GlobalNotificationStatus:
        """Raise GL_CUSTOM_NOTIFICATION; whether anybody has handled it."""
        return self.events.raise_event(GL.CUSTOM_NOTIFICATION, provider)

    def notify_configuration_change(self, path: str) -> None:
        """Raise GL_CONFIGURATION_CHANGE for a configuration path."""
        self.events.raise_event(GL.CONFIGURATION_CHANGE, ConfigurationChangeProvider(path))

    def notify_file_change(self, name: str) -> None:
        """Raise GL_FILE_CHANGE for a file."""
        self.events.raise_event(GL.FILE_CHANGE, FileChangeProvider(name, None))

    def query(self, function: str, parameters: str) -> tuple[bytes, int]:
        """GL_RSCA_QUERY: the answer of the first module that has one, and its HRESULT."""
        provider = RscaQueryProvider(function, parameters)
        self.events.raise_event(GL.RSCA_QUERY, provider)
        data, hresult = provider.result
        if len(data) > MOST_ANSWER_BYTES:
            return b"", from_win32(ERROR_INSUFFICIENT_BUFFER)
        return data, hresult

    # ── files and caches ────────────────────────────────────────────────────────────────────────

    def register_file_change_monitor(self, path: str, token: object = None) -> FileMonitor:
        """From now on GL_FILE_CHANGE tells of changes of a file, or of those in a folder.

        HResultError where the path's folder cannot be watched.
        """
        return self.monitors.register(path)

    def tell_file_changes(self) -> None:
        """The host's thread: raise GL_FILE_CHANGE for what has changed."""
        for path, monitor in self.monitors.changes():
            self.events.raise_event(GL.FILE_CHANGE, FileChangeProvider(path, monitor))

    def do_cache_operation(
        self,
        operation: CacheOperation,
        key: CacheKey,
        record: CacheSpecificData | None = None,
        trace_context: object = None,
    ) -> CacheSpecificData | None:
        """Raise GL_CACHE_OPERATION, and hand out what the owner of the cache has found.

        A record that was retrieved comes with a reference: dereference_cache_data() gives it
        back. HResultError: what the cache has set as its error status.
        """
        provider = CacheProvider(operation, key, record, trace_context)
        self.events.raise_event(GL.CACHE_OPERATION, provider)
        if provider.error_status:
            raise HResultError(provider.error_status, f"the cache {key.cache_name}")
        return provider.cache_record

    def get_file_info(
        self,
        path: str,
        token: Token | None = None,
        *,
        change_notification_path: str = "",
        cache: bool = True,
    ) -> FileInfo:
        """A file or folder as it is now, with a reference that the caller gives back.

        From the cache FILE where it is there and still the same, else opened, and kept there
        unless `cache` is off. While it is kept, GL_FILE_CHANGE tells of `change_notification_path`.
        HResultError: ERROR_FILE_NOT_FOUND, ERROR_ACCESS_DENIED (also: `token` may not read it),
        E_FAIL once the worker ends.
        """
        if self._is_closed:
            raise HResultError(E_FAIL, "the worker ends")
        key = FileKey(path)
        known = self.do_cache_operation(CacheOperation.RETRIEVE, key) if cache else None
        if isinstance(known, FileInfo) and not known.check_if_file_has_changed():
            info = known
        else:
            if known is not None:
                known.dereference_cache_data()
            info = open_file(path)
            if change_notification_path:
                info.monitor = self.monitors.register(change_notification_path)
            if cache:
                self.do_cache_operation(CacheOperation.ADD, key, info)
        try:
            info.access_check(token)
        except HResultError:
            info.dereference_cache_data()
            raise
        return info

    def url_info(self, application: HttpApplication, path: str) -> UrlInfo:
        """What is known of a canonical path (cache URI), one hit more; with a reference."""
        site = application.site
        key = UriKey(site.site_id, site.site_name, path, application.config_path)
        known = self.do_cache_operation(CacheOperation.RETRIEVE, key)
        if not isinstance(known, UrlInfo):
            runtime = application.settings.server_runtime
            known = UrlInfo(key, runtime.frequent_hit_threshold, runtime.frequent_hit_time_period_s)
            self.do_cache_operation(CacheOperation.ADD, key, known)
        known.hit()
        return known

    def get_metadata(self, site_name: str, url: str) -> MetadataInfo:
        """Of a canonical path of a site, with a reference that the caller gives back.

        HResultError: ERROR_FILE_NOT_FOUND where no application of this worker has it.
        """
        application = self.applications.named(site_name, url)
        if application is None:
            raise HResultError(ERROR_FILE_NOT_FOUND, f"no application here has {site_name}{url}")
        return application.paths.metadata.at(url)

    def get_token(
        self, user_name: str, password: str, logon_method: int = LOGON_NETWORK_CLEARTEXT
    ) -> HttpTokenEntry:
        """Log a user of `authentication/users` on; cached, with a reference to give back.

        Waits while the password is checked. HResultError: ERROR_LOGON_FAILURE.
        """
        return self._logon.get_token(user_name, password, logon_method)

    def _users(self) -> tuple[User, ...]:
        loaded = self.applications.loaded
        if loaded is None:
            return ()
        return Typer().make(Users, loaded.section(USERS)).entries

    def flush_kernel_cache(self, url: str) -> None:
        """HResultError, ERROR_NOT_SUPPORTED: there is no response cache outside the worker."""
        raise HResultError(ERROR_NOT_SUPPORTED, "no response is cached outside the worker")

    def add_fragment_to_cache(self, data: bytes, name: str) -> None:
        """Keep a piece of a response; it may vanish at any time."""
        self._fragments.add(name, data)

    def read_fragment_from_cache(self, name: str) -> bytes:
        """A piece. HResultError: ERROR_PATH_NOT_FOUND."""
        return self._fragments.read(name)

    def remove_fragment_from_cache(self, name: str) -> None:
        """Forget a piece. HResultError: ERROR_FILE_NOT_FOUND."""
        self._fragments.remove(name)

    # ── threads ─────────────────────────────────────────────────────────────────────────────────

    def associate_with_thread_pool(self, descriptor: int, routine: Callable[[int], None]) -> None:
        """Call `routine(descriptor)` on a thread each time the descriptor can be read.

        Until dissociate_from_thread_pool; HResultError for what cannot be waited for.
        """
        self._descriptors.associate(descriptor, routine)

    def dissociate_from_thread_pool(self, descriptor: int) -> None:
        """Before the descriptor is closed."""
        self._descriptors.dissociate(descriptor)

    def increment_thread_count(self) -> int:
        """Say that a thread will block long; how many do, at most 256.

        A number for display: here every request that a worker takes has a thread already.
        """
        self._blocked_threads = min(256, self._blocked_threads + 1)
        return self._blocked_threads

    def decrement_thread_count(self) -> int:
        """Say that it blocks no longer; how many do."""
        self._blocked_threads = max(0, self._blocked_threads - 1)
        return self._blocked_threads

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """The worker ends: monitors do, and nothing is raised any more."""
        self._is_closed = True
        self._descriptors.close()
        self.connections.close()
        self.monitors.close()
        self._fragments.clear()
        self.events.close()
