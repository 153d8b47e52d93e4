"""What notifications carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.application import HttpApplication
    from was.worker.context import HttpContext

__all__ = [
    "ApplicationProvider",
    "ConfigurationChangeProvider",
    "MapPathProvider",
    "PreBeginRequestProvider",
    "StopListeningProvider",
]


class ApplicationProvider:
    """IHttpApplicationStartProvider and IHttpApplicationStopProvider."""

    __slots__ = ("application",)

    def __init__(self, application: HttpApplication) -> None:
        self.application = application


class PreBeginRequestProvider:
    """IPreBeginRequestProvider."""

    __slots__ = ("http_context",)

    def __init__(self, context: HttpContext) -> None:
        self.http_context = context


class StopListeningProvider:
    """IGlobalStopListeningProvider."""

    __slots__ = ("_drain",)

    def __init__(self, drain: bool) -> None:
        self._drain = drain

    def drain_requests_gracefully(self) -> bool:
        """True on recycling and idling, False when the service stops at once."""
        return self._drain


class ConfigurationChangeProvider:
    """IGlobalConfigurationChangeProvider."""

    __slots__ = ("change_path",)

    def __init__(self, change_path: str) -> None:
        self.change_path = change_path


class MapPathProvider:
    """IMapPathProvider."""

    __slots__ = ("physical_path", "url")

    def __init__(self, url: str, physical_path: str) -> None:
        self.url = url
        self.physical_path = physical_path

    def set_physical_path(self, path: str) -> None:
        """Let the URL stand for another file."""
        self.physical_path = path
