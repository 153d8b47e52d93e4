"""What every notification carries, and what those of requests do beside it."""

from __future__ import annotations

__all__ = ["EventProvider", "MapPathProvider"]


class EventProvider:
    """IHttpEventProvider: what every provider is."""

    __slots__ = ("error_status",)

    def __init__(self) -> None:
        self.error_status = 0

    def set_error_status(self, hresult: int) -> None:
        """Record an error of this event; the flow is not changed."""
        self.error_status = hresult


class MapPathProvider(EventProvider):
    """IMapPathProvider."""

    __slots__ = ("physical_path", "url")

    def __init__(self, url: str, physical_path: str) -> None:
        super().__init__()
        self.url = url
        self.physical_path = physical_path

    def set_physical_path(self, path: str) -> None:
        """Let the URL stand for another file."""
        self.physical_path = path
