"""HttpLoggingModule: composes the fields of the W3C line that the worker knows.

The listener adds time, outcome and counts when the request ends, and writes the line.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from was.config.model import LogFormat, LogSelection
from was.ipc.log_fields import composer
from was.known import keep
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus

if TYPE_CHECKING:
    from was.config.model import CustomLogField
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

# Log field -> (request field, its place among was.ipc.log_fields.WORKER_FIELDS)
_FROM_FIELDS = {
    "UserAgent": ("user-agent", 10),
    "Cookie": ("cookie", 11),
    "Referer": ("referer", 12),
    "Host": ("host", 13),
}


class HttpLogging(HttpModule):
    """The log settings of one application's site."""

    def __init__(self, application: HttpApplication) -> None:
        log_file = application.site.config.log_file
        settings = application.settings.http_logging
        flags = frozenset(str(flag) for flag in log_file.log_ext_file_flags)
        self._compose = composer(flags)
        site_name = f"W3SVC{application.site.site_id}"
        computer_name = socket.gethostname() if "ComputerName" in flags else ""
        self._custom = log_file.custom_fields
        self._custom_limit = log_file.max_custom_field_length
        self._statuses = {
            LogSelection.LOG_ALL: range(1000),
            LogSelection.LOG_SUCCESSFUL: range(100, 400),
            LogSelection.LOG_ERROR: range(400, 1000),
        }[settings.selective_logging]
        # A line with what no request changes filled in; fields of the request by their place.
        # "-" stands for what there is none of, as it will in the line.
        self._blank = [site_name, computer_name, *["-"] * 13]
        self._places: dict[str, int] = {}
        self._texts: dict[tuple[object, ...], str] = {}  # of heads that come again
        self._wanted = {name: at for flag, (name, at) in _FROM_FIELDS.items() if flag in flags}

    def on_log_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Leave the line's part with the context; it travels with the END."""
        response = context.response
        if response.status not in self._statuses and (
            response.headers_sent or response.status < 400
        ):
            return CONTINUE  # else its error page may give it another
        message = context.message
        user = context.user
        number = context.head_number if message.head_number else 0
        if (
            not number
            or self._custom
            or context.logged_url is not None
            or (user is not None and user.user_name)
        ):
            context.log_text = self._text(context)
            return CONTINUE
        # The rest of the line follows from the head and the two ends of the connection.
        key = (number, message.remote_addr, message.local_addr, message.local_port)
        text = self._texts.get(key)
        if text is None:
            text = keep(self._texts, key, self._text(context), _LIMIT)
        context.log_text = text
        return CONTINUE

    def decide(self, context: HttpContext) -> None:
        """The status is what it will be: no line after all, if it is not one of those."""
        if context.response.status not in self._statuses:
            context.log_text = ""

    def _text(self, context: HttpContext) -> str:
        message = context.message
        values = self._blank.copy()
        places = self._places
        for name, value in context.fields:
            # Place 14 is nobody's: what has no column needs no question here.
            try:
                values[places[name]] = value
            except KeyError:
                values[self._place_of(name)] = value
        values[2] = message.local_addr
        values[3] = context.method
        values[4] = context.path
        values[5] = context.query or "-"
        values[6] = _ports.get(message.local_port) or _port(message.local_port)
        if context.logged_url is not None:
            values[4], query = context.logged_url
            values[5] = query or "-"
        user = context.user
        if user is not None and user.user_name:
            values[7] = user.user_name
        values[8] = message.remote_addr
        values[9] = "HTTP/1.1" if message.version >= 11 else "HTTP/1.0"
        return self._compose(
            values,
            [self._custom_value(context, field) for field in self._custom] if self._custom else (),
        )

    def _place_of(self, name: str) -> int:
        """The place of a request field in the line, 14 for one that has none."""
        at = self._wanted.get(name.lower(), 14)
        if len(self._places) < _LIMIT and len(name) <= 64:
            self._places[name] = at
        return at

    def _custom_value(self, context: HttpContext, field: CustomLogField) -> str:
        source = field.source_type
        if source == "RequestHeader":
            value = context.request.get_header(field.source_name)
        elif source == "ResponseHeader":
            value = context.response.get_header(field.source_name)
        else:
            value = context.get_server_variable(field.source_name)
        return (value or "")[: self._custom_limit]


class SelectiveHttpLogging(HttpLogging):
    """The same where not all statuses are logged: an error page by ExecuteURL has its own."""

    wants_errors_only = True

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """After the error pages, which are set by a module that comes before in this event."""
        self.decide(context)
        return CONTINUE


_LIMIT = 1024
_ports: dict[int, str] = {}


def _port(port: int) -> str:
    return keep(_ports, port, str(port), _LIMIT)


def _make(application: HttpApplication) -> HttpModule:
    log_file = application.site.config.log_file
    if (
        application.settings.http_logging.dont_log
        or not log_file.enabled
        or log_file.log_format is LogFormat.CUSTOM
    ):
        return HttpModule()
    if application.settings.http_logging.selective_logging is LogSelection.LOG_ALL:
        return HttpLogging(application)
    return SelectiveHttpLogging(application)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to LOG_REQUEST, and for some settings to SEND_RESPONSE."""
    events = RequestNotification.LOG_REQUEST | RequestNotification.SEND_RESPONSE
    registration_info.set_request_notifications(ApplicationModuleFactory(_make), events, 0)
