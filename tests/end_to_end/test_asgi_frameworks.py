"""FastAPI and Starlette as their users write them, through `was run`'s road and a home's."""

import json

import pytest
from harness.server import wait_for
from support.running import APPS, asgi_config, place, run_server
from support.web_socket import connect
from support.wire import LIMIT_S, Wire, get, post


@pytest.fixture(scope="module")
def running():
    config = asgi_config("fastapi_notes:app", sections='<webSocket hold="true" />')
    with run_server(config, place("fastapi_notes.py")) as running:
        running.allow("application_error")
        yield running


def test_routes_lifespan_state_and_errors(running):
    """Parameters, JSON, the state of the lifespan, sync handlers in their threads, 404 and 422."""
    port = running.port()
    answer = get(port, "/items/5").json()
    assert answer == {
        "number": 5,
        "greeting": "hello",
        "url": f"http://127.0.0.1:{port}/items/5",
    }
    assert get(port, "/thread").json() == {"ok": True}
    assert get(port, "/items/500").json() == {"detail": "no such item"}
    assert get(port, "/items/x").status == 422
    assert get(port, "/fails").status == 500
    assert get(port, "/below/page").text == "/below /below/page"


def test_streams_uploads_and_files(running):
    """Server-sent events as they come, a long upload, and a file by pathsend."""
    port = running.port()
    with Wire(port) as wire:
        assert wire.request("/ticks").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert post(port, "/sum", b"x" * 3_000_000).json() == {"size": 3_000_000}
    assert get(port, "/file").body == (APPS / "fastapi_notes.py").read_bytes()


def test_a_stream_that_is_silent_ends_with_its_client(running):
    """The framework hears that the client has gone, and cancels what could wait for ever."""
    port = running.port()
    with Wire(port) as wire:
        wire.send_request("/quiet")
        wire.read_until(b"data: begun\n\n\r\n")
    wait_for("the stream's end", lambda: get(port, "/left").json())
    assert get(port, "/left").json() == ["cancelled"]


def test_websocket(running):
    """accept, JSON both ways, and the client's end."""
    with connect(f"ws://127.0.0.1:{running.port()}/talk/ann") as client:
        client.send("hi")
        assert json.loads(client.recv(LIMIT_S)) == {"name": "ann", "said": "hi"}


def test_a_websocket_that_outlives_its_worker(running):
    """As a framework's users write it; and the configuration that allows it has no remark."""
    with connect(f"ws://127.0.0.1:{running.port()}/held/ann") as client:
        client.send("hi")
        assert json.loads(client.recv(LIMIT_S)) == {"name": "ann", "said": ["hi"]}
        assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
        client.send("again")
        assert json.loads(client.recv(LIMIT_S)) == {"name": "ann", "said": ["hi", "again"]}
    done = running.server.command("config", "validate")
    assert done.returncode == 0
    assert "webSocket" not in done.stdout + done.stderr
