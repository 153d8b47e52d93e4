"""Farewell: a global module. It has no part in requests, so no `modules` list names it."""

import sys

from was.api import (
    GL_CONTINUE,
    GlobalModule,
    GlobalNotification,
    GlobalNotificationStatus,
    ModuleRegistrationInfo,
    StopListeningProvider,
)


class Farewell(GlobalModule):
    """One object for the worker."""

    def on_global_stop_listening(self, provider: StopListeningProvider) -> GlobalNotificationStatus:
        """What an application prints is in its pool's log."""
        is_graceful = provider.drain_requests_gracefully()
        sys.stdout.write(f"stop listening, {'draining' if is_graceful else 'at once'}\n")
        sys.stdout.flush()
        return GL_CONTINUE

    def terminate(self) -> None:
        """The last call."""


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """The global module itself is handed over, no factory."""
    registration_info.set_global_notifications(Farewell(), GlobalNotification.STOP_LISTENING)
