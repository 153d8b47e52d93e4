"""IHttpServer (1 to 3): what register_module is given, and what modules may ask of their worker.

One object a worker; it lives as long as the process. Any thread may call it. Raising an event while
modules are still being loaded reaches nobody, as in IIS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from was.config.model import RecycleReason
from was.worker.cache_keys import CacheOperation
from was.worker.file_monitors import FileMonitor, FileMonitors
from was.worker.fragment_cache import FragmentCache
from was.worker.global_events import GlobalEvents
from was.worker.global_providers import (
    CacheProvider,
    ConfigurationChangeProvider,
    CustomNotificationProvider,
    FileChangeProvider,
    RscaQueryProvider,
)
from was.worker.health import Health
from was.worker.hresult import ERROR_FILE_NOT_FOUND, ERROR_NOT_SUPPORTED, HResultError
from was.worker.notifications import GlobalNotification, GlobalNotificationStatus
from was.worker.perf_counters import PerfCounterInfo
from was.worker.preconditions import is_satisfied
from was.worker.stored_contexts import DispensedModuleContextContainer
from was.worker.suspension import Suspension

if TYPE_CHECKING:
    from was.worker.cache_data import CacheSpecificData
    from was.worker.cache_keys import CacheKey

__all__ = ["HttpServer"]

GL = GlobalNotification


class HttpServer:
    """The server as modules see it."""

    def __init__(self, pool: str, config_file: Path) -> None:
        self.events = GlobalEvents()
        # Asks the manager for a successor of this worker: a RecycleReason, and words for people.
        self.ask_for_recycle: Callable[[str, str], None] = lambda _reason, _detail: None
        # Has the host's thread look at what it waits for again.
        self.wake: Callable[[], None] = lambda: None
        # Whether an application has this configuration path.
        self.has_application: Callable[[str], bool] = lambda _path: False
        self.is_command_line_launch = False
        self.perf_counter_info = PerfCounterInfo()
        self.monitors = FileMonitors(lambda: self.wake())
        self.health = Health(self.events, self._told_unhealthy)
        self.suspension = Suspension(self.events)
        self._pool = pool
        self._config_file = config_file
        self._fragments = FragmentCache()

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
        if not self.has_application(app_config_path):
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
        return provider.result

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

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """The worker ends: monitors do, and nothing is raised any more."""
        self.monitors.close()
        self._fragments.clear()
        self.events.close()
