"""Hello for both interfaces: what every server under comparison runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

BODY = b"Hello, world!\n"
FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
ASGI_FIELDS = [(name.lower().encode(), value.encode()) for name, value in FIELDS]


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> list[bytes]:
    """WSGI."""
    start_response("200 OK", FIELDS)
    return [BODY]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """ASGI; lifespan is refused, which every server takes for "not wanted"."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": ASGI_FIELDS})
    await send({"type": "http.response.body", "body": BODY})
