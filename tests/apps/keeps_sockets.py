"""An ASGI application whose WebSockets outlive its workers: it counts what it hears."""

import asyncio
import json
import os

over = []  # the talks of this worker that have come to their end


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
        return
    await socket(scope, receive, send)


async def socket(scope, receive, send):
    """Each answer says which worker gives it, what it has heard, and how it came to the socket."""
    assert (await receive())["type"] == "websocket.connect"
    hold = scope["extensions"].get("was.websocket.hold")
    asked = scope["query_string"].decode().replace("%20", " ")
    heard = []
    resumed = hold is not None and hold["state"] is not None
    if resumed:
        if asked == "refuse":
            await send({"type": "websocket.close", "code": 4003, "reason": "not again"})
            return
        if asked == "fail":
            raise RuntimeError("on purpose")
        heard = json.loads(hold["state"])
    if hold is not None and asked != "unheld":
        hold["store"](json.dumps(heard).encode())
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            over.append(asked)
            if message["code"] == 1012 and asked == "last words":
                heard.append("last words")
                await send({"type": "websocket.send", "text": "see you"})
                hold["store"](json.dumps(heard).encode())
            return
        text = message["text"]
        if text == "kill":
            os.kill(os.getpid(), 9)
        if text == "over":
            await send({"type": "websocket.send", "text": str(len(over))})
            continue
        if text.startswith("sleep"):
            await send({"type": "websocket.send", "text": "asleep"})
            await asyncio.sleep(float(text.split()[1]))
            continue
        if text == "quiet":
            continue
        if text == "long":
            await send({"type": "websocket.send", "bytes": b"x" * (64 * 1024 * 1024)})
        heard.append(int(text.split()[0]) if text[0].isdigit() else text)
        if hold is not None and asked != "unheld":
            hold["store"](json.dumps(heard).encode())
        how = "interrupted" if hold and hold["interrupted"] else "resumed" if resumed else "new"
        said = {"pid": os.getpid(), "heard": heard, "how": how}
        await send({"type": "websocket.send", "text": json.dumps(said)})
