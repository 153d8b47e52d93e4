"""The values that an enum or flags attribute may have, named as in the file.

Import these names from was.config.model.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "AccessType",
    "CacheControlMode",
    "CacheLocation",
    "CachePolicy",
    "CpuAction",
    "DenyAction",
    "ErrorMode",
    "ExistingResponse",
    "HandlerAccess",
    "IdentityType",
    "IdleTimeoutAction",
    "LoadBalancerCapabilities",
    "LogField",
    "LogFormat",
    "LogPeriod",
    "LogSelection",
    "RecycleReason",
    "Replay",
    "RequireAccess",
    "ResourceType",
    "ResponseMode",
    "ShowFlag",
    "StartMode",
]


class StartMode(StrEnum):
    """When a pool's first worker starts."""

    ON_DEMAND = "OnDemand"
    ALWAYS_RUNNING = "AlwaysRunning"


class IdentityType(StrEnum):
    """Whose identity a worker runs under."""

    LOCAL_SYSTEM = "LocalSystem"
    LOCAL_SERVICE = "LocalService"
    NETWORK_SERVICE = "NetworkService"
    SPECIFIC_USER = "SpecificUser"
    APPLICATION_POOL_IDENTITY = "ApplicationPoolIdentity"


class IdleTimeoutAction(StrEnum):
    """What happens to a worker without requests for idle_timeout_s."""

    TERMINATE = "Terminate"
    SUSPEND = "Suspend"


class RecycleReason(StrEnum):
    """Reasons to replace a worker, as named in logEventOnRecycle."""

    TIME = "Time"
    REQUESTS = "Requests"
    SCHEDULE = "Schedule"
    MEMORY = "Memory"
    ISAPI_UNHEALTHY = "IsapiUnhealthy"
    ON_DEMAND = "OnDemand"
    CONFIG_CHANGE = "ConfigChange"
    PRIVATE_MEMORY = "PrivateMemory"


class LoadBalancerCapabilities(StrEnum):
    """How a disabled pool answers: TcpLevel resets, HttpLevel says 503."""

    TCP_LEVEL = "TcpLevel"
    HTTP_LEVEL = "HttpLevel"


class CpuAction(StrEnum):
    """What happens to a pool over its CPU limit."""

    NO_ACTION = "NoAction"
    KILL_W3WP = "KillW3wp"
    THROTTLE = "Throttle"
    THROTTLE_UNDER_LOAD = "ThrottleUnderLoad"


class Replay(StrEnum):
    """Which methods may be dispatched again after a worker died with the request (ours)."""

    NONE = "none"
    SAFE = "safe"
    IDEMPOTENT = "idempotent"

    def covers(self, method: str) -> bool:
        """Whether a request of this method is among them."""
        if self is Replay.NONE:
            return False
        return method in _SAFE or (self is Replay.IDEMPOTENT and method in _IDEMPOTENT)


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_IDEMPOTENT = _SAFE | {"PUT", "DELETE", "TRACE"}


class LogFormat(StrEnum):
    """Format of a site's request log."""

    IIS = "IIS"
    NCSA = "NCSA"
    W3C = "W3C"
    CUSTOM = "Custom"


class LogPeriod(StrEnum):
    """When a new log file begins."""

    MAX_SIZE = "MaxSize"
    DAILY = "Daily"
    WEEKLY = "Weekly"
    MONTHLY = "Monthly"
    HOURLY = "Hourly"


class LogField(StrEnum):
    """A W3C log column that can be switched on, as named in logExtFileFlags."""

    DATE = "Date"
    TIME = "Time"
    CLIENT_IP = "ClientIP"
    USER_NAME = "UserName"
    SITE_NAME = "SiteName"
    COMPUTER_NAME = "ComputerName"
    SERVER_IP = "ServerIP"
    METHOD = "Method"
    URI_STEM = "UriStem"
    URI_QUERY = "UriQuery"
    HTTP_STATUS = "HttpStatus"
    WIN32_STATUS = "Win32Status"
    BYTES_SENT = "BytesSent"
    BYTES_RECV = "BytesRecv"
    TIME_TAKEN = "TimeTaken"
    SERVER_PORT = "ServerPort"
    USER_AGENT = "UserAgent"
    COOKIE = "Cookie"
    REFERER = "Referer"
    PROTOCOL_VERSION = "ProtocolVersion"
    HOST = "Host"
    HTTP_SUB_STATUS = "HttpSubStatus"


class HandlerAccess(StrEnum):
    """What handlers may do at a path: handlers/@accessPolicy."""

    READ = "Read"
    WRITE = "Write"
    EXECUTE = "Execute"
    SOURCE = "Source"
    SCRIPT = "Script"
    NO_REMOTE_WRITE = "NoRemoteWrite"
    NO_REMOTE_READ = "NoRemoteRead"
    NO_REMOTE_EXECUTE = "NoRemoteExecute"
    NO_REMOTE_SCRIPT = "NoRemoteScript"


class RequireAccess(StrEnum):
    """The right that a handler needs in the access policy."""

    NONE = "None"
    READ = "Read"
    WRITE = "Write"
    SCRIPT = "Script"
    EXECUTE = "Execute"


class ResourceType(StrEnum):
    """What must exist on disk for a handler to match."""

    FILE = "File"
    DIRECTORY = "Directory"
    EITHER = "Either"
    UNSPECIFIED = "Unspecified"


class CacheControlMode(StrEnum):
    """How Cache-Control of static files is made."""

    NO_CONTROL = "NoControl"
    DISABLE_CACHE = "DisableCache"
    USE_MAX_AGE = "UseMaxAge"
    USE_EXPIRES = "UseExpires"


class CachePolicy(StrEnum):
    """What the output cache keeps of responses with an extension."""

    DONT_CACHE = "DontCache"
    CACHE_UNTIL_CHANGE = "CacheUntilChange"
    CACHE_FOR_TIME_PERIOD = "CacheForTimePeriod"
    DISABLE_CACHE = "DisableCache"


class CacheLocation(StrEnum):
    """Who may keep a response: the server, the client, proxies between."""

    ANY = "Any"
    CLIENT = "Client"
    DOWNSTREAM = "Downstream"
    SERVER = "Server"
    NONE = "None"
    SERVER_AND_CLIENT = "ServerAndClient"


class ShowFlag(StrEnum):
    """Columns of a directory listing."""

    DATE = "Date"
    TIME = "Time"
    SIZE = "Size"
    EXTENSION = "Extension"
    LONG_DATE = "LongDate"


class ErrorMode(StrEnum):
    """Who sees detailed errors."""

    DETAILED_LOCAL_ONLY = "DetailedLocalOnly"
    CUSTOM = "Custom"
    DETAILED = "Detailed"


class ExistingResponse(StrEnum):
    """What happens to an error response that has a body already."""

    AUTO = "Auto"
    REPLACE = "Replace"
    PASS_THROUGH = "PassThrough"


class ResponseMode(StrEnum):
    """How a custom error is produced."""

    FILE = "File"
    EXECUTE_URL = "ExecuteURL"
    REDIRECT = "Redirect"


class LogSelection(StrEnum):
    """Which requests reach the request log."""

    LOG_ALL = "LogAll"
    LOG_SUCCESSFUL = "LogSuccessful"
    LOG_ERROR = "LogError"


class AccessType(StrEnum):
    """What a rule of `authorization` does."""

    ALLOW = "Allow"
    DENY = "Deny"


class DenyAction(StrEnum):
    """What happens to a request that ipSecurity or dynamicIpSecurity denies."""

    ABORT_REQUEST = "AbortRequest"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
