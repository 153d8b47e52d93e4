"""WebSockets with a real server and a client that is not ours."""

import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, asgi_handler
from harness.server import wait_for
from support.running import asgi_config, place, run_server
from support.web_socket import connect
from support.wire import LIMIT_S, Wire, get
from websockets.exceptions import ConnectionClosed, InvalidStatus

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def running():
    elements = {
        "failure": {"rapidFailProtection": "false"},
        "requests": {"timeLimit": "00:00:02"},
    }
    config = asgi_config("asgi_kinds:application", pool=Pool("Pool", {}, elements))
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("application_error")
        yield running


def url(running, query="", path="/ws"):
    return f"ws://127.0.0.1:{running.port()}{path}?{query}"


def closed(client):
    """The close code and reason that the client got."""
    for _ in range(100000):
        try:
            client.recv(LIMIT_S)
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
    raise AssertionError("it never closes")


def told(running, text):
    wait_for(text, lambda: text in get(running.port(), "/seen").json())


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_go_both_ways(running, compression):
    """Text and bytes, short and long, in one frame or in pieces, compressed or not."""
    with connect(url(running), compression=compression, max_size=None) as client:
        for message in ("é", "", b"\0\xff", "long" * 50000, b"x" * 2_000_000):
            client.send(message)
            assert client.recv(LIMIT_S) == message
        client.send(["in ", "three ", "pieces"])
        assert client.recv(LIMIT_S) == "in three pieces"


def test_handshake_names_subprotocol_and_fields(running):
    """RFC 6455's own example of a key; what accept says is in the 101."""
    with Wire(running.port()) as wire:
        wire.send_request("/ws", fields={**HANDSHAKE, "Sec-WebSocket-Protocol": "b, a"})
        head = wire.read_until(b"\r\n\r\n").decode().lower()
    assert head.startswith("http/1.1 101 ")
    assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in head
    assert "sec-websocket-protocol: b\r\n" in head
    assert "x-worker: " in head


@pytest.mark.parametrize(
    ("query", "status"),
    [("refuse", 403), ("deny", 451), ("raise", 500), ("nothing", 500), ("not-offered", 500)],
)
def test_a_handshake_may_end_in_a_response(running, query, status):
    """close before accept is 403; a denial is the application's own; an error is 500.

    A subprotocol that the client has not offered is one.
    """
    with pytest.raises(InvalidStatus) as caught:
        connect(url(running, query))
    assert caught.value.response.status_code == status
    if query != "deny":
        assert b"<th>Module</th><td>AsgiModule</td>" in caught.value.response.body


