"""What is in force at one path of a site: the sections of system.webServer, merged and typed.

Import these names from was.config.model, which holds the other half of the model and the rules
both follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from was.config.choices import (
    CacheControlMode,
    ErrorMode,
    ExistingResponse,
    HandlerAccess,
    LogSelection,
    RequireAccess,
    ResourceType,
    ResponseMode,
    ShowFlag,
)
from was.config.integrated import NotIntegrated
from was.config.response_settings import Caching, HttpCompression, UrlCompression

__all__ = [
    "AnonymousAuthentication",
    "CustomError",
    "DefaultDocument",
    "DirectoryBrowse",
    "FilterEntry",
    "FilterList",
    "FilteringRule",
    "Handler",
    "HandlersSection",
    "HeaderLimit",
    "HttpErrors",
    "HttpLogging",
    "HttpProtocol",
    "ModuleEntry",
    "NameValue",
    "PathSettings",
    "RequestFiltering",
    "RequestLimits",
    "SectionView",
    "ServerRuntime",
    "StaticContent",
    "Value",
]

Value = bool | int | float | str | frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """Any section or element, untyped: every attribute of the schema with its value in force.

    Enum values are their names, flags frozensets of names, timeSpans seconds; `items` are those
    of the element's collection, `elements` its other children by name, `name` is the tag.
    """

    name: str
    attributes: Mapping[str, Value]
    elements: Mapping[str, SectionView] = field(default_factory=dict[str, "SectionView"])
    items: tuple[SectionView, ...] = ()
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)
    # What was.config.typed has made of it, by kind.
    typed: dict[object, Any] | None = field(default=None, init=False, compare=False, repr=False)

    def __getitem__(self, attribute: str) -> Value:
        """The value of an attribute, by its name in the file."""
        return self.attributes[attribute]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameValue:
    """A header to add, or any other name with a value."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One handler mapping; `path` and `verb` are as written, `modules` are tried in order."""

    name: str
    path: str
    verb: str
    modules: tuple[str, ...] = field(default=(), metadata={"separator": ","})
    script_processor: str = ""
    type: str = ""
    resource_type: ResourceType = ResourceType.UNSPECIFIED
    require_access: RequireAccess = RequireAccess.SCRIPT
    allow_path_info: bool = False
    pre_condition: str = ""
    response_buffer_limit: int = 4194304
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlersSection:
    """`handlers`: what may be done, and who does it, first match wins."""

    access_policy: frozenset[HandlerAccess] = frozenset({HandlerAccess.READ})
    entries: tuple[Handler, ...] = field(default=(), metadata={"xml": "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleEntry:
    """A module in use at a path; `type` is empty for one of globalModules."""

    name: str
    type: str = ""
    pre_condition: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultDocument:
    """`defaultDocument`: names tried in a directory, in order."""

    enabled: bool = True
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticContent:
    """`staticContent`; `mime_map` keys are lower-case extensions with their dot."""

    mime_map: Mapping[str, str] = field(
        default_factory=dict[str, str], metadata={"xml": ".", "lower": True}
    )
    default_doc_footer: str = ""
    is_doc_footer_file_name: bool = False
    enable_doc_footer: bool = False
    cache_control_mode: CacheControlMode = field(
        default=CacheControlMode.NO_CONTROL, metadata={"xml": "clientCache/cacheControlMode"}
    )
    cache_control_max_age_s: float = field(
        default=86400.0, metadata={"xml": "clientCache/cacheControlMaxAge"}
    )
    http_expires: str = field(default="", metadata={"xml": "clientCache/httpExpires"})
    cache_control_custom: str = field(
        default="", metadata={"xml": "clientCache/cacheControlCustom"}
    )
    set_etag: bool = field(default=True, metadata={"xml": "clientCache/setEtag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryBrowse:
    """`directoryBrowse`."""

    enabled: bool = False
    show_flags: frozenset[ShowFlag] = frozenset(
        {ShowFlag.DATE, ShowFlag.TIME, ShowFlag.SIZE, ShowFlag.EXTENSION}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomError:
    """What answers one status; sub_status_code -1 stands for all."""

    status_code: int
    sub_status_code: int = -1
    prefix_language_file_path: str = ""
    path: str = ""
    response_mode: ResponseMode = ResponseMode.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpErrors:
    """`httpErrors`."""

    error_mode: ErrorMode = ErrorMode.DETAILED_LOCAL_ONLY
    existing_response: ExistingResponse = ExistingResponse.AUTO
    default_path: str = ""
    default_response_mode: ResponseMode = ResponseMode.FILE
    detailed_more_information_link: str = "http://go.microsoft.com/fwlink/?LinkID=62293"
    entries: tuple[CustomError, ...] = field(default=(), metadata={"xml": "."})

    @property
    def executes_urls(self) -> bool:
        """Whether another URL may answer for an error."""
        modes = [entry.response_mode for entry in self.entries]
        if self.default_path:
            modes.append(self.default_response_mode)
        return ResponseMode.EXECUTE_URL in modes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLogging:
    """`httpLogging`."""

    dont_log: bool = False
    selective_logging: LogSelection = LogSelection.LOG_ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProtocol:
    """`httpProtocol`; allow_trace is ours: without it TRACE is answered 501."""

    allow_keep_alive: bool = True
    allow_trace: bool = False
    custom_headers: tuple[NameValue, ...] = ()
    redirect_headers: tuple[NameValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRuntime:
    """`serverRuntime`: limits of an application's requests."""

    app_concurrent_request_limit: int = 5000
    max_request_entity_allowed: int = 4294967295
    upload_read_ahead_size: int = 49152
    frequent_hit_threshold: int = 2
    frequent_hit_time_period_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymousAuthentication:
    """`security/authentication/anonymousAuthentication`."""

    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLimit:
    """The longest value that a request header may have."""

    header: str
    size_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """`requestFiltering/requestLimits`, all in bytes."""

    max_allowed_content_length: int = 30000000
    max_url: int = 4096
    max_query_string: int = 2048
    header_limits: tuple[HeaderLimit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterEntry:
    """A file extension or verb, allowed or refused."""

    value: str = field(metadata={"xml": "0"})
    allowed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterList:
    """`fileExtensions` or `verbs`: entries, and what holds for all others."""

    allow_unlisted: bool = True
    entries: tuple[FilterEntry, ...] = field(default=(), metadata={"xml": "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteringRule:
    """One `filteringRule`: where is looked, and for which strings."""

    name: str
    scan_url: bool = False
    scan_query_string: bool = False
    scan_all_raw: bool = False
    deny_unescaped_percent: bool = True
    scan_headers: tuple[str, ...] = ()
    applies_to: tuple[str, ...] = ()
    deny_strings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFiltering:
    """`security/requestFiltering`."""

    allow_double_escaping: bool = False
    allow_high_bit_characters: bool = True
    unescape_query_string: bool = True
    remove_server_header: bool = False
    file_extensions: FilterList = FilterList()
    request_limits: RequestLimits = RequestLimits()
    verbs: FilterList = FilterList()
    hidden_segments: tuple[str, ...] = ()
    deny_url_sequences: tuple[str, ...] = ()
    deny_query_string_sequences: tuple[str, ...] = ()
    always_allowed_urls: tuple[str, ...] = ()
    always_allowed_query_strings: tuple[str, ...] = ()
    filtering_rules: tuple[FilteringRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """All of system.webServer in force at one path (an application's root).

    Equal settings at different paths may be one object; nothing in it names the path.
    `rule_folders` are the URL paths that rewrite rules and redirections were written for, by
    file and line (was.config.rule_folders). `not_integrated` is what system.web says in vain.
    """

    handlers: HandlersSection = HandlersSection()
    modules: tuple[ModuleEntry, ...] = ()
    default_document: DefaultDocument = DefaultDocument()
    static_content: StaticContent = StaticContent()
    directory_browse: DirectoryBrowse = DirectoryBrowse()
    http_errors: HttpErrors = HttpErrors()
    http_logging: HttpLogging = HttpLogging()
    http_protocol: HttpProtocol = HttpProtocol()
    server_runtime: ServerRuntime = ServerRuntime()
    anonymous_authentication: AnonymousAuthentication = AnonymousAuthentication()
    request_filtering: RequestFiltering = RequestFiltering()
    rule_folders: Mapping[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    not_integrated: tuple[NotIntegrated, ...] = ()
    http_compression: HttpCompression = field(default_factory=HttpCompression)
    url_compression: UrlCompression = field(default_factory=UrlCompression)
    caching: Caching = field(default_factory=Caching)
    sections: Mapping[str, SectionView] = field(default_factory=dict[str, SectionView])

    def section(self, path: str) -> SectionView:
        """Any section of the schema by its slash path; KeyError if there is none of that name."""
        return self.sections[path]
