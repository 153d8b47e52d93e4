"""RequestMonitorModule: answers GL_RSCA_QUERY `GetRequests` with what runs in this worker.

`was query wp PID GetRequests` prints it. `was list requests` shows all workers' requests, and those
that wait for one: it is told by the listener, also of workers that answer nothing any more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from was.worker.calls.registration import GlobalModule, ModuleRegistrationInfo
from was.worker.notifications import (
    GL_CONTINUE,
    GL_HANDLED,
    GlobalNotification,
    GlobalNotificationStatus,
)

if TYPE_CHECKING:
    from was.worker.global_modules.http_server import HttpServer
    from was.worker.global_modules.providers import RscaQueryProvider

GET_REQUESTS = "GetRequests"


class RequestMonitor(GlobalModule):
    """Tells about the requests of one worker."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server

    def on_global_rsca_query(self, provider: RscaQueryProvider) -> GlobalNotificationStatus:
        """A JSON array of the requests; other questions are others'."""
        if provider.function_name != GET_REQUESTS:
            return GL_CONTINUE
        data = json.dumps(self._server.running_requests(), indent=2).encode()
        provider.get_output_buffer(len(data))[: len(data)] = data
        provider.set_result(len(data))
        return GL_HANDLED


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: HttpServer
) -> None:
    """Subscribe to RSCA_QUERY."""
    registration_info.set_global_notifications(
        RequestMonitor(http_server), GlobalNotification.RSCA_QUERY
    )
