"""AccessLog: what the listener writes of each request, W3C or HTTPERR.

As in IIS, a request that a worker answered is in its site's log and one that the listener ended is
in HTTPERR; the worker composes the fields it knows and the listener adds times and counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from was.clock import Clock
from was.ipc.listener_control import LogSettings, SiteRoute
from was.listener.log_files import LogTarget, OutputTarget
from was.listener.request_logs import LogFileSettings, RequestLogs

if TYPE_CHECKING:
    from was.listener.head import Head

__all__ = ["AccessLog"]

# logExtFileFlags: IIS's bit of each flag.
FLAGS = {
    "Date": 1,
    "Time": 2,
    "ClientIP": 4,
    "UserName": 8,
    "SiteName": 16,
    "ComputerName": 32,
    "ServerIP": 64,
    "Method": 128,
    "UriStem": 256,
    "UriQuery": 512,
    "HttpStatus": 1024,
    "Win32Status": 2048,
    "BytesSent": 4096,
    "BytesRecv": 8192,
    "TimeTaken": 16384,
    "ServerPort": 32768,
    "UserAgent": 65536,
    "Cookie": 131072,
    "Referer": 262144,
    "ProtocolVersion": 524288,
    "Host": 1048576,
    "HttpSubStatus": 2097152,
}


class AccessLog:
    """All request logs of this listener."""

    def __init__(self, folder: Path, clock: Clock, *, to_output: bool = False) -> None:
        self._logs = RequestLogs(folder, {}, clock, OutputTarget if to_output else LogTarget)
        # One line in the site's log; called for every request, so without a layer in between.
        self.request = self._logs.request

    def configure(self, sites: list[SiteRoute]) -> None:
        """Take the sites' logFile settings over."""
        self._logs.configure({site.id: _settings(site.id, site.log) for site in sites})

    def change(self, sites: list[SiteRoute], gone: list[int]) -> None:
        """Take over the logFile settings of sites that are new or other than they were."""
        self._logs.change({site.id: _settings(site.id, site.log) for site in sites}, gone)

    def error(
        self,
        peer: tuple[str, int, str, int],
        head: Head,
        status: int,
        site_id: int,
        reason: str,
        queue: str,
    ) -> None:
        """One line in HTTPERR for a request whose head was read."""
        self._logs.http_error(
            (peer[0], peer[1]),
            (peer[2], peer[3]),
            "HTTP/1.1" if head.version == 11 else "HTTP/1.0",
            head.method,
            head.target,
            status,
            site_id,
            reason,
            queue,
        )

    def refusal(
        self, peer: tuple[str, int, str, int], raw: bytes, status: int, reason: str
    ) -> None:
        """One line in HTTPERR for what was no request: as much of it as looks like one."""
        words = raw[:4096].split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        method = words[0] if len(words) > 1 else ""
        uri = words[1] if len(words) > 1 else ""
        version = words[2] if len(words) == 3 else ""
        self._logs.http_error(
            (peer[0], peer[1]), (peer[2], peer[3]), version, method, uri, status, 0, reason, ""
        )

    def flush(self) -> None:
        """Hand what was collected to the writer."""
        self._logs.flush()

    def trouble(self) -> str:
        """What cannot be written, "" when all can."""
        return self._logs.trouble()

    def reopen(self) -> None:
        """Open the files anew with the next line."""
        self._logs.reopen()

    def close(self) -> None:
        """Write what is left."""
        self._logs.close()


def _settings(site_id: int, settings: LogSettings) -> LogFileSettings:
    folder = Path(settings.directory) / f"W3SVC{site_id}" if settings.directory else None
    return LogFileSettings(
        enabled=settings.enabled,
        folder=folder if folder is not None and folder.is_absolute() else None,
        period=settings.period,
        truncate_size=settings.truncate_size,
        local_time_rollover=settings.local_time_rollover,
        flags=frozenset(name for name, bit in FLAGS.items() if settings.fields & bit),
        custom_columns=tuple(settings.custom_columns),
        max_line_length=settings.max_line_length,
    )
