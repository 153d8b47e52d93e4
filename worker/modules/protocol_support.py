"""Not written yet: registers for nothing."""

from __future__ import annotations

from was.worker.registration import ModuleRegistrationInfo


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Register for nothing."""
