"""Request logs (stub: signatures first)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from was.clock import Clock

__all__ = ["LogFileSettings", "RequestLogs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFileSettings:
    """`site/logFile` as far as the writer needs it; `folder` None: <log_dir>/W3SVC<id>."""

    enabled: bool = True
    folder: Path | None = None
    period: str = "Daily"  # Hourly, Daily, Weekly, Monthly, MaxSize
    truncate_size: int = 20971520
    local_time_rollover: bool = False
    flags: frozenset[str] = field(default_factory=lambda: frozenset[str]())
    custom_columns: tuple[str, ...] = ()
    max_line_length: int = 65536


class RequestLogs:
    """W3C logs of the sites and HTTPERR."""

    def __init__(self, log_dir: Path, sites: Mapping[int, LogFileSettings], clock: Clock) -> None:
        raise NotImplementedError

    def configure(self, sites: Mapping[int, LogFileSettings]) -> None:
        """Take over changed settings; a file whose columns changed gets a new head."""

    def request(
        self,
        site_id: int,
        line: str,
        status: int,
        substatus: int,
        win32: int,
        bytes_sent: int,
        bytes_received: int,
        time_taken_ms: int,
    ) -> None:
        """Log a request; `line` is what log_fields.compose made, in worker or listener."""

    def http_error(
        self,
        client: tuple[str, int],
        server: tuple[str, int],
        version: str,  # "HTTP/1.1", "" when unknown
        method: str,
        uri: str,
        status: int,  # 0 = none sent
        site_id: int,  # 0 = none
        reason: str,
        queue: str,
    ) -> None:
        """Log a request that never reached a worker, or a connection that died."""

    def line_of(self, site_id: int, values: tuple[str, ...]) -> str:
        """Compose the worker's part of a line here, for a request the listener ended itself."""
        raise NotImplementedError

    def flush(self) -> None:
        """Hand this turn's lines to the writer thread; call once a loop turn."""

    def reopen(self) -> None:
        """Close all files; the next line opens them anew (SIGUSR1)."""

    def close(self) -> None:
        """Write what is waiting, within a second or two, and end the thread."""
