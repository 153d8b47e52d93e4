"""What pages ask a server for: one WSGI and one ASGI application."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

DATA = Path(__file__).parent / "data"

PAGE = b"<!doctype html><meta charset=utf-8><title>Browsed</title><body><h1>Browsed</h1>"


def wsgi(environ, start_response):
    """Named by the path's last part."""
    return globals()["show_" + environ["PATH_INFO"].rpartition("/")[2]](environ, start_response)


def show_(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE]


def show_digest(environ, start_response):
    """Length and hash of the body, however it was sent."""
    body = environ["wsgi.input"].read()
    return _json(start_response, [len(body), hashlib.sha256(body).hexdigest()])


def show_stream(environ, start_response):
    """Each piece once the page has said that it has read the last one."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        if number:
            _wait_for(f"read-{number}")
        yield f"piece {number}".encode()


def show_read(environ, start_response):
    (DATA / f"read-{environ['QUERY_STRING']}").touch()
    return _json(start_response, True)


def show_endless(environ, start_response):
    """Until the client goes."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    (DATA / "endless").write_text("begun")
    try:
        while True:
            yield b"x" * 10000
    finally:
        (DATA / "endless").write_text("closed")


def show_cookies(environ, start_response):
    headers = [("Set-Cookie", "one=1; Path=/"), ("Set-Cookie", "two=2; HttpOnly; SameSite=Lax")]
    return _json(start_response, environ.get("HTTP_COOKIE", ""), *headers)


def show_redirect(environ, start_response):
    """With the status that the query says, to what tells the method."""
    start_response(f"{environ['QUERY_STRING']} Elsewhere", [("Location", "told")])
    return []


def show_told(environ, start_response):
    body = environ["wsgi.input"].read().decode()
    return _json(start_response, [environ["REQUEST_METHOD"], body])


def show_text(environ, start_response):
    """Long, and worth compressing."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the same again, " * 5000]


def show_beacon(environ, start_response):
    (DATA / "beacon").write_bytes(environ["wsgi.input"].read())
    start_response("204 No Content", [])
    return []


def show_other(environ, start_response):
    """For pages of other origins, as CORS has it."""
    allowed = [
        ("Access-Control-Allow-Origin", environ.get("HTTP_ORIGIN", "")),
        ("Access-Control-Allow-Methods", "PUT"),
        ("Access-Control-Allow-Headers", "X-Of-Mine"),
        ("Access-Control-Allow-Credentials", "true"),
    ]
    if environ["REQUEST_METHOD"] == "OPTIONS":
        start_response("204 No Content", allowed)
        return []
    return _json(start_response, environ.get("HTTP_X_OF_MINE", ""), *allowed)


def show_worker(environ, start_response):
    return _json(start_response, os.getpid())


def show_who(environ, start_response):
    return _json(start_response, [environ.get("AUTH_TYPE"), environ.get("REMOTE_USER")])


def _json(start_response, value, *headers):
    start_response("200 OK", [("Content-Type", "application/json"), *headers])
    return [json.dumps(value).encode()]


def _wait_for(name):
    import time

    for _ in range(1000):
        if (DATA / name).exists():
            return
        time.sleep(0.02)


async def asgi(scope, receive, send):
    """Server-sent events, and a WebSocket that gives back what it gets."""
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await _give_back(scope, receive, send)
        return
    fields = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    last = int(dict(scope["headers"]).get(b"last-event-id", b"0"))
    for number in range(last + 1, last + 4):
        event = f"id: {number}\nretry: 50\ndata: event {number}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b""})


async def _give_back(scope, receive, send):
    await receive()
    protocols = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": protocols[-1] if protocols else None})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "end":
            await send({"type": "websocket.close", "code": 3210, "reason": "as you wished ä"})
            return
        content = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **content})
    (DATA / "closed").write_text(str(message["code"]))
