"""An ASGI application that asks its loop for signals while it starts, as under other servers."""

import asyncio
import signal
from contextvars import ContextVar

asked = ContextVar("asked", default="")


class Application:
    def __init__(self):
        self.heard = []
        self.is_to_end = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["path"] == "/stream":
            await self.stream(send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": " ".join(self.heard).encode()})

    async def live(self, receive, send):
        await receive()
        self.is_to_end = asyncio.Event()
        loop = asyncio.get_running_loop()
        asked.set("at the start")
        loop.add_signal_handler(signal.SIGTERM, self.is_to_end.set)
        loop.add_signal_handler(signal.SIGUSR1, self.hear, "USR1")
        loop.add_signal_handler(signal.SIGHUP, self.hear, "HUP")
        loop.add_signal_handler(signal.SIGINT, self.hear, "INT")
        loop.remove_signal_handler(signal.SIGINT)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def hear(self, name):
        assert asyncio.get_running_loop().is_running()
        self.heard.append(f"{name} {asked.get()}")

    async def stream(self, send):
        """Goes on until the application is told to end."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        await self.is_to_end.wait()
        await send({"type": "http.response.body", "body": b"ended"})


application = Application()
