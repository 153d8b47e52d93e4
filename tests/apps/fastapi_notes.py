"""A FastAPI application as its users write it; a Starlette one is mounted in it."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app):
    yield {"greeting": "hello"}


app = FastAPI(lifespan=lifespan)


@app.get("/items/{number}")
async def item(number: int, request: Request):
    if number > 100:
        raise HTTPException(404, "no such item")
    return {"number": number, "greeting": request.state.greeting, "url": str(request.url)}


@app.get("/thread")
def in_a_thread():
    return {"ok": True}


@app.post("/sum")
async def total(request: Request):
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"size": size}


@app.get("/ticks")
async def ticks():
    async def tick():
        for number in range(3):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(tick(), media_type="text/event-stream")


left = []


@app.get("/quiet")
async def quiet():
    """Begins to stream, and then has nothing to say."""

    async def silence():
        try:
            yield "data: begun\n\n"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            left.append("cancelled")
            raise

    return StreamingResponse(silence(), media_type="text/event-stream")


@app.get("/left")
async def who_left():
    return left


@app.get("/file")
async def file():
    return FileResponse(Path(__file__))


@app.get("/fails")
async def fails():
    raise RuntimeError("on purpose")


@app.websocket("/talk/{name}")
async def talk(socket: WebSocket, name: str):
    await socket.accept()
    try:
        while True:
            await socket.send_json({"name": name, "said": await socket.receive_text()})
    except WebSocketDisconnect:
        pass


@app.websocket("/held/{name}")
async def held(socket: WebSocket, name: str):
    hold = socket.scope["extensions"]["was.websocket.hold"]
    said = json.loads(hold["state"] or b"[]")
    hold["store"](json.dumps(said).encode())
    await socket.accept()
    try:
        while True:
            said.append(await socket.receive_text())
            hold["store"](json.dumps(said).encode())
            await socket.send_json({"name": name, "said": said})
    except WebSocketDisconnect:
        pass


async def below(request):
    return PlainTextResponse(f"{request.scope['root_path']} {request.url.path}")


app.mount("/below", Starlette(routes=[Route("/page", below)]))
