"""What global notifications carry: IIS's event providers, one class each.

Each GL_ event has one argument, the provider. Two of IIS's have none, GL_CACHE_CLEANUP and
GL_HEALTH_CHECK; ours get the bare EventProvider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from was.worker.interfaces.hresult import E_INVALIDARG, E_NOTIMPL, S_OK, HResultError
from was.worker.interfaces.providers import EventProvider

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.caches.data import CacheSpecificData
    from was.worker.caches.keys import CacheKey, CacheOperation
    from was.worker.global_modules.file_monitors import FileMonitor
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.user import HttpUser

__all__ = [
    "ApplicationPreloadProvider",
    "ApplicationProvider",
    "CacheProvider",
    "ConfigurationChangeProvider",
    "CustomNotificationProvider",
    "FileChangeProvider",
    "PreBeginRequestProvider",
    "RscaQueryProvider",
    "StopListeningProvider",
    "SuspendProcessCallback",
    "SuspendProcessProvider",
    "ThreadCleanupProvider",
]


class ApplicationProvider(EventProvider):
    """IHttpApplicationStartProvider and IHttpApplicationStopProvider."""

    __slots__ = ("application",)

    def __init__(self, application: HttpApplication) -> None:
        super().__init__()
        self.application = application


class ThreadCleanupProvider(ApplicationProvider):
    """IGlobalThreadCleanupProvider: this thread has ended its work for `application`."""

    __slots__ = ()


class PreBeginRequestProvider(EventProvider):
    """IPreBeginRequestProvider."""

    __slots__ = ("http_context", "is_finished")

    def __init__(self, context: HttpContext) -> None:
        super().__init__()
        self.http_context = context
        self.is_finished = False

    def finish_request(self) -> None:
        """The response is set: the request goes on with LOG_REQUEST. Answer GL_HANDLED then."""
        self.is_finished = True


class StopListeningProvider(EventProvider):
    """IGlobalStopListeningProvider."""

    __slots__ = ("_drain",)

    def __init__(self, drain: bool) -> None:
        super().__init__()
        self._drain = drain

    def drain_requests_gracefully(self) -> bool:
        """True on recycling and idling, False when the service stops at once."""
        return self._drain


class ConfigurationChangeProvider(EventProvider):
    """IGlobalConfigurationChangeProvider."""

    __slots__ = ("change_path",)

    def __init__(self, change_path: str) -> None:
        super().__init__()
        self.change_path = change_path


class FileChangeProvider(EventProvider):
    """IGlobalFileChangeProvider; the monitor is None for a change that a module has announced."""

    __slots__ = ("file_monitor", "file_name")

    def __init__(self, file_name: str, file_monitor: FileMonitor | None) -> None:
        super().__init__()
        self.file_name = file_name
        self.file_monitor = file_monitor


class CustomNotificationProvider(EventProvider):
    """ICustomNotificationProvider: make one, or one of a derived class, to notify modules."""

    __slots__ = ("_type",)

    def __init__(self, notification_type: str) -> None:
        super().__init__()
        self._type = notification_type

    def query_notification_type(self) -> str:
        """By what the receivers know their own."""
        return self._type


class CacheProvider(EventProvider):
    """ICacheProvider: one operation on the cache that `cache_key.cache_name` names."""

    __slots__ = ("cache_key", "cache_operation", "cache_record", "trace_context")

    def __init__(
        self,
        operation: CacheOperation,
        key: CacheKey,
        record: CacheSpecificData | None,
        trace_context: object,
    ) -> None:
        super().__init__()
        self.cache_operation = operation
        self.cache_key = key
        self.cache_record = record
        self.trace_context = trace_context

    def set_cache_record(self, record: CacheSpecificData | None) -> None:
        """What was found."""
        self.cache_record = record


class RscaQueryProvider(EventProvider):
    """IGlobalRSCAQueryProvider: a question from `was query`; who knows sets a result, HANDLED."""

    __slots__ = ("_buffer", "_result", "function_name", "function_parameters")

    def __init__(self, function_name: str, function_parameters: str) -> None:
        super().__init__()
        self.function_name = function_name
        self.function_parameters = function_parameters
        self._buffer = bytearray()
        self._result: tuple[int, int] = (0, E_NOTIMPL)

    def get_output_buffer(self, size: int) -> bytearray:
        """The answer's bytes, at least `size` of them."""
        if len(self._buffer) < size:
            self._buffer.extend(bytes(size - len(self._buffer)))
        return self._buffer

    def resize_output_buffer(self, size: int, kept: int) -> bytearray:
        """A buffer of `size` bytes that begins with `kept` of the old. E_INVALIDARG: kept more."""
        if kept > size:
            raise HResultError(E_INVALIDARG, "more bytes are to be kept than there are")
        old = bytes(self._buffer[:kept])
        self._buffer = bytearray(old.ljust(size, b"\0"))
        return self._buffer

    def set_result(self, size: int, hresult: int = S_OK) -> None:
        """The answer is the buffer's first `size` bytes, or an error."""
        if size > len(self._buffer):
            raise HResultError(E_INVALIDARG, "the buffer is smaller")
        self._result = size, hresult

    @property
    def result(self) -> tuple[bytes, int]:
        """What was answered, and its HRESULT; E_NOTIMPL while nobody has."""
        size, hresult = self._result
        return bytes(self._buffer[:size]), hresult


class SuspendProcessCallback(Protocol):
    """IGlobalSuspendProcessCallback."""

    def resume(self) -> None:
        """The process runs again."""
        ...


class SuspendProcessProvider(EventProvider):
    """Of GL_SUSPEND_PROCESS, in place of its out parameter; each module may leave a callback."""

    __slots__ = ("callbacks",)

    def __init__(self) -> None:
        super().__init__()
        self.callbacks: list[SuspendProcessCallback] = []

    def set_callback(self, callback: SuspendProcessCallback) -> None:
        """Have `callback.resume()` called once when the process runs again."""
        self.callbacks.append(callback)


class ApplicationPreloadProvider(ApplicationProvider):
    """IGlobalApplicationPreloadProvider and …2: requests of the module's own before all others."""

    __slots__ = ("_create", "_execute", "_is_recycled")

    def __init__(
        self,
        application: HttpApplication,
        create: Callable[[HttpApplication], HttpContext],
        execute: Callable[[HttpContext], int],
        is_recycled: bool,
    ) -> None:
        super().__init__(application)
        self._create = create
        self._execute = execute
        self._is_recycled = is_recycled

    def create_context(self) -> HttpContext:
        """A GET of the application's root that nobody has sent: set its URL and fields."""
        return self._create(self.application)

    def execute_request(self, context: HttpContext, user: HttpUser | None = None) -> int:
        """Run it to its end; the status it was answered with, 0 if it was not."""
        if user is not None:
            context.user = user
        return self._execute(context)

    def is_process_recycled(self) -> bool:
        """Whether this worker replaces another one."""
        return self._is_recycled