@pytest.mark.parametrize(
    ("change", "status"),
    [({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Version": "8"}, 426)],
)
def test_a_bad_handshake_is_refused(running, change, status):
    """400.11 for a key that is none; 426 names the version that is spoken."""
    with Wire(running.port()) as wire:
        answer = wire.request("/ws", fields={**HANDSHAKE, **change})
    assert answer.status == status
    assert (answer.field("sec-websocket-version") == "13") == (status == 426)


def test_either_side_closes(running):
    """With code and reason, and the other one is told them."""
    with connect(url(running)) as client:
        client.send("close")
        assert closed(client) == (4001, "asked")
    told(running, "disconnect 4001 asked")
    with connect(url(running)) as client:
        client.close(4002, "enough")
        assert client.close_code == 4002
    told(running, "disconnect 4002 enough")


@pytest.mark.parametrize(("word", "code"), [("return", 1000), ("raise", 1011), ("wrong", 1011)])
def test_an_application_that_ends_closes(running, word, code):
    """1000 when it returns, 1011 when it fails; it never leaves the client waiting."""
    with connect(url(running)) as client:
        client.send(word)
        assert closed(client)[0] == code


def test_a_client_that_is_lost_is_1006(running):
    """A reset: the application is told, and nothing of the WebSocket is left."""
    with Wire(running.port()) as wire:
        wire.send_request("/ws", fields=HANDSHAKE)
        wire.read_until(b"\r\n\r\n")
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    told(running, "disconnect 1006 ")


def test_pings_are_answered_and_no_time_limit_holds(running):
    """Also while the application does not listen; timeLimit ends with the handshake."""
    with connect(url(running)) as client:
        client.send("deaf")
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            assert client.ping().wait(LIMIT_S)
            time.sleep(0.2)


def test_who_does_not_read_holds_the_application_back(running):
    """A flood stops in send(); others are served meanwhile, and the end is clean."""
    with Wire(running.port()) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send_request("/ws", fields=HANDSHAKE)
        wire.read_until(b"\r\n\r\n")
        wire.send(b"\x81\x85\0\0\0\0flood")
        assert wire.read_some()
        assert get(running.port(), "/").status == 200
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for("the end of it", lambda: all(
        row["url"] != "/ws" for row in running.server.rows("requests")
    ))  # fmt: skip


def test_a_frame_that_breaks_the_protocol_is_closed_with_1002(running):
    """An unmasked frame of a client (RFC 6455, 5.1)."""
    with Wire(running.port()) as wire:
        wire.send_request("/ws", fields=HANDSHAKE)
        wire.read_until(b"\r\n\r\n")
        wire.send(b"\x81\x02hi")
        got = wire.read_some()
        assert got[0] == 0x88
        assert struct.unpack("!H", got[2:4]) == (1002,)
        while wire.read_some():
            pass


def test_the_log_has_the_101_with_its_bytes(running):
    """One line when the WebSocket is over."""
    with connect(url(running, "logged")) as client:
        client.send("hi")
        client.recv(LIMIT_S)

    def line():
        for file in (running.home / "logs").glob("W3SVC*/*.log"):
            for text in file.read_text().splitlines():
                if " logged " in text and " 101 " in text:
                    return text
        return ""

    wait_for("the line", line)


def test_settings():
    """receiveBufferLimit bounds a message, pingInterval finds who has gone; enabled="false"."""
    settings = {
        "Site": '<webSocket receiveBufferLimit="4096" />',
        "Pings": '<webSocket pingInterval="00:00:01" />',
        "Off": '<webSocket enabled="false" />',
    }
    folder = Path("{home}") / "sites" / "app"
    handlers = (asgi_handler("asgi_kinds:application"),)
    sites = [
        Site(name, (Application("/", folder, "Pool", handlers, section),))
        for name, section in settings.items()
    ]
    config = application_host_config([Pool("Pool")], sites)
    with run_server(config, place("asgi_kinds.py")) as running:
        for compression in ("deflate", None):
            with connect(url(running), compression=compression) as client:
                client.send("x" * 4096)
                assert client.recv(LIMIT_S) == "x" * 4096
                client.send("x" * 100000)
                assert closed(client)[0] == 1009
        with Wire(running.port("Pings")) as wire:
            wire.send_request("/ws", fields=HANDSHAKE)
            wire.read_until(b"\r\n\r\n")
            got = wire.read_until(b"no pong")
            assert got.startswith(b"\x89\x00")
            assert b"\x88" in got
        with Wire(running.port("Off")) as wire:
            assert wire.request("/", fields=HANDSHAKE).status == 200


def test_a_recycle_closes_with_1012_one_after_the_other():
    """Clients that connect again reach the successor; the old worker does not wait to be killed."""
    config = asgi_config("asgi_kinds:application")
    with run_server(config, place("asgi_kinds.py")) as running, ExitStack() as stack:
        clients = [stack.enter_context(connect(url(running))) for _ in range(20)]
        old = clients[0].response.headers["x-worker"]
        done = running.server.command("recycle", "apppool", "Pool", "--wait")
        assert done.returncode == 0
        assert {closed(client)[0] for client in clients} == {1012}
        with connect(url(running)) as client:
            assert client.response.headers["x-worker"] != old
        wait_for("the end of the old", lambda: int(old) not in running.server.processes())


def test_a_killed_worker_cuts_its_websockets():
    """The client sees the end at once, and connects to the next worker."""
    config = asgi_config("asgi_kinds:application")
    with run_server(config, place("asgi_kinds.py")) as running:
        running.allow("worker_died")
        with connect(url(running)) as client, connect(url(running)) as other:
            client.send("kill")
            assert closed(client)[0] == 1006
            assert closed(other)[0] == 1006
        with connect(url(running)) as client:
            client.send("well")
            assert client.recv(LIMIT_S) == "well"
