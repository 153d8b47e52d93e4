"""HealthConnection: a client of a `was.health` binding, answered by the listener alone.

/healthz is 200 while the listener lives; /readyz is 200 when every pool that should serve can, else
503 and a list. No worker and no manager is asked, so that both tell the truth without them. One
request a connection.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

from was.errors import RemoteProtocolError
from was.listener.head_scanner import check_incomplete, find_end, scan, skip_leading
from was.listener.headers import response_head
from was.listener.readiness import PoolFacts, not_ready

if TYPE_CHECKING:
    from was.listener.service import ListenerService

__all__ = ["HEALTH", "HealthConnection"]

HEALTH = "was.health"  # the protocol of such a binding

LIMIT_S = 10.0
LINGER_S = 2.0
MOST_CONNECTIONS = 64

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class HealthConnection(asyncio.Protocol):
    """From accept to close, at most LIMIT_S."""

    def __init__(self, service: ListenerService) -> None:
        self._service = service
        self._data = b""
        self._is_answered = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client was accepted."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        probes = self._service.health_connections
        if len(probes) >= MOST_CONNECTIONS:
            self._transport.abort()
            return
        probes.add(self)
        self._abort_after(LIMIT_S)

    def _abort_after(self, limit_s: float) -> None:
        assert self._transport is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._service.loop.call_later(limit_s, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whomever."""
        self._service.health_connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client; what comes after a head is of no interest."""
        transport = self._transport
        if transport is None or self._is_answered:
            return
        data = self._data + data
        data = data[skip_leading(data) :]
        try:
            end = find_end(data)
            if end < 0:
                check_incomplete(data, self._service.limits)
                self._data = data
                return
            head = scan(data[:end], self._service.limits)
        except RemoteProtocolError as error:
            self._answer(400, {"status": "bad request", "detail": str(error)})
            return
        status, content = self._answer_to(head.method, head.path)
        self._answer(status, content, is_head=head.method == "HEAD")

    def _answer_to(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        if path not in ("/healthz", "/readyz"):
            return 404, {"status": "not found", "paths": ["/healthz", "/readyz"]}
        if method not in ("GET", "HEAD"):
            return 405, {"status": "method not allowed"}
        service = self._service
        if path == "/healthz":
            return 200, {"status": "ok", "manager": service.manager.is_there}
        unready = not_ready(_facts(service), has_manager=service.manager.is_there)
        if service.is_draining:
            return 503, {"status": "stopping", "not_ready": unready}
        if unready:
            return 503, {"status": "not ready", "not_ready": unready}
        return 200, {"status": "ready"}

    def _answer(self, status: int, content: dict[str, object], *, is_head: bool = False) -> None:
        assert self._transport is not None
        body = json.dumps(content).encode() + b"\n"
        block = b"Content-Type: application/json\r\nCache-Control: no-store\r\n"
        if status == 405:
            block += b"Allow: GET, HEAD\r\n"
        head = response_head(
            11,
            status,
            _PHRASES[status],
            block,
            len(body),
            False,
            True,
            self._service.standing[False, False],
        )
        self._transport.write(head if is_head else head + body)
        # Our half only, and read on: a reset for bytes nobody reads could overtake the answer.
        self._is_answered = True
        self._data = b""
        self._transport.write_eof()
        self._abort_after(LINGER_S)


def _facts(service: ListenerService) -> list[PoolFacts]:
    return [
        PoolFacts(
            pool.name,
            pool.settings.accepting,
            pool.settings.refusal,
            pool.settings.demand_start,
            pool.settings.held_up,
            pool.has_ready or pool.has_suspended,
            len(pool.queue),
            pool.settings.queue_length,
        )
        for pool in service.pools.values()
    ]
