"""ProtocolSupportModule: OPTIONS, TRACE, and what `httpProtocol` says of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.added_fields import why_not_sent
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.fields import encode_fields
from was.worker.interfaces.hresult import E_NOT_SUPPORTED
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.config.model import NameValue
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

# What a TRACE must not play back (RFC 9110, 9.3.8).
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


class ProtocolSupport(HttpModule):
    """Where no field is to be added: only the handler of OPTIONS and TRACE."""

    def __init__(self, application: HttpApplication) -> None:
        self._allows_trace = application.settings.http_protocol.allow_trace
        self._allow = f"OPTIONS, {'TRACE, ' if self._allows_trace else ''}GET, HEAD, POST"

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Answer OPTIONS and, where it is allowed, TRACE."""
        response = context.response
        if context.method == "OPTIONS":
            response.set_header("Allow", self._allow)
            response.set_header("Public", self._allow)
            context.is_handled = True
            return CONTINUE
        if context.method != "TRACE":
            return CONTINUE
        if not self._allows_trace:
            return refuse(context, 501, 0, E_NOT_SUPPORTED)
        message = context.message
        lines = [f"TRACE {message.target} HTTP/{message.version // 10}.{message.version % 10}"]
        lines += [f"{n}: {v}" for n, v in message.fields if n.lower() not in _SECRETS]
        response.set_header("Content-Type", "message/http")
        response.set_body("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        context.is_handled = True
        return CONTINUE


class FieldAddingProtocolSupport(ProtocolSupport):
    """With fields to add, encoded once, or connections to close."""

    def __init__(self, application: HttpApplication) -> None:
        super().__init__(application)
        settings = application.settings.http_protocol
        self._keeps_alive = settings.allow_keep_alive
        self._custom = _pairs(settings.custom_headers)
        self._redirect = _pairs(settings.redirect_headers)
        self._custom_block = encode_fields(self._custom)
        self._redirect_block = encode_fields(self._redirect)

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Add the fields, once, as the headers leave."""
        if provider.headers_being_sent:
            response = context.response
            if not self._keeps_alive and response.status >= 200:  # 101: it is HTTP's no more
                response.set_need_disconnect()
            if self._custom:
                response.add_encoded_fields(self._custom, self._custom_block)
            if self._redirect and 300 <= response.status < 400 and response.status != 304:
                response.add_encoded_fields(self._redirect, self._redirect_block)
        return CONTINUE


def _pairs(headers: tuple[NameValue, ...]) -> list[tuple[str, str]]:
    return [(h.name, h.value) for h in headers if not why_not_sent(h.name, h.value)]


def _make(application: HttpApplication) -> HttpModule:
    settings = application.settings.http_protocol
    if settings.custom_headers or settings.redirect_headers or not settings.allow_keep_alive:
        return FieldAddingProtocolSupport(application)
    return ProtocolSupport(application)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER and SEND_RESPONSE."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make),
        RequestNotification.EXECUTE_REQUEST_HANDLER | RequestNotification.SEND_RESPONSE,
        0,
    )
