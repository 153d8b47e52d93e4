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
    CentralLogMode,
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
    PipelineMode,
    RecycleReason,
    Replay,
    RequireAccess,
    ResourceType,
    ResponseMode,
    ShowFlag,
    StartMode,
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
    "CentralBinaryLogFile",
    "CentralLog",
    "CentralLogMode",
    "CentralW3CLogFile",
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
    "PipelineMode",
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


_DEFAULT_LOG_FIELDS = frozenset(LogField) - {
    LogField.SITE_NAME,
    LogField.COMPUTER_NAME,
    LogField.BYTES_SENT,
    LogField.BYTES_RECV,
    LogField.COOKIE,
    LogField.PROTOCOL_VERSION,
    LogField.HOST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessModel:
    """`processModel`: identity, idling, pings and the time limits of a pool's workers."""

    identity_type: IdentityType = IdentityType.APPLICATION_POOL_IDENTITY
    user_name: str = ""
    password: str = field(default="", repr=False)
    load_user_profile: bool = False
    set_profile_environment: bool = True
    manual_group_membership: bool = False
    idle_timeout_s: float = 1200.0
    idle_timeout_action: IdleTimeoutAction = IdleTimeoutAction.TERMINATE
    max_processes: int = 1
    shutdown_time_limit_s: float = 90.0
    startup_time_limit_s: float = 90.0
    pinging_enabled: bool = True
    ping_interval_s: float = 30.0
    ping_response_time_s: float = 90.0
    log_event_on_process_model: frozenset[str] = frozenset({"IdleTimeout"})
    request_queue_delegator_identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicRestart:
    """`recycling/periodicRestart`; 0 switches a rule off, memory is in KB.

    `schedule` holds times of day in seconds since local midnight.
    """

    memory: int = 0
    private_memory: int = 0
    requests: int = 0
    time_s: float = 104400.0
    schedule: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """`recycling`: when workers are replaced, and which reasons are logged."""

    disallow_overlapping_rotation: bool = False
    disallow_rotation_on_config_change: bool = False
    log_event_on_recycle: frozenset[RecycleReason] = frozenset(RecycleReason)
    periodic_restart: PeriodicRestart = PeriodicRestart()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`failure`: rapid-fail protection and what is done with a failed worker."""

    load_balancer_capabilities: LoadBalancerCapabilities = LoadBalancerCapabilities.HTTP_LEVEL
    orphan_worker_process: bool = False
    orphan_action_exe: str = ""
    orphan_action_params: str = ""
    rapid_fail_protection: bool = True
    rapid_fail_protection_interval_s: float = 300.0
    rapid_fail_protection_max_crashes: int = 5
    auto_shutdown_exe: str = ""
    auto_shutdown_params: str = ""
    rapid_fail_protection_retry_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """`cpu`: limit in 1/1000 of a percent over all processes of the pool, 0 = off."""

    limit: int = 0
    action: CpuAction = CpuAction.NO_ACTION
    reset_interval_s: float = 300.0
    smp_affinitized: bool = False
    smp_processor_affinity_mask: int = 4294967295
    smp_processor_affinity_mask2: int = 4294967295


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequests:
    """`requests` (ours): limits of a request, what is replayed, how much is held in memory."""

    time_limit_s: float = 110.0
    idle_time_limit_s: float = 0.0
    queue_time_limit_s: float = 30.0
    replay: Replay = Replay.SAFE
    max_replays: int = 1
    poison_crashes: int = 2
    commit_buffer: int = 65536
    body_spool: int = 65536
    max_spool: int = 1073741824
    response_spool: int = 262144
    streaming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPython:
    """`python` (ours): which interpreter runs the pool, and how many requests at a time."""

    virtual_environment: str = ""
    interpreter: str = ""
    threads: int = 32
    concurrency: int = 256
    reload_on_change: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolIsolation:
    """`isolation` (ours): what a worker may reach, and how much; `;` between folders and names.

    `umask` is octal ("" = 0027, or as it is for LocalSystem), 0 in a limit means none, `*` any
    port, "" no port.
    """

    sandbox: bool = True
    writable: str = ""
    readable: str = ""
    supplementary_groups: str = ""
    umask: str = ""
    max_tasks: int = 4096
    max_open_files: int = 65536
    max_memory: int = 0  # KB of each process
    max_core_size: int = 0
    connect_ports: str = "*"
    bind_ports: str = "*"

    @property
    def writable_paths(self) -> tuple[str, ...]:
        """The folders of `writable`, one each."""
        return _parts(self.writable)

    @property
    def readable_paths(self) -> tuple[str, ...]:
        """The folders of `readable`, one each."""
        return _parts(self.readable)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of `supplementaryGroups`."""
        return _parts(self.supplementary_groups)

    @property
    def umask_bits(self) -> int:
        """The umask as a number, -1 when none is given; ValueError for what is none."""
        bits = int(self.umask, 8) if self.umask else -1
        if bits > 0o777 or (self.umask and bits < 0):
            raise ValueError(f"'{self.umask}' is no umask")
        return bits

    def ports(self, text: str) -> tuple[int, ...] | None:
        """The ports of `connectPorts` or `bindPorts`, None for any; ValueError for others."""
        if text.strip() == "*":
            return None
        numbers = tuple([int(part) for part in _parts(text)])
        for number in numbers:
            if not 0 <= number <= 65535:
                raise ValueError(f"{number} is no port")
        return numbers


def _parts(text: str) -> tuple[str, ...]:
    return tuple([part.strip() for part in text.split(";") if part.strip()])


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPool:
    """One application pool, complete with the values of applicationPoolDefaults."""

    name: str
    queue_length: int = 1000
    auto_start: bool = True
    start_mode: StartMode = StartMode.ON_DEMAND
    enable_configuration_override: bool = True
    managed_pipeline_mode: PipelineMode = PipelineMode.INTEGRATED
    pass_anonymous_token: bool = True
    process_model: ProcessModel = ProcessModel()
    recycling: Recycling = Recycling()
    failure: Failure = Failure()
    cpu: Cpu = Cpu()
    environment_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    requests: PoolRequests = PoolRequests()
    python: PoolPython = PoolPython()
    isolation: PoolIsolation = PoolIsolation()
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


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
    ssl_flags: int = 0
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLimits:
    """`site/limits`; 4294967295 means no limit."""

    max_bandwidth: int = 4294967295
    max_connections: int = 4294967295
    connection_timeout_s: float = 120.0
    max_url_segments: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomLogField:
    """A further column of a request log; source_type: RequestHeader, ResponseHeader …"""

    log_field_name: str
    source_name: str
    source_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """`site/logFile`: the request log of a site."""

    enabled: bool = True
    log_format: LogFormat = LogFormat.W3C
    log_target_w3c: frozenset[str] = field(
        default=frozenset({"File"}), metadata={"xml": "logTargetW3C"}
    )
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False
    log_site_id: bool = True
    flush_by_entry_count_w3c_log: int = field(
        default=0, metadata={"xml": "flushByEntryCountW3CLog"}
    )
    max_log_line_length: int = 65536
    custom_log_plugin_clsid: str = ""
    log_ext_file_flags: frozenset[LogField] = _DEFAULT_LOG_FIELDS
    max_custom_field_length: int = field(
        default=4096, metadata={"xml": "customFields/maxCustomFieldLength"}
    )
    custom_fields: tuple[CustomLogField, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualDirectory:
    """A URL path of an application and the folder it stands for."""

    path: str
    physical_path: str
    user_name: str = ""
    password: str = field(default="", repr=False)
    allow_sub_dir_config: bool = True
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A URL path of a site that is served by one pool."""

    path: str
    application_pool: str = ""
    enabled_protocols: str = "http"
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
    log_file: LogFile = LogFile()
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

    max_global_bandwidth: int = 4294967295
    connection_timeout_s: float = 120.0
    demand_start_threshold: int = 2147483647
    dynamic_idle_threshold: int = 0
    header_wait_timeout_s: float = 0.0
    min_bytes_per_second: int = 240
    dynamic_registration_threshold: int = 100
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
class CentralBinaryLogFile:
    """The binary log of all sites together."""

    enabled: bool = False
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralW3CLogFile:
    """The W3C log of all sites together."""

    enabled: bool = True
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False
    log_ext_file_flags: frozenset[LogField] = _DEFAULT_LOG_FIELDS | {LogField.SITE_NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralLog:
    """`system.applicationHost/log`."""

    log_in_utf8: bool = field(default=True, metadata={"xml": "logInUTF8"})
    central_log_file_mode: CentralLogMode = CentralLogMode.SITE
    central_binary_log_file: CentralBinaryLogFile = CentralBinaryLogFile()
    central_w3c_log_file: CentralW3CLogFile = field(
        default=CentralW3CLogFile(), metadata={"xml": "centralW3CLogFile"}
    )


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
    log: CentralLog = CentralLog()
    history: ConfigHistory = ConfigHistory()
    global_modules: tuple[GlobalModule, ...] = ()
    modules: tuple[ModuleEntry, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
