"""What modules may do to a response beyond its fields and body, on the wire."""

from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from support.running import run_server
from support.wire import Wire, get

MODULE = """
from was.api import CONTINUE, FINISH_REQUEST, HttpModule, RequestNotification

class Odd(HttpModule):
    def on_begin_request(self, context, provider):
        response, path = context.response, context.path
        if path.startswith("/file"):
            response.set_trailer("X-Sum", "of a file")
            return CONTINUE
        if path.startswith("/trailers"):
            response.set_trailer("X-Sum", "1")
            response.set_trailer("X-Sum", "2", replace=False)
            response.set_trailer("X-Gone", "x")
            response.delete_trailer("x-gone")
            response.write_entity_chunks([b"the ", b"body"])
        if path == "/trailers/flushed":
            response.flush()
            response.set_trailer("X-Late", response.get_trailer("x-sum"))
        if path.startswith("/close"):
            response.set_need_disconnect()
            size = 200_000 if path == "/close/large" else 5
            response.write_entity_chunks([b"x" * size])
            if path == "/close/flushed":
                response.flush()
        return FINISH_REQUEST

class Factory:
    def get_http_module(self, allocator):
        return Odd()
    def terminate(self):
        pass

def register_module(server_version, registration_info, http_server):
    registration_info.set_request_notifications(Factory(), RequestNotification.BEGIN_REQUEST, 0)
"""


def prepare(home):
    folder = home / "sites" / "odd"
    folder.mkdir(parents=True)
    (folder / "odd.py").write_text(MODULE)
    (folder / "file.txt").write_text("a file")


@pytest.fixture(scope="module")
def running():
    """One server whose only site has the module."""
    folder = Path("{home}") / "sites" / "odd"
    config = application_host_config(
        [Pool("Pool", {"startMode": "AlwaysRunning"}, {})],
        [Site("Site", (Application("/", folder, "Pool", (), ""),))],
        f"""<system.webServer>
          <globalModules><add name="Odd" image="{folder}/odd.py" /></globalModules>
          <modules><add name="Odd" /></modules></system.webServer>""",
    )
    with run_server(config, prepare) as server:
        yield server


def exchange(port: int, request: str) -> tuple[str, bytes]:
    """Head and the rest, until the server closes the connection."""
    with Wire(port) as wire:
        wire.send(f"{request}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while more := wire.socket.recv(65536):
            data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode().lower(), rest


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/trailers", b"0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"),
        ("/trailers/flushed", b"0\r\nX-Sum: 1\r\nX-Sum: 2\r\nX-Late: 1, 2\r\n\r\n"),
        ("/file.txt", b"6\r\na file\r\n0\r\nX-Sum: of a file\r\n\r\n"),
    ],
)
def test_trailers_follow_the_body_in_chunks(running, path, end):
    """IHttpResponse4::SetTrailer: a module's fields after the body, whoever made that."""
    head, rest = exchange(running.port(), f"GET {path} HTTP/1.1")
    assert "transfer-encoding: chunked" in head
    assert "content-length" not in head
    assert rest.endswith(end)


@pytest.mark.parametrize("line", ["GET /trailers HTTP/1.0", "HEAD /trailers HTTP/1.1"])
def test_who_gets_no_chunks_gets_no_trailers(running, line):
    """HTTP/1.0 and HEAD: the length is said as ever."""
    head, rest = exchange(running.port(), line)
    assert "content-length: 8" in head
    assert rest == (b"" if line.startswith("HEAD") else b"the body")


@pytest.mark.parametrize("path", ["/close", "/close/flushed", "/close/large"])
def test_a_connection_that_shall_close_closes(running, path):
    """SetNeedDisconnect holds also where the response begins before its end."""
    assert get(running.port(), path).will_close
