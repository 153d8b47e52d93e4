"""Records: what the listener writes down of each request, and what it counts.

As in IIS, a request that a worker answered is in its site's log and one that the listener ended is
in HTTPERR; the worker composes the fields it knows and the listener adds times and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.log import log

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.head import Head
    from was.listener.request import ClientRequest
    from was.listener.request_logs import RequestLogs

__all__ = ["Records"]


class Records:
    """The request logs, once there are any, and the counters of the listener's report."""

    def __init__(self, time: Callable[[], float]) -> None:
        """`time` is the loop's clock, in seconds."""
        self._time = time
        self.counters: Counter[str] = Counter()
        self.logs: RequestLogs | None = None
        # One line in a site's log; called for every request.
        self.line: Callable[..., None] = lambda *_: None

    def open(self, logs: RequestLogs) -> None:
        """Write to these logs from now on."""
        self.logs = logs
        self.line = logs.request

    def count(self, name: str) -> None:
        """One more of something, for the report."""
        self.counters[name] += 1

    def request(
        self,
        request: ClientRequest,
        line: str,
        status: int,
        substatus: int,
        win32: int,
        sent_bytes: int,
    ) -> None:
        """A request that a worker answered, in its site's log."""
        self.line(
            request.site_id,
            line,
            status,
            substatus,
            win32,
            sent_bytes,
            request.received_bytes,
            int((self._time() - request.received_at) * 1000),
        )

    def failed(
        self, connection: ClientConnection, request: ClientRequest, status: int, reason: str
    ) -> None:
        """A routed request that the listener ended itself, in HTTPERR; status 0: unanswered."""
        queue = request.pool.name
        self._error(connection, request.head, status, request.site_id, reason, queue)

    def turned_away(
        self, connection: ClientConnection, head: Head, status: int, site_id: int, reason: str
    ) -> None:
        """A request that no pool was asked for, in HTTPERR."""
        self._error(connection, head, status, site_id, reason, "")

    def _error(
        self,
        connection: ClientConnection,
        head: Head,
        status: int,
        site_id: int,
        reason: str,
        queue: str,
    ) -> None:
        self.count(f"httperr_{reason}")
        if self.logs is not None:
            version = "HTTP/1.1" if head.version == 11 else "HTTP/1.0"
            request = version, head.method, head.target
            self.logs.http_error(connection.peer, request, status, site_id, reason, queue)

    def refused(self, connection: ClientConnection, raw: bytes, status: int, reason: str) -> None:
        """What was no request, in HTTPERR: as much of it as looks like one."""
        self.count(f"httperr_{reason}")
        if self.logs is not None:
            words = raw[:4096].split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            method, uri = words[:2] if len(words) > 1 else ("", "")
            version = words[2] if len(words) == 3 else ""
            self.logs.http_error(connection.peer, (version, method, uri), status, 0, reason, "")

    def spool_failed(self, error: OSError) -> None:
        """A body could not be kept: the disk is full, most likely."""
        self.count("spool_failures")
        log("listener_error", detail=f"spool: {error}")
