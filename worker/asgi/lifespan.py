"""The lifespan of an ASGI application: startup before its first request, shutdown after its last.

An application that raises when it is called with a lifespan scope has none (ASGI, Lifespan
Protocol): it is served without. One that says startup.failed is not served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from was.errors import LocalProtocolError, WasError
from was.log import log, log_exception, text_of

if TYPE_CHECKING:
    from was.worker.asgi.loop import LoopThread

__all__ = ["Lifespan", "StartupFailedError"]


class StartupFailedError(WasError):
    """The application said lifespan.startup.failed: it is answered 500.30."""


class Phase(Enum):
    """How far the lifespan of an application has come."""

    NEW = 1
    STARTING = 2
    UP = 3
    STOPPING = 4
    OVER = 5


# What the application may say in which phase.
TABLE: dict[tuple[Phase, str], Phase] = {
    (Phase.STARTING, "lifespan.startup.complete"): Phase.UP,
    (Phase.STARTING, "lifespan.startup.failed"): Phase.OVER,
    (Phase.STOPPING, "lifespan.shutdown.complete"): Phase.OVER,
    (Phase.STOPPING, "lifespan.shutdown.failed"): Phase.OVER,
}


class Lifespan:
    """One application's; every coroutine runs on the loop."""

    def __init__(self, application: Callable[..., Any], reference: str) -> None:
        self._application = application
        self._reference = reference
        self._phase = Phase.NEW
        self._failure = ""
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.state: dict[str, Any] = {}

    async def start(self, loop: LoopThread) -> None:
        """Have the application start. Raises StartupFailedError."""
        self._phase = Phase.STARTING
        self._queue.put_nowait({"type": "lifespan.startup"})
        loop.start(self._run())
        await self._wait_while(Phase.STARTING)
        if self._failure:
            raise StartupFailedError(self._failure)

    async def stop(self) -> None:
        """Have it shut down, if it has a lifespan that still runs."""
        if self._phase is not Phase.UP:
            return
        self._phase = Phase.STOPPING
        self._queue.put_nowait({"type": "lifespan.shutdown"})
        await self._wait_while(Phase.STOPPING)

    async def _wait_while(self, phase: Phase) -> None:
        while self._phase is phase:
            self._changed.clear()
            await self._changed.wait()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._queue.get, self._send)
        except BaseException as error:  # noqa: BLE001 whatever it raises, it has no lifespan (more)
            if self._phase is Phase.STARTING:
                log("lifespan_unsupported", application=self._reference, error=text_of(error))
            elif not isinstance(error, asyncio.CancelledError):
                log_exception("application_error", error, application=self._reference)
        finally:
            self._phase = Phase.OVER
            self._changed.set()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message.get("type")
        after = TABLE.get((self._phase, str(kind)))
        if after is None:
            raise LocalProtocolError(f"{kind!r} was sent in lifespan phase {self._phase.name}")
        if kind == "lifespan.startup.failed":
            self._failure = str(message.get("message", "")) or "lifespan.startup.failed"
        elif kind == "lifespan.shutdown.failed":
            log(
                "application_error",
                application=self._reference,
                error=f"lifespan.shutdown.failed: {message.get('message', '')}",
            )
        self._phase = after
        self._changed.set()
