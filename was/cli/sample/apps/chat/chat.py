"""A small ASGI application: a room whose visitors read each other, over WebSockets."""

import asyncio
import os

# One queue for each WebSocket that is open in this worker process.
ROOM = set()

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Chat</title>
<style>body { font: 16px/1.5 sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }</style>
</head>
<body><h1>Chat</h1>
<p>Open this page twice, and write. <code>was recycle apppool chat</code> ends each WebSocket with
code 1012; the page then connects again, to the new worker.</p>
<form><input name="text" autofocus autocomplete="off"> <button>say</button></form>
<pre></pre>
<script>
const form = document.querySelector("form"), output = document.querySelector("pre");
const show = (text) => { output.textContent += text + "\\n"; };
let socket;
function connect() {
  socket = new WebSocket(`ws://${location.host}/room`);
  socket.onmessage = (event) => show(event.data);
  socket.onclose = (event) => { show(`(ended: ${event.code})`); setTimeout(connect, 1000); };
}
form.onsubmit = () => { socket.send(form.text.value); form.reset(); return false; };
connect();
</script>
</body></html>
"""


async def application(scope, receive, send):
    """One call for the life of the worker, one for each request, one for each WebSocket."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await visit(scope, receive, send)
    elif scope["path"] == "/":
        await answer(send, 200, "text/html", PAGE)
    else:
        await answer(send, 404, "text/plain", "not found\n")


async def lifespan(receive, send):
    """Before the first request and after the last: what must be opened and closed goes here."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def visit(scope, receive, send):
    """One visitor, from coming to going: two tasks, one for each direction."""
    await receive()  # websocket.connect
    if scope["path"] != "/room":
        await send({"type": "websocket.close"})  # before it was accepted: 403
        return
    await send({"type": "websocket.accept"})
    # Bounded: a visitor who does not read misses messages and costs no memory.
    queue = asyncio.Queue(maxsize=100)
    ROOM.add(queue)
    reader = asyncio.create_task(pass_on(queue, send))
    tell(f"somebody came: {len(ROOM)} in the room of worker process {os.getpid()}")
    try:
        while (message := await receive())["type"] == "websocket.receive":
            tell(message.get("text") or "(no text)")
    finally:
        ROOM.discard(queue)
        reader.cancel()
        tell("somebody left")


async def pass_on(queue, send):
    """Send one visitor what was said."""
    while True:
        await send({"type": "websocket.send", "text": await queue.get()})


def tell(text):
    """Say something to all visitors."""
    for queue in ROOM:
        if not queue.full():
            queue.put_nowait(text)


async def answer(send, status, kind, text):
    """One whole response."""
    body = text.encode()
    fields = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
