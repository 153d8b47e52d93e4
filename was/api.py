"""What authors of modules import: the interfaces of IIS's httpserv.h, in Python.

A module file has one entry point, `register_module(server_version, registration_info,
http_server)`. docs/module-api.md says for each C++ name what it is called here, and
docs/samples holds modules to begin with. Names that are not listed in `__all__` may change.
"""

from __future__ import annotations

from was.worker.applications.application import HttpApplication, HttpSite
from was.worker.caches.data import CacheSpecificData
from was.worker.caches.file_info import FileInfo
from was.worker.caches.keys import CacheKey, CacheOperation, FileKey, TokenKey, UriKey
from was.worker.caches.metadata import MetadataInfo
from was.worker.caches.url_info import UrlInfo
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    HttpModule,
    HttpModuleFactory,
    ModuleRegistrationInfo,
)
from was.worker.calls.resolved_modules import ResolveModulesProvider
from was.worker.children.requests import CloneFlag, ExecuteFlag
from was.worker.chunks import FileRegion
from was.worker.completion import AsyncCompletion, Operation
from was.worker.global_modules.admin_manager import AdminManager
from was.worker.global_modules.file_monitors import FileMonitor
from was.worker.global_modules.http_server import HttpServer
from was.worker.global_modules.perf_counters import PerfCounterInfo
from was.worker.global_modules.process_settings import WorkerProcessSettings
from was.worker.global_modules.providers import (
    ApplicationPreloadProvider,
    ApplicationProvider,
    CacheProvider,
    ConfigurationChangeProvider,
    CustomNotificationProvider,
    FileChangeProvider,
    PreBeginRequestProvider,
    RscaQueryProvider,
    StopListeningProvider,
    SuspendProcessCallback,
    SuspendProcessProvider,
    ThreadCleanupProvider,
)
from was.worker.interfaces.connection import HttpConnection
from was.worker.interfaces.connection_contexts import (
    ConnectionModuleContextContainer,
    ConnectionStoredContext,
)
from was.worker.interfaces.context import HttpContext
from was.worker.interfaces.context_events import ExecutionStats, NextNotification
from was.worker.interfaces.hresult import HResultError
from was.worker.interfaces.providers import EventProvider, MapPathProvider
from was.worker.interfaces.request import HttpRequest, ReadEntityProvider
from was.worker.interfaces.response import HttpResponse
from was.worker.interfaces.response_more import ResponseStatus
from was.worker.interfaces.stored_contexts import (
    DispensedModuleContextContainer,
    ModuleContextContainer,
    NamedContextContainer,
    StoredContext,
)
from was.worker.interfaces.user import HttpUser
from was.worker.mapping import ScriptMapInfo
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    GL_CONTINUE,
    GL_HANDLED,
    PENDING,
    GlobalNotification,
    GlobalNotificationStatus,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.output_cache.policy import CachePolicyType, HttpCachePolicy
from was.worker.security.tokens import HttpTokenEntry, Token
from was.worker.tracing.trace import (
    TraceArea,
    TraceConfiguration,
    TraceContext,
    TraceEvent,
    TraceEventProvider,
)
from was.worker.websocket.interface import IIS_WEBSOCKET, Fragment, WebSocketContext

__all__ = [
    "CONTINUE",
    "FINISH_REQUEST",
    "GL_CONTINUE",
    "GL_HANDLED",
    "IIS_WEBSOCKET",
    "PENDING",
    "AdminManager",
    "ApplicationModuleFactory",
    "ApplicationPreloadProvider",
    "ApplicationProvider",
    "AsyncCompletion",
    "CacheKey",
    "CacheOperation",
    "CachePolicyType",
    "CacheProvider",
    "CacheSpecificData",
    "CloneFlag",
    "ConfigurationChangeProvider",
    "ConnectionModuleContextContainer",
    "ConnectionStoredContext",
    "CustomNotificationProvider",
    "DispensedModuleContextContainer",
    "EventProvider",
    "ExecuteFlag",
    "ExecutionStats",
    "FileChangeProvider",
    "FileInfo",
    "FileKey",
    "FileMonitor",
    "FileRegion",
    "Fragment",
    "GlobalModule",
    "GlobalNotification",
    "GlobalNotificationStatus",
    "HResultError",
    "HttpApplication",
    "HttpCachePolicy",
    "HttpConnection",
    "HttpContext",
    "HttpModule",
    "HttpModuleFactory",
    "HttpRequest",
    "HttpResponse",
    "HttpServer",
    "HttpSite",
    "HttpTokenEntry",
    "HttpUser",
    "MapPathProvider",
    "MetadataInfo",
    "ModuleContextContainer",
    "ModuleRegistrationInfo",
    "NamedContextContainer",
    "NextNotification",
    "Operation",
    "PerfCounterInfo",
    "PreBeginRequestProvider",
    "Priority",
    "ReadEntityProvider",
    "RequestNotification",
    "RequestNotificationStatus",
    "ResolveModulesProvider",
    "ResponseStatus",
    "RscaQueryProvider",
    "ScriptMapInfo",
    "StopListeningProvider",
    "StoredContext",
    "SuspendProcessCallback",
    "SuspendProcessProvider",
    "ThreadCleanupProvider",
    "Token",
    "TokenKey",
    "TraceArea",
    "TraceConfiguration",
    "TraceContext",
    "TraceEvent",
    "TraceEventProvider",
    "UriKey",
    "UrlInfo",
    "WebSocketContext",
    "WorkerProcessSettings",
]
