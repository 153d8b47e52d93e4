"""A FastAPI application: a typed answer, an upload, a WebSocket that echoes."""

from fastapi import FastAPI, Request, WebSocket

app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    return {"number": number}


@app.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"{socket.scope['root_path']} {text}")
