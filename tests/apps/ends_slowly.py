"""An ASGI application whose end waits, once data/hold exists, until that has gone."""

import time
from pathlib import Path

DATA = Path(__file__).with_name("data")


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        hold()  # nothing else runs on the loop by then
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here\n"})


def hold():
    if (DATA / "hold").exists():
        (DATA / "ending").touch()
        while (DATA / "hold").exists():
            time.sleep(0.002)
