"""TracingModule: writes what happens to requests for the URLs of `httpTracing/traceUrls`.

IIS gives these events to ETW; here each is a line `request_trace` in the pool's log, with the
request's id, the event, and the microseconds since the request has begun in the worker. Names of
the first and last event are IIS's; between them each notification of the pipeline is an event. `*`
in a URL stands for anything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import TYPE_CHECKING

from was.log import log
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    METHODS,
    POST_METHODS,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.registration import ApplicationModuleFactory, HttpModule, ModuleRegistrationInfo

if TYPE_CHECKING:
    from was.worker.application import HttpApplication
    from was.worker.context import HttpContext

RQ = RequestNotification
_TRACED = [*DETERMINISTIC, RQ.SEND_RESPONSE]


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
            context.module_context_container.set_module_context(_Trace(), self._id)
            fields = {"method": context.method, "url": context.message.target}
            self.tell(context, "GENERAL_REQUEST_START", fields)
        return CONTINUE

    def on_post_end_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """The last event; a response that was not flushed before is sent after it."""
        response = context.response
        status = f"{response.status}.{response.sub_status}"
        self.tell(context, "GENERAL_REQUEST_END", {"status": status})
        return CONTINUE

    def tell(self, context: HttpContext, event: str, fields: Mapping[str, object]) -> None:
        """Write one event of a request that is traced."""
        trace = context.module_context_container.get_module_context(self._id)
        if isinstance(trace, _Trace):
            elapsed = (time.monotonic_ns() - trace.begin_ns) // 1000
            log(
                "request_trace",
                request=context.request_id,
                notification=event,
                elapsed_us=elapsed,
                **fields,
            )


def _teller(event: str) -> Callable[[Tracing, HttpContext, object], RequestNotificationStatus]:
    """A method for one notification."""

    def method(self: Tracing, context: HttpContext, provider: object) -> RequestNotificationStatus:
        self.tell(context, event, {})
        return CONTINUE

    return method


for _bit in _TRACED:
    _name = str(_bit.name)
    for _event, _method in ((_name, METHODS[_bit]), (f"POST_{_name}", POST_METHODS.get(_bit, ""))):
        if _method and _method not in vars(Tracing):
            setattr(Tracing, _method, _teller(_event))


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to every deterministic event, its post-event, and SEND_RESPONSE."""

    def make(application: HttpApplication) -> HttpModule:
        section = application.settings.sections.get("system.webServer/httpTracing")
        items = () if section is None else section.elements["traceUrls"].items
        urls = [str(item["value"]) for item in items]
        return Tracing(urls, registration_info.id) if urls else HttpModule()

    every = RQ(0)
    for bit in DETERMINISTIC:
        every |= bit
    registration_info.set_request_notifications(
        ApplicationModuleFactory(make), every | RQ.SEND_RESPONSE, every
    )
    registration_info.set_priority_for_request_notification(every, Priority.FIRST)
    registration_info.set_priority_for_post_request_notification(every, Priority.LAST)
