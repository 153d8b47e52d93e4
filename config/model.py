"""What the rest of the program sees of applicationHost.config: frozen, typed, complete.

Names are IIS's attribute names in snake_case; a timeSpan is a float of seconds and its name ends
in `_s`; flags are frozensets of enum members. Every value is filled in (explicit, then the
collection's defaults, then the schema's), every path absolute. The defaults written here repeat
the schema's, so that `AppPool(name="x")` is IIS's default pool; a test holds the two together.

Values compare and pickle by content; `file` and `line` say where an object was written and take
no part in comparison, so that moving a line is no change. Mappings are read-only by type; they
are plain dicts so that they pickle and survive a fork.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from was.config.choices import (
    CacheControlMode,
    CacheLocation,
    CachePolicy,
    CpuAction,
    ErrorMode,
    ExistingResponse,
    HandlerAccess,
    IdentityType,
    IdleTimeoutAction,
    LoadBalancerCapabilities,
    LogField,
    LogFormat,
    LogPeriod,
    LogSelection,
    RecycleReason,
    Replay,
    RequireAccess,
    ResourceType,
    ResponseMode,
    ShowFlag,
    StartMode,
)
from was.config.log_settings import (
    CustomLogField,
    LogFile,
)
from was.config.pool_settings import (
    AppPool,
    Cpu,
    Failure,
    PeriodicRestart,
    PoolIsolation,
    PoolPython,
    PoolRequests,
    ProcessModel,
    Recycling,
)
from was.config.response_settings import (
    CacheProfile,
    Caching,
    CompressionScheme,
    CompressionType,
    HttpCompression,
    UrlCompression,
    library_of,
)
from was.config.settings import (
    AnonymousAuthentication,
    CustomError,
    DefaultDocument,
    DirectoryBrowse,
    FilterEntry,
    FilteringRule,
    FilterList,
    Handler,
    HandlersSection,
    HeaderLimit,
    HttpErrors,
    HttpLogging,
    HttpProtocol,
    ModuleEntry,
    NameValue,
    PathSettings,
    RequestFiltering,
    RequestLimits,
    SectionView,
    ServerRuntime,
    StaticContent,
    Value,
)

__all__ = [
    "AnonymousAuthentication",
    "AppPool",
    "Application",
    "Binding",
    "CacheControlMode",
    "CacheLocation",
    "CachePolicy",
    "CacheProfile",
    "Caching",
    "CompressionScheme",
    "CompressionType",
    "ConfigHistory",
    "Cpu",
    "CpuAction",
    "CustomError",
    "CustomLogField",
    "DefaultDocument",
    "DirectoryBrowse",
    "ErrorMode",
    "ExistingResponse",
    "Failure",
    "FilterEntry",
    "FilterList",
    "FilteringRule",
    "GlobalModule",
    "Handler",
    "HandlerAccess",
    "HandlersSection",
    "HeaderLimit",
    "HttpCompression",
    "HttpErrors",
    "HttpLogging",
    "HttpProtocol",
    "Identities",
    "IdentityType",
    "IdleTimeoutAction",
    "LoadBalancerCapabilities",
    "LogField",
    "LogFile",
    "LogFormat",
    "LogPeriod",
    "LogSelection",
    "ModuleEntry",
    "NameValue",
    "PathSettings",
    "PeriodicRestart",
    "PoolIsolation",
    "PoolPython",
    "PoolRequests",
    "ProcessModel",
    "RecycleReason",
    "Recycling",
    "Replay",
    "RequestFiltering",
    "RequestLimits",
    "RequireAccess",
    "ResourceType",
    "ResponseMode",
    "SectionView",
    "ServerConfig",
    "ServerRuntime",
    "ShowFlag",
    "Site",
    "SiteLimits",
    "StartMode",
    "StaticContent",
    "UrlCompression",
    "UrlReservation",
    "Value",
    "VirtualDirectory",
    "WebLimits",
    "library_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where a site listens: for http, `ip` is "" for all addresses and has no brackets.

    `ip`, `port` and `host` are empty (port 0) but for http, https and was.health.
    """

    protocol: str = "http"
    binding_information: str = "*:80:"
    ip: str = ""
    port: int = 80
    host: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLimits:
    """`site/limits`; 4294967295 means no limit."""

    max_connections: int = 4294967295
    connection_timeout_s: float = 120.0
    max_url_segments: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualDirectory:
    """A URL path of an application and the folder it stands for."""

    path: str
    physical_path: str
    user_name: str = ""
    allow_sub_dir_config: bool = True
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A URL path of a site that is served by one pool."""

    path: str
    application_pool: str = ""
    preload_enabled: bool = False
    virtual_directories: tuple[VirtualDirectory, ...] = field(default=(), metadata={"xml": "."})
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def physical_path(self) -> str:
        """The folder of the application's own virtual directory `/`."""
        return next(v.physical_path for v in self.virtual_directories if v.path == "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site: its bindings, limits, log, and applications in file order."""

    name: str
    id: int
    server_auto_start: bool = True
    bindings: tuple[Binding, ...] = ()
    limits: SiteLimits = SiteLimits()
    log_file: LogFile = field(default=LogFile())
    applications: tuple[Application, ...] = field(default=(), metadata={"xml": "."})
    # In a pool's own file: the paths of those of other pools, which it does not name else.
    other_applications: tuple[str, ...] = field(
        default=(), compare=False, metadata={"separator": ";"}
    )
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """`webLimits`: limits of HTTP.SYS for all sites; the last two are ours."""

    connection_timeout_s: float = 120.0
    demand_start_threshold: int = 2147483647
    dynamic_idle_threshold: int = 0
    header_wait_timeout_s: float = 0.0
    min_bytes_per_second: int = 240
    managerless_limit_s: float = 300.0
    control_groups: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlReservation:
    """One of `urlReservations` (ours): who may add URLs below a prefix, by name or number."""

    url: str
    users: tuple[str, ...] = field(default=(), metadata={"separator": ","})
    groups: tuple[str, ...] = field(default=(), metadata={"separator": ","})
    listen: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """`identities` (ours): the range pools get their ids from, and who the listener is.

    `listener` is a user's name, "" for an id of the range, LocalSystem to stay who it is.
    """

    first_id: int = 480000
    count: int = 44288
    listener: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigHistory:
    """`system.applicationHost/configHistory`."""

    enabled: bool = True
    path: str = ""
    max_histories: int = 10
    period_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalModule:
    """A module that may be used; `image` is the name of the Python module that holds it."""

    name: str
    image: str
    pre_condition: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything of one applicationHost.config that manager, listener and worker start from.

    `modules` are the server level's; what is in force at a path is in its PathSettings.
    `warnings` are lines for a person: settings that are accepted and have no effect here.
    """

    home: str
    app_pools: Mapping[str, AppPool]
    sites: tuple[Site, ...]
    web_limits: WebLimits = WebLimits()
    identities: Identities = Identities()
    url_reservations: tuple[UrlReservation, ...] = ()
    history: ConfigHistory = ConfigHistory()
    global_modules: tuple[GlobalModule, ...] = ()
    modules: tuple[ModuleEntry, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
