"""Records: what the listener writes down of each request, and what it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.log import log

if TYPE_CHECKING:
    from was.listener.access_log import AccessLog
    from was.listener.head import Head
    from was.listener.request import ClientRequest

__all__ = ["Records"]


class Records:
    """The request logs, once there are any, and the counters of the listener's report."""

    def __init__(self, time: Callable[[], float]) -> None:
        """`time` is the loop's clock, in seconds."""
        self._time = time
        self.counters: Counter[str] = Counter()
        self.access: AccessLog | None = None
        # One line in a site's log; called for every request.
        self.line: Callable[..., None] = lambda *_: None

    def open(self, access: AccessLog) -> None:
        """Write to these logs from now on."""
        self.access = access
        self.line = access.request

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

    def cut(
        self,
        request: ClientRequest,
        line: str,
        status: int,
        sent_bytes: int,
        why: str,
        reason: str,
    ) -> None:
        """A response that was cut: in the site's log if the worker composed its line."""
        log("request_failed", id=f"{request.id:x}", url=request.head.target[:256], why=why)
        if line:
            self.request(request, line, status, 0, 64, sent_bytes)
        elif self.access is not None and request.connection is not None:
            peer = request.connection.peer
            self.error(peer, request.head, 0, request.site_id, reason, request)

    def error(
        self,
        peer: tuple[str, int, str, int],
        head: Head,
        status: int,
        site_id: int,
        reason: str,
        request: ClientRequest | None,
    ) -> None:
        """A request that the listener ended itself, in HTTPERR."""
        self.count(f"httperr_{reason}")
        if self.access is not None:
            queue = request.pool.name if request is not None else ""
            self.access.error(peer, head, status, site_id, reason, queue)

    def refusal(
        self, peer: tuple[str, int, str, int], raw: bytes, status: int, reason: str
    ) -> None:
        """What was no request, in HTTPERR."""
        self.count(f"httperr_{reason}")
        if self.access is not None:
            self.access.refusal(peer, raw, status, reason)

    def spool_failed(self, error: OSError) -> None:
        """A body could not be kept: the disk is full, most likely."""
        self.count("spool_failures")
        log("listener_error", detail=f"spool: {error}")
