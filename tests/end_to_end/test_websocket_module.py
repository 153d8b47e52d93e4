"""IWebSocketContext: a native module as a WebSocket handler, through WebSocketModule."""

import pytest
from support.frames import frame
from support.running import place, run_server, simple_config
from support.web_socket import connect
from support.wire import LIMIT_S, Wire
from websockets.exceptions import ConnectionClosed

EXTRA = (
    "<system.webServer><globalModules>"
    '<add name="Echo" image="{home}/sites/app/echo_module.py" /></globalModules>'
    '<modules><add name="WebSocketModule" /><add name="Echo" /></modules></system.webServer>'
)

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
}
LIMIT_BYTES = 4 << 20  # of a message, by default


@pytest.fixture(scope="module")
def running():
    config = simple_config("none:none", extra=EXTRA)
    config = config.replace('modules="WsgiModule" scriptProcessor="none:none"', 'modules="Echo"')
    with run_server(config, place("echo_module.py")) as running:
        yield running


@pytest.mark.parametrize("compression", ["deflate", None])
def test_fragments_are_read_and_written(running, compression):
    """As long as was asked for; the last one of a message says so; text stays text."""
    with connect(f"ws://127.0.0.1:{running.port()}/", compression=compression) as client:
        client.send("0123456789")
        assert client.recv(LIMIT_S) == "0123456789"
        client.send("naïve — 日本語")  # fragments of four bytes end within characters
        assert client.recv(LIMIT_S) == "naïve — 日本語"
        client.send(b"x" * 1000)
        assert client.recv(LIMIT_S) == b"x" * 1000
        client.send("stop")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(LIMIT_S)
        assert caught.value.rcvd.code == 4001


def test_completions_come_on_another_thread(running):
    """The notification is PENDING meanwhile."""
    with connect(f"ws://127.0.0.1:{running.port()}/?later") as client:
        client.send("hi")
        assert client.recv(LIMIT_S) == "later: hi"


def test_a_message_too_long_ends_it_whatever_the_client_does(running):
    """1009, and the module goes on with the end: it does not wait for the client's own close."""
    with Wire(running.port()) as wire:
        wire.send_request(
            "/", fields={**HANDSHAKE, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        )
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        wire.send(frame(bytes(LIMIT_BYTES + 1), 2, mask=bytes(4)))
        said = wire.read_until(b"too long")
        assert said[2:4] == (1009).to_bytes(2, "big")
        assert wire.is_closed()


def test_a_bad_handshake_is_400(running):
    """A key that is none."""
    with Wire(running.port()) as wire:
        fields = {**HANDSHAKE, "Sec-WebSocket-Key": "short"}
        assert wire.request("/", fields=fields).status == 400
