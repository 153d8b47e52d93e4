"""Trace events: what they are, who wants which, and GL_TRACE_EVENT.

A module that wants events registers for GL_TRACE_EVENT and sets a configuration: for everything in
the worker through the server's trace context, or for one request through the request's. Without a
configuration that asks for it an event is not raised.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING

from was.worker.interfaces.hresult import (
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    HResultError,
)
from was.worker.interfaces.providers import EventProvider
from was.worker.notifications import GlobalNotification

if TYPE_CHECKING:
    from was.config.model import PathSettings
    from was.worker.global_modules.events import GlobalEvents
    from was.worker.interfaces.context import HttpContext

__all__ = [
    "ALL_AREAS",
    "VERBOSE",
    "WWW_GLOBAL",
    "WWW_SERVER",
    "TraceArea",
    "TraceConfiguration",
    "TraceContext",
    "TraceEvent",
    "TraceEventProvider",
    "Tracing",
    "traced_urls",
]

WWW_SERVER = "3A2A4E84-4C21-4981-AE10-3FDA0D9B0F83"
WWW_GLOBAL = "D55D3BC9-CBA9-44DF-827E-132D3A4596C2"
ALL_AREAS = 0xFFFFE

INFORMATION = 4
VERBOSE = 5


class TraceArea(IntFlag):
    """Areas of the WWW Server provider; 0 is General, which every configuration has."""

    GENERAL = 0
    AUTHENTICATION = 2
    SECURITY = 4
    FILTER = 8
    STATIC_FILE = 16
    CGI = 32
    COMPRESSION = 64
    CACHE = 128
    REQUEST_NOTIFICATIONS = 256
    MODULE = 512
    REWRITE = 1024
    REQUEST_ROUTING = 2048
    FAST_CGI = 4096
    WEB_SOCKET = 16384


@dataclass(frozen=True, slots=True)
class TraceConfiguration:
    """HTTP_TRACE_CONFIGURATION: which events of a provider; verbosity 0 General to 5 Verbose."""

    provider_guid: str
    areas: int = ALL_AREAS
    verbosity: int = INFORMATION
    provider_enabled: bool = True

    def wants(self, event: TraceEvent) -> bool:
        """Whether it asks for an event."""
        return (
            self.provider_enabled
            and _plain(self.provider_guid) == _plain(event.provider_guid)
            and event.verbosity <= self.verbosity
            and (not event.area or bool(event.area & self.areas))
        )


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """HTTP_TRACE_EVENT; `items` are its fields by name, `timestamp` milliseconds of this machine's
    monotonic clock."""

    event_name: str
    items: dict[str, object] = field(default_factory=dict[str, object])
    area: int = 0
    verbosity: int = INFORMATION
    provider_guid: str = WWW_SERVER
    event: int = 0
    event_version: int = 0
    area_guid: str = ""
    activity_guid: str = ""
    related_activity_guid: str = ""
    flags: int = 0
    timestamp: int = field(default_factory=lambda: time.monotonic_ns() // 1_000_000)


class TraceEventProvider(EventProvider):
    """IGlobalTraceEventProvider."""

    __slots__ = ("_context", "_tracing", "trace_event")

    def __init__(self, tracing: Tracing, event: TraceEvent, context: HttpContext | None) -> None:
        super().__init__()
        self.trace_event = event
        self._tracing = tracing
        self._context = context

    def check_subscription(self, module_id: int) -> bool:
        """Whether that module has asked for this event."""
        found = self._tracing.configurations(self._context, module_id)
        return any(configuration.wants(self.trace_event) for configuration in found)

    def get_current_http_request_context(self) -> HttpContext:
        """The request in which it was raised. HResultError, ERROR_NOT_SUPPORTED: in none."""
        if self._context is None:
            raise HResultError(ERROR_NOT_SUPPORTED, "the event belongs to no request")
        return self._context


_Configurations = dict[int, dict[str, TraceConfiguration]]


class Tracing:
    """Raises trace events to those who have asked. Any thread."""

    def __init__(self, events: GlobalEvents) -> None:
        self._events = events
        self._of_all: _Configurations = {}
        self._inside = threading.local()

    def configurations(
        self, context: HttpContext | None, module_id: int | None = None
    ) -> list[TraceConfiguration]:
        """Those in force in a request (None: outside any), of one module or of all."""
        sets = [self._of_all]
        if context is not None and context.trace is not None:
            sets.append(context.trace.own)
        return [
            configuration
            for known in sets
            for owner, of_module in list(known.items())
            if module_id in (None, owner)
            for configuration in list(of_module.values())
        ]

    def set_for_all(self, module_id: int, configurations: Iterable[TraceConfiguration]) -> None:
        """What a module wants of every request, and of what belongs to none."""
        put(self._of_all, module_id, configurations)

    def is_on(self, context: HttpContext | None) -> bool:
        """Whether anybody has asked for anything."""
        return bool(self._of_all) or (
            context is not None and context.trace is not None and bool(context.trace.own)
        )

    def raise_event(self, event: TraceEvent, context: HttpContext | None) -> None:
        """GL_TRACE_EVENT, if somebody asks for this event; not within itself."""
        if getattr(self._inside, "yes", False):
            return
        if not any(known.wants(event) for known in self.configurations(context)):
            return
        self._inside.yes = True
        try:
            provider = TraceEventProvider(self, event, context)
            self._events.raise_event(GlobalNotification.TRACE_EVENT, provider)
        finally:
            self._inside.yes = False


class TraceContext:
    """IHttpTraceContext: of the server, or of one request."""

    def __init__(self, tracing: Tracing, context: HttpContext | None = None) -> None:
        self.own: _Configurations = {}
        self.running: dict[str, object] = {}  # what is known of the module that was called last
        self._tracing = tracing
        self._context = context

    def get_trace_configuration(self, provider_guid: str) -> TraceConfiguration:
        """What of a provider's events anybody listens to, taken together."""
        found = [
            known
            for known in self._tracing.configurations(self._context)
            if known.provider_enabled and _plain(known.provider_guid) == _plain(provider_guid)
        ]
        areas = 0
        for known in found:
            areas |= known.areas
        verbosity = max((known.verbosity for known in found), default=0)
        return TraceConfiguration(provider_guid, areas, verbosity, bool(found))

    def set_trace_configuration(
        self, module_id: int, configurations: Iterable[TraceConfiguration]
    ) -> None:
        """What a module wants from here on: of this request, or of all for the server's context.

        HResultError: ERROR_INVALID_PARAMETER without a provider, ERROR_NOT_FOUND for switching off
        what was not on.
        """
        if self._context is None:
            self._tracing.set_for_all(module_id, configurations)
        else:
            put(self.own, module_id, configurations)

    def raise_trace_event(self, event: TraceEvent) -> None:
        """Have those who listen hear of an event."""
        self._tracing.raise_event(event, self._context)

    def quick_trace(
        self, first: str, second: str = "", hresult: int = 0, level: int = INFORMATION
    ) -> None:
        """An event of two texts and an error."""
        items: dict[str, object] = {"Text1": first, "Text2": second, "ErrorCode": hresult}
        self.raise_trace_event(TraceEvent("QUICK_TRACE", items, verbosity=level))

    @property
    def trace_activity_id(self) -> str | None:
        """What events of one request have in common, a GUID; None outside requests."""
        if self._context is None:
            return None
        digits = f"{self._context.message.id:032x}"
        ends = (8, 12, 16, 20, 32)
        begins = (0, *ends)
        return "-".join(digits[a:b] for a, b in zip(begins, ends, strict=False))


def traced_urls(settings: PathSettings) -> list[str]:
    """`httpTracing/traceUrls`: requests whose events TracingModule writes."""
    section = settings.sections.get("system.webServer/httpTracing")
    items = () if section is None else section.elements["traceUrls"].items
    return [str(item["value"]) for item in items]


def put(
    known: _Configurations, module_id: int, configurations: Iterable[TraceConfiguration]
) -> None:
    """Add a module's configurations to a set, one a provider."""
    of_module = dict(known.get(module_id, {}))
    for configuration in configurations:
        guid = _plain(configuration.provider_guid)
        if not guid:
            raise HResultError(ERROR_INVALID_PARAMETER, "a configuration has a provider's GUID")
        if configuration.provider_enabled:
            of_module[guid] = configuration
        elif of_module.pop(guid, None) is None:
            raise HResultError(ERROR_NOT_FOUND, f"{guid} is not traced")
    if of_module:
        known[module_id] = of_module
    else:
        known.pop(module_id, None)


def _plain(guid: str) -> str:
    return guid.strip("{}").upper()
