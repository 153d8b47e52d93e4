"""WebSocketModule: the handshake for modules that answer 101 themselves.

A handler sets 101 and flushes. While the response is sent this module adds what grants the upgrade
(RFC 6455, 4.2.2), and leaves an IWebSocketContext in the named context "websockets". As in IIS it
is not among the modules of a server unless it is added; ASGI applications do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.exchange import Exchange
from was.worker.interfaces.hresult import E_INVALID_DATA
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus
from was.worker.websocket.handshake import BadHandshakeError, is_upgrade, read_handshake
from was.worker.websocket.interface import IIS_WEBSOCKET, WebSocketContext

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

SECTION = "system.webServer/webSocket"
ACCEPT = "Sec-WebSocket-Accept"


class WebSocketHandshake(HttpModule):
    """The handshakes of one application."""

    def __init__(self, receive_limit_bytes: int) -> None:
        self._receive_limit_bytes = receive_limit_bytes

    def on_send_response(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        """Grant the upgrade that a handler has answered with 101; any other response passes."""
        response, exchange = context.response, context.exchange
        if response.status != 101 or exchange.started or response.get_header(ACCEPT) is not None:
            return CONTINUE
        if type(exchange) is not Exchange or not is_upgrade(
            context.method, context.message.version, context.fields
        ):
            return CONTINUE
        try:
            handshake = read_handshake(context.fields)
        except BadHandshakeError as error:
            response.set_status(400, "", 11, E_INVALID_DATA)
            response.set_error_description(str(error))
            return CONTINUE
        from was.worker.websocket.deflate import choose_extensions
        from was.worker.websocket.frames import Frames

        extensions, text = choose_extensions(handshake.extensions)
        response.set_header(ACCEPT, handshake.accept)
        if text:
            response.set_header("Sec-WebSocket-Extensions", text)
        socket = WebSocketContext(context, exchange, Frames(extensions, self._receive_limit_bytes))
        context.named_context_container.set_named_context(socket, IIS_WEBSOCKET)
        return CONTINUE


def make(application: HttpApplication) -> HttpModule:
    """Nothing to do where the section is off, or says nothing."""
    section = application.settings.sections.get(SECTION)
    if section is None or not section["enabled"]:
        return HttpModule()
    return WebSocketHandshake(int(str(section["receiveBufferLimit"])))


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to SEND_RESPONSE."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(make), RequestNotification.SEND_RESPONSE, 0
    )
