"""What authors of modules import: the interfaces of IIS's httpserv.h, in Python.

A module file has one entry point, `register_module(server_version, registration_info,
http_server)`. docs/module-api.md says for each C++ name what it is called here, and
docs/samples holds modules to begin with. Names that are not listed in `__all__` may change.
"""

from __future__ import annotations

from was.worker.admin_manager import AdminManager
from was.worker.application import HttpApplication, HttpSite
from was.worker.cache_data import CacheSpecificData
from was.worker.cache_keys import CacheKey, CacheOperation, FileKey, TokenKey, UriKey
from was.worker.cache_policy import CachePolicyType, HttpCachePolicy
from was.worker.child_requests import CloneFlag, ExecuteFlag
from was.worker.chunks import FileRegion
from was.worker.completion import AsyncCompletion, Operation
from was.worker.connection import HttpConnection
from was.worker.connection_contexts import ConnectionModuleContextContainer, ConnectionStoredContext
from was.worker.context import HttpContext
from was.worker.context_events import ExecutionStats, NextNotification
from was.worker.file_info import FileInfo
from was.worker.file_monitors import FileMonitor
from was.worker.global_providers import (
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
from was.worker.hresult import HResultError
from was.worker.http_server import HttpServer
from was.worker.mapping import ScriptMapInfo
from was.worker.metadata import MetadataInfo
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
from was.worker.perf_counters import PerfCounterInfo
from was.worker.process_settings import WorkerProcessSettings
from was.worker.providers import EventProvider, MapPathProvider
from was.worker.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    HttpModule,
    HttpModuleFactory,
    ModuleRegistrationInfo,
)
from was.worker.request import HttpRequest, ReadEntityProvider
from was.worker.resolved_modules import ResolveModulesProvider
from was.worker.response import HttpResponse
from was.worker.response_more import ResponseStatus
from was.worker.stored_contexts import (
    DispensedModuleContextContainer,
    ModuleContextContainer,
    NamedContextContainer,
    StoredContext,
)
from was.worker.tokens import HttpTokenEntry, Token
from was.worker.trace import (
    TraceArea,
    TraceConfiguration,
    TraceContext,
    TraceEvent,
    TraceEventProvider,
)
from was.worker.url_info import UrlInfo
from was.worker.user import HttpUser
from was.worker.web_socket import IIS_WEBSOCKET, Fragment, WebSocketContext

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
