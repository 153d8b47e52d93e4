"""An ASGI application with a path for each way to answer."""

import asyncio
import json
import os
import time
from contextlib import suppress
from pathlib import Path

DATA = Path(__file__).with_name("data")
events = []
kept = []


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    else:
        await globals()[scope["path"].strip("/").split("/")[0] or "hello"](scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    scope["state"]["started"] = "yes"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("lifespan shut down", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def start(send, status=200, headers=(), **more):
    await send({"type": "http.response.start", "status": status, "headers": headers, **more})


async def body(send, data=b"", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def answer(send, text, status=200):
    data = text.encode()
    await start(send, status, [(b"content-length", str(len(data)).encode())])
    await body(send, data)


async def hello(scope, receive, send):
    await answer(send, "Hello, world!")


async def error_page(scope, receive, send):
    await asyncio.sleep(0)  # not its first step
    await answer(send, "an error page")


async def pid(scope, receive, send):
    await answer(send, str(os.getpid()))


async def show(scope, receive, send):
    shown = {k: v for k, v in scope.items() if k not in ("headers", "extensions", "asgi")}
    shown["extensions"] = sorted(scope["extensions"])
    shown["was"] = {k: v for k, v in scope["extensions"]["was"].items() if isinstance(v, int | str)}
    shown["headers"] = [[n.decode(), v.decode()] for n, v in scope["headers"]]
    await answer(send, json.dumps(shown, default=lambda b: b.decode()))


async def greedy(scope, receive, send):
    """Says what it was given, and spoils all of it."""
    headers = [[n.decode(), v.decode()] for n, v in scope["headers"]]
    given = {key: str(scope[key]) for key in ("path", "raw_path", "query_string", "asgi", "state")}
    given |= {"headers": headers, "extensions": sorted(scope["extensions"])}
    client = scope["client"][0]
    scope["headers"].append((b"x-spoiled", b"1"))
    scope["asgi"]["version"] = "0"
    for part in ("state", "extensions"):
        scope[part].clear()
    await answer(send, json.dumps({"given": given, "client": client}))


async def echo(scope, receive, send):
    await start(send)
    more = True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        more = message["more_body"]
        await body(send, message["body"], True)
    await body(send)


async def count(scope, receive, send):
    total = 0
    more = True
    while more:
        message = await receive()
        total += len(message["body"])
        more = message["more_body"]
    await answer(send, str(total))


async def large(scope, receive, send):
    size = int(scope["query_string"].partition(b"&")[0] or 1 << 20)
    await start(send)
    for _ in range(size // 65536):
        await body(send, b"x" * 65536, True)
    await body(send)


async def endless(scope, receive, send):
    await start(send)
    sent = 0
    try:
        while True:
            await body(send, b"x" * 65536, True)
            sent += 1
    except OSError as error:
        events.append(f"{type(error).__name__} after {sent}")


async def seen(scope, receive, send):
    await answer(send, json.dumps(events))


async def disconnect(scope, receive, send):
    await receive()
    message = await receive()
    events.append(message["type"])


async def sleep(scope, receive, send):
    try:
        await asyncio.sleep(float(scope["query_string"] or 5))
    except asyncio.CancelledError:
        events.append("cancelled")
        raise
    await answer(send, "slept")


async def disobey(scope, receive, send):
    end = time.monotonic() + float(scope["query_string"])
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            events.append("disobeyed")


async def hold(scope, receive, send):
    """Answers once there is the file that the query names."""
    await opened(scope)
    await answer(send, "held")


async def opened(scope):
    while not os.path.exists(scope["query_string"]):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)


async def block_until(scope, receive, send):
    """Lets nobody else have the loop until there is the file that the query names."""
    while not os.path.exists(scope["query_string"]):  # noqa: ASYNC240
        pass
    await answer(send, "blocked")


async def block(scope, receive, send):
    (DATA / "blocking").touch()
    end = time.monotonic() + float(scope["query_string"] or 5)
    while time.monotonic() < end:
        pass
    await answer(send, "blocked")


async def stand_still(scope, receive, send):
    time.sleep(float(scope["query_string"]))  # noqa: ASYNC251 that is the point of it


async def block_child(scope, receive, send):
    await asyncio.create_task(block(scope, receive, send))


async def kill(scope, receive, send):
    os.kill(os.getpid(), 9)


async def background(scope, receive, send):
    await answer(send, "at once")
    await opened(scope)
    events.append("background done")


async def hints(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await answer(send, "hinted")


async def trailers(scope, receive, send):
    wanted = "http.response.trailers" in scope["extensions"]
    await start(send, trailers=wanted)
    await body(send, b"with", True)
    await body(send, b" trailers")
    if wanted:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1234")]})


async def file(scope, receive, send):
    await start(send, headers=[(b"content-type", b"text/plain")])
    await send({"type": "http.response.pathsend", "path": scope["query_string"].decode()})


async def nothing(scope, receive, send):
    return


async def only_start(scope, receive, send):
    await start(send)


async def half(scope, receive, send):
    await start(send)
    await body(send, b"half", True)


async def raises(scope, receive, send):
    raise RuntimeError("on purpose")


async def raises_late(scope, receive, send):
    await start(send)
    await body(send, b"half", True)
    raise RuntimeError("on purpose, late")


async def twice(scope, receive, send):
    await start(send)
    await start(send)


async def too_much(scope, receive, send):
    await start(send, headers=[(b"content-length", b"1")])
    await body(send, b"22")


async def huge_fields(scope, receive, send):
    await start(send, headers=[(b"x-huge", b"x" * 3_000_000)])
    await body(send, b"")


async def huge_hint(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"x" * 3_000_000]})
    await start(send)
    await body(send, b"")


async def huge_trailers(scope, receive, send):
    await start(send, trailers=True)
    await body(send, b"half")
    headers = [(b"x-huge", b"x" * 3_000_000)]
    await send({"type": "http.response.trailers", "headers": headers})


async def deaf_short(scope, receive, send):
    """Does not hear that its answer is short."""
    await start(send, headers=[(b"content-length", b"10")])
    with suppress(Exception):
        await body(send, b"short")


async def deaf_file(scope, receive, send):
    """Does not hear that there is no such file."""
    await start(send)
    with suppress(OSError):
        await send({"type": "http.response.pathsend", "path": "/nowhere"})


async def second_thought(scope, receive, send):
    await start(send)
    try:
        await send({"type": "http.response.pathsend", "path": "/nowhere"})
    except OSError:
        await body(send, b"no such file")


async def together(scope, receive, send):
    """Answers when so many requests are here at once."""
    waiting.append(asyncio.current_task())
    while len(waiting) < int(scope["query_string"]):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await answer(send, "all here")


async def gauge(scope, receive, send):
    """How many were inside at most, this one included; the first wait for as many as are asked."""
    waiting.append(1)
    peak[0] = max(peak[0], len(waiting))
    while peak[0] < int(scope["query_string"]):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    waiting.pop()
    await answer(send, str(peak[0]))


waiting = []
peak = [0]


async def ws(scope, receive, send):
    """Says back what it hears; some words have a meaning."""
    assert scope["type"] == "websocket", scope["type"]
    assert (await receive())["type"] == "websocket.connect"
    asked = scope["query_string"].decode()
    if asked == "refuse":
        await send({"type": "websocket.close"})
        return
    if asked == "deny":
        await send(
            {"type": "websocket.http.response.start", "status": 451, "headers": [(b"x-a", b"b")]}
        )
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": False})
        return
    if asked == "raise":
        raise RuntimeError("on purpose")
    if asked == "nothing":
        return
    protocols = scope["subprotocols"]
    if asked == "not-offered":
        protocols = ["other"]
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": protocols[0] if protocols else None,
            "headers": [(b"x-worker", str(os.getpid()).encode())],
        }
    )
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            events.append(f"disconnect {message['code']} {message['reason']}")
            return
        text = message.get("text")
        if text == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "asked"})
        elif text == "return":
            return
        elif text == "raise":
            raise RuntimeError("on purpose")
        elif text == "kill":
            os.kill(os.getpid(), 9)
        elif text == "wrong":
            await send({"type": "websocket.accept"})
        elif text == "flood":
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
        elif text == "deaf":
            await asyncio.sleep(5)
        elif text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


# What is begun on the loop of `import` runs on the one that serves.
LOOP_OF_IMPORT = asyncio.get_event_loop()
BEGUN = LOOP_OF_IMPORT.create_task(asyncio.sleep(0, "begun while it was imported"))


async def of_import(scope, receive, send):
    is_same = asyncio.get_running_loop() is LOOP_OF_IMPORT
    await answer(send, f"{is_same} {await BEGUN}")


async def stop_loop(scope, receive, send):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    await answer(send, "the loop goes on")


async def unawaited(scope, receive, send):
    kept.append(asyncio.create_task(said_when_cancelled()))
    await answer(send, "begun")


async def said_when_cancelled():
    try:
        await asyncio.Event().wait()
    finally:
        print("an unawaited task was cancelled", flush=True)
