"""What modules may do to a response beyond its fields and body, on the wire."""

from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from support.running import run_server
from support.wire import CutShortError, Wire, get

MODULE = """
import os

from was.api import CONTINUE, FINISH_REQUEST, FileRegion, HttpModule, RequestNotification

def include(context, response):
    child = context.clone_context(0)
    child.request.set_url("/plain.txt")
    context.run_child(child)
    response.write_entity_chunks([b", and a footer"])

def closed_file(context, response):
    fd = os.open("/dev/null", os.O_RDONLY)
    os.close(fd)
    response.write_entity_chunks([FileRegion(fd, 0, 5, is_owned=False)])

def text_flushed(context, response):
    response.chunks.append("text")
    response.flush()

def low_status_flushed(context, response):
    response.set_status(99)
    response.flush()

def float_flushed(context, response):
    response.status = 200.0
    response.flush()

class Text(str):
    pass

class Data(bytes):
    pass

class Number(int):
    pass

MISTAKES = {
    "float_status": lambda c, r: setattr(r, "status", 200.0),
    "float_status_flushed": float_flushed,
    "huge_status": lambda c, r: setattr(r, "status", 1 << 70),
    "yes_for_sub_status": lambda c, r: setattr(r, "sub_status", True),
    "float_sub_status": lambda c, r: (setattr(r, "status", 403), setattr(r, "sub_status", 0.0)),
    "huge_sub_status": lambda c, r: r.set_status(403, "Forbidden", 1 << 70),
    "large_sub_status": lambda c, r: r.set_status(403, "Forbidden", 1 << 16),
    "negative_sub_status": lambda c, r: r.set_status(403, "Forbidden", -1),
    "float_length": lambda c, r: (setattr(r, "status", 204), setattr(r, "content_length", 0.5)),
    "huge_length": lambda c, r: (setattr(r, "status", 304), setattr(r, "content_length", 1 << 70)),
    "number_for_disconnect": lambda c, r: setattr(r, "needs_disconnect", 5),
    "no_reason": lambda c, r: setattr(r, "reason", None),
    "half_character_in_reason": lambda c, r: setattr(r, "reason", "\\ud800"),
    "half_character_in_field": lambda c, r: r.set_header("X-A", "\\ud800"),
    "half_character_in_name": lambda c, r: r.set_header("X-\\ud800", "a"),
    "nothing_for_chunk": lambda c, r: r.chunks.append(None),
    "huge_region": lambda c, r: r.chunks.append(FileRegion(0, 1 << 70, 7, is_owned=False)),
    "float_region": lambda c, r: r.chunks.append(FileRegion(0, 0.0, 7.0, is_owned=False)),
    "reason_of_a_kind": lambda c, r: setattr(r, "reason", Text("OK")),
    "body_of_a_kind": lambda c, r: r.chunks.append(Data(b"data")),
    "body_flushed_of_a_kind": lambda c, r: (r.chunks.append(Data(b"data")), r.flush()),
    "sub_status_of_a_kind": lambda c, r: r.set_status(200, "OK", Number(7)),
    "low_status": lambda c, r: r.set_status(99),
    "high_status": lambda c, r: r.set_status(600),
    "text_for_status": lambda c, r: setattr(r, "status", "200"),
    "switching_protocols": lambda c, r: r.set_status(101),
    "line_break": lambda c, r: r.set_status(200, "OK\\r\\nX: y"),
    "text_for_sub_status": lambda c, r: r.set_status(403, "Forbidden", "9"),
    "text_for_error": lambda c, r: c.set_error_status("0x80070005"),
    "text_for_chunk": lambda c, r: r.chunks.append("text"),
    "text_flushed": text_flushed,
    "low_status_flushed": low_status_flushed,
    "listeners_field": lambda c, r: r.set_header("Trailer", "X"),
    "negative_region": lambda c, r: r.chunks.append(FileRegion(0, -5, -7, is_owned=False)),
    "closed_file": closed_file,
    "length_too_long": lambda c, r: (r.set_body(b"five!"), r.set_header("Content-Length", "9")),
    "length_too_short": lambda c, r: (r.set_body(b"five!"), r.set_header("Content-Length", "1")),
    "include": include,
}

class Odd(HttpModule):
    def on_begin_request(self, context, provider):
        response, path = context.response, context.path
        if path.startswith("/plain"):
            return CONTINUE
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
        if path.startswith("/mistake/"):
            MISTAKES[path[len("/mistake/"):]](context, response)
        return FINISH_REQUEST

    def on_send_response(self, context, provider):
        if context.query == "footer":
            provider.chunks.append(b", and more")
        return CONTINUE

class Factory:
    def get_http_module(self, allocator):
        return Odd()
    def terminate(self):
        pass

def register_module(server_version, registration_info, http_server):
    mask = RequestNotification.BEGIN_REQUEST | RequestNotification.SEND_RESPONSE
    registration_info.set_request_notifications(Factory(), mask, 0)
"""


def prepare(home):
    folder = home / "sites" / "odd"
    folder.mkdir(parents=True)
    (folder / "odd.py").write_text(MODULE)
    (folder / "file.txt").write_text("a file")
    (folder / "plain.txt").write_text("a file")


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


MISTAKES = (
    "float_status",
    "float_status_flushed",
    "huge_status",
    "yes_for_sub_status",
    "float_sub_status",
    "huge_sub_status",
    "large_sub_status",
    "negative_sub_status",
    "float_length",
    "huge_length",
    "number_for_disconnect",
    "no_reason",
    "half_character_in_reason",
    "half_character_in_field",
    "half_character_in_name",
    "nothing_for_chunk",
    "huge_region",
    "float_region",
    "low_status",
    "high_status",
    "text_for_status",
    "switching_protocols",
    "line_break",
    "text_for_sub_status",
    "text_for_error",
    "text_for_chunk",
    "text_flushed",
    "low_status_flushed",
    "listeners_field",
    "negative_region",
    "length_too_long",
    "length_too_short",
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_sent_is_500(running, mistake):
    """The module's own request alone pays for it: the worker goes on."""
    running.allow("module_failed")
    (pid,) = running.workers(count=1)
    assert get(running.port(), f"/mistake/{mistake}").status == 500
    assert get(running.port(), "/trailers").text == "the body"
    assert running.workers() == [pid]


@pytest.mark.parametrize("name", ["reason", "body", "body_flushed", "sub_status"])
def test_a_value_of_a_kind_of_ones_own_is_sent(running, name):
    """A class of str, bytes or int: no message carries it, its value is plain."""
    running.allow("module_failed")  # said in the log
    (pid,) = running.workers(count=1)
    answer = get(running.port(), f"/mistake/{name}_of_a_kind")
    assert (answer.status, answer.body) == (200, b"data" if "body" in name else b"")
    assert running.workers() == [pid]


def test_a_file_that_is_closed_by_now_cuts_its_response(running):
    """Its number may be another descriptor's, which the listener would not take."""
    (pid,) = running.workers(count=1)
    with pytest.raises(CutShortError):
        get(running.port(), "/mistake/closed_file")
    assert get(running.port(), "/trailers").text == "the body"
    assert running.workers() == [pid]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/mistake/include", "a file, and a footer"),
        ("/plain.txt?footer", "a file, and more"),
    ],
)
def test_the_length_of_a_whole_body_is_what_it_has(running, path, text):
    """A filter of RQ_SEND_RESPONSE, and a child's parent, may add to what was declared."""
    answer = get(running.port(), path)
    assert (answer.status, answer.text) == (200, text)
    assert answer.field("content-length") == str(len(text))
