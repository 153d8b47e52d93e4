"""What authors of modules import: the interfaces of IIS's httpserv.h, in Python.

A module file has one entry point, `register_module(server_version, registration_info,
http_server)`. docs/module-api.md says for each C++ name what it is called here, and
docs/samples holds modules to begin with. Names that are not listed in `__all__` may change.
"""

from __future__ import annotations

from was.worker.application import HttpApplication, HttpSite
from was.worker.child_requests import CloneFlag, ExecuteFlag
from was.worker.completion import AsyncCompletion
from was.worker.connection import HttpConnection
from was.worker.context import HttpContext
from was.worker.hresult import HResultError
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
from was.worker.providers import (
    ApplicationProvider,
    ConfigurationChangeProvider,
    MapPathProvider,
    PreBeginRequestProvider,
    StopListeningProvider,
)
from was.worker.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    HttpModule,
    HttpModuleFactory,
    ModuleRegistrationInfo,
)
from was.worker.request import HttpRequest, ReadEntityProvider
from was.worker.response import FileRegion, HttpResponse
from was.worker.server import WorkerServer
from was.worker.stored_contexts import (
    ModuleContextContainer,
    NamedContextContainer,
    StoredContext,
)
from was.worker.user import HttpUser

__all__ = [
    "CONTINUE",
    "FINISH_REQUEST",
    "GL_CONTINUE",
    "GL_HANDLED",
    "PENDING",
    "ApplicationModuleFactory",
    "ApplicationProvider",
    "AsyncCompletion",
    "CloneFlag",
    "ConfigurationChangeProvider",
    "ExecuteFlag",
    "FileRegion",
    "GlobalModule",
    "GlobalNotification",
    "GlobalNotificationStatus",
    "HResultError",
    "HttpApplication",
    "HttpConnection",
    "HttpContext",
    "HttpModule",
    "HttpModuleFactory",
    "HttpRequest",
    "HttpResponse",
    "HttpSite",
    "HttpUser",
    "MapPathProvider",
    "ModuleContextContainer",
    "ModuleRegistrationInfo",
    "NamedContextContainer",
    "PreBeginRequestProvider",
    "Priority",
    "ReadEntityProvider",
    "RequestNotification",
    "RequestNotificationStatus",
    "ScriptMapInfo",
    "StopListeningProvider",
    "StoredContext",
    "WorkerServer",
]
