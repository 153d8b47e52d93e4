"""A WebSocket that says back what it hears, for every server under comparison."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """ASGI; lifespan is refused."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})
