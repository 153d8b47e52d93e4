"""TracingModule: writes what happens to requests for the URLs of `httpTracing/traceUrls`.

IIS gives trace events to ETW; here each is a line `request_trace` in the pool's log, with the
request's id, the event, its fields, and the microseconds since the request has begun in the worker.
The module listens to GL_TRACE_EVENT, and asks for every event of the requests that it traces: the
pipeline's own (NOTIFY_MODULE_START and _END around each call of a module, GENERAL_REQUEST_END …)
and what modules raise. The first event, GENERAL_REQUEST_START, it writes itself: nobody can have
asked for it before. `*` in a URL stands for anything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from fnmatch import translate
from typing import TYPE_CHECKING

from was.log import log
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.global_modules.global_module import GlobalModule
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import (
    CONTINUE,
    GL_CONTINUE,
    GlobalNotification,
    GlobalNotificationStatus,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.tracing.trace import (
    VERBOSE,
    WWW_GLOBAL,
    WWW_SERVER,
    TraceConfiguration,
    TraceEventProvider,
    traced_urls,
)

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

RQ = RequestNotification

EVERYTHING = tuple(TraceConfiguration(guid, verbosity=VERBOSE) for guid in (WWW_SERVER, WWW_GLOBAL))
# Names that each line has for itself, and a field that names the request once more.
_KNOWN = frozenset({"ContextId", "event", "request", "trace", "elapsed_us"})


class _Trace:
    """One request that is traced."""

    __slots__ = ("begin_ns",)

    def __init__(self) -> None:
        self.begin_ns = time.monotonic_ns()

    def cleanup_stored_context(self) -> None:
        """The request is over."""


class Tracing(HttpModule):
    """The traced URLs of one application."""

    def __init__(self, urls: list[str], module_id: int) -> None:
        self._id = module_id
        self._is_traced = re.compile(
            "|".join(translate(url) for url in urls), re.IGNORECASE
        ).fullmatch

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Trace the request, if its URL is among them."""
        if context.child is None and self._is_traced(context.path):
            trace = _Trace()
            context.module_context_container.set_module_context(trace, self._id)
            context.trace_context.set_trace_configuration(self._id, EVERYTHING)
            fields = {"RequestVerb": context.method, "RequestURL": context.message.target}
            _tell(context, trace, "GENERAL_REQUEST_START", fields)
        return CONTINUE


class Listening(GlobalModule):
    """Hears of all trace events in the worker."""

    def __init__(self, module_id: int) -> None:
        self._id = module_id

    def is_idle(self) -> bool:
        """Call lists with events around their calls are for the applications with traced URLs."""
        return True

    def on_global_trace_event(self, provider: TraceEventProvider) -> GlobalNotificationStatus:
        """Write those of requests that are traced."""
        if provider.check_subscription(self._id):
            try:
                context = provider.get_current_http_request_context()
            except HResultError:
                return GL_CONTINUE
            trace = context.module_context_container.get_module_context(self._id)
            if isinstance(trace, _Trace):
                event = provider.trace_event
                _tell(context, trace, event.event_name, event.items)
        return GL_CONTINUE


def _tell(context: HttpContext, trace: _Trace, event: str, items: Mapping[str, object]) -> None:
    elapsed = (time.monotonic_ns() - trace.begin_ns) // 1000
    fields = {name: value for name, value in items.items() if name not in _KNOWN}
    log("request_trace", request=context.request_id, trace=event, elapsed_us=elapsed, **fields)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to the first event, before the others, and to GL_TRACE_EVENT."""

    def make(application: HttpApplication) -> HttpModule:
        urls = traced_urls(application.settings)
        return Tracing(urls, registration_info.id) if urls else HttpModule()

    registration_info.set_request_notifications(ApplicationModuleFactory(make), RQ.BEGIN_REQUEST, 0)
    registration_info.set_priority_for_request_notification(RQ.BEGIN_REQUEST, Priority.FIRST)
    registration_info.set_global_notifications(
        Listening(registration_info.id), GlobalNotification.TRACE_EVENT
    )
