"""Child requests: what they take over, what becomes of their answer, and what is refused."""

import os
import sys
import threading
import types

import pytest
from fake_exchange import FakeExchange, ask, make_request, make_server

from was.worker.calls.registration import HttpModule
from was.worker.children.requests import MAX_DEPTH, CloneFlag, ExecuteFlag
from was.worker.chunks import FileRegion
from was.worker.exchange import ClientGoneError
from was.worker.interfaces.hresult import HResultError
from was.worker.interfaces.user import HttpUser
from was.worker.notifications import CONTINUE, FINISH_REQUEST, PENDING, RequestNotification

ALL = CloneFlag.BASICS | CloneFlag.HEADERS | CloneFlag.ENTITY | CloneFlag.SERVER_VARIABLE
ECHO = """
import json
def app(environ, start_response):
    path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    body = environ["wsgi.input"].read().decode()
    keys = ("REQUEST_METHOD", "REMOTE_USER", "HTTP_RANGE", "HTTP_X_ONE", "HTTP_DEPTH")
    said = {k: environ.get(k) for k in keys} | {"path": path, "body": body}
    status = environ.get("HTTP_X_STATUS", "200 OK")
    start_response(status, [("X-Child", "yes"), ("X-Both", "child")])
    if environ["QUERY_STRING"] == "blocks":
        return iter([b"one ", b"two"])
    return [json.dumps(said).encode()]
"""
HANDLERS = """<modules><add name="Scripted" /></modules><handlers>
  <add name="script" path="/script" verb="*" modules="Scripted" requireAccess="None" />
  <add name="echo" path="/echo*" verb="*" modules="WsgiModule" scriptProcessor="echo_app:app" />
</handlers>"""


@pytest.fixture
def scripted(tmp_path):
    """A server where `/script` is answered by a function of the test; `/echo` tells its environ."""

    def make(handle, **methods):
        class Module(HttpModule):
            def on_execute_request_handler(self, context, provider):
                return handle(context)

        for name, method in methods.items():
            setattr(Module, name, method)

        class Factory:
            def get_http_module(self, allocator):
                return Module()

            def terminate(self):
                pass

        def register_module(version, info, server):
            mask = RequestNotification.EXECUTE_REQUEST_HANDLER
            if "on_read_entity" in methods:
                mask |= RequestNotification.READ_ENTITY
            if "on_send_response" in methods:
                mask |= RequestNotification.SEND_RESPONSE
            info.set_request_notifications(Factory(), mask, 0)

        image = types.ModuleType("scripted_image")
        image.register_module = register_module
        sys.modules["scripted_image"] = image
        (tmp_path / "site" / "sub").mkdir(parents=True)
        (tmp_path / "site" / "echo_app.py").write_text(ECHO)
        (tmp_path / "site" / "a.txt").write_text("file")
        (tmp_path / "site" / "sub" / "index.html").write_text("default")
        return make_server(
            tmp_path,
            HANDLERS,
            global_modules='<globalModules><add name="Scripted" image="scripted_image" />'
            "</globalModules>",
        )

    yield make
    sys.modules.pop("scripted_image", None)


def run(context, url, *, clone=ALL, flags=0, user=None, change=lambda child: None):
    child = context.clone_context(clone)
    child.request.set_url(url)
    change(child)
    assert context.execute_request(True, child, flags, user) is False
    context.set_request_handled()
    return child


def test_the_childs_answer_becomes_the_parents(scripted):
    """Status and fields in place of the parent's, the body after what the parent wrote."""

    def handle(context):
        context.response.set_header("X-Both", "parent")
        context.response.set_header("X-Parent", "yes")
        context.response.write_entity_chunks([b"before "])
        child = run(context, "/echo?q=1")
        assert child.response.status == 201
        context.response.write_entity_chunks([b" after"])
        return CONTINUE

    exchange = ask(
        scripted(handle),
        path="/script",
        fields=[("Host", "h"), ("X-Status", "201 Created"), ("X-One", "1")],
    )
    assert exchange.status == 201
    assert exchange.headers()["x-child"] == "yes"
    assert exchange.headers()["x-both"] == "child"
    assert exchange.headers()["x-parent"] == "yes"
    assert exchange.body.startswith(b"before {")
    assert exchange.body.endswith(b"} after")
    assert b'"HTTP_X_ONE": "1"' in exchange.body
    assert b'"path": "/echo"' in exchange.body


def test_what_is_changed_is_no_known_head(scripted):
    """What is kept by the number of a request's head is not its child's, nor a changed one's."""
    numbers = []

    def handle(context):
        numbers.append(context.head_number)
        numbers.extend(context.clone_context(flags).head_number for flags in (ALL, CloneFlag(0)))
        numbers.append(run(context, "/echo?q=1").head_number)
        context.request.set_header("X-One", "2")
        numbers.append(context.head_number)
        return CONTINUE

    assert ask(scripted(handle), path="/script", head_number=5).status == 200
    assert numbers == [5, 0, 0, 0, 0]


def test_no_headers_leaves_status_and_fields(scripted):
    """EXECUTE_FLAG_NO_HEADERS: only the body is the parent's."""

    def handle(context):
        run(context, "/echo", flags=ExecuteFlag.NO_HEADERS)
        return CONTINUE

    exchange = ask(scripted(handle), path="/script", fields=[("X-Status", "404 Not Found")])
    assert exchange.status == 200
    assert "x-child" not in exchange.headers()
    assert exchange.body.startswith(b"{")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (ALL, ("POST", "bytes=0-1", "0", "body")),
        (ALL | CloneFlag.NO_PRECONDITION, ("POST", None, "0", "body")),
        (ALL | CloneFlag.NO_DAV, ("POST", "bytes=0-1", None, "body")),
        (CloneFlag.BASICS | CloneFlag.HEADERS, ("POST", "bytes=0-1", "0", "")),
        (CloneFlag.BASICS | CloneFlag.ENTITY, ("POST", None, None, "body")),
        (CloneFlag.HEADERS, ("GET", "bytes=0-1", "0", "")),
    ],
)
def test_what_is_cloned(scripted, flags, expected):
    """Method, fields and body are the parent's as the flags say."""
    import json

    def handle(context):
        run(context, "/echo", clone=flags)
        return CONTINUE

    exchange = ask(
        scripted(handle),
        path="/script",
        method="POST",
        body=b"body",
        fields=[("Range", "bytes=0-1"), ("Depth", "0"), ("Content-Length", "4")],
    )
    said = json.loads(exchange.body)
    keys = ("REQUEST_METHOD", "HTTP_RANGE", "HTTP_DEPTH", "body")
    assert tuple(said[key] for key in keys) == expected


def test_server_variables_are_inherited_on_demand(scripted):
    """CLONE_FLAG_SERVER_VARIABLE takes all that modules have set; they are copies."""
    seen = []

    def handle(context):
        context.set_server_variable("MINE", "1")
        for flags in (ALL, CloneFlag.BASICS):
            child = context.clone_context(flags)
            seen.append(child.get_server_variable("MINE"))
            child.set_server_variable("MINE", "2")
        seen.append(context.get_server_variable("MINE"))
        return FINISH_REQUEST

    ask(scripted(handle), path="/script")
    assert seen == ["1", None, "1"]


def test_a_user_that_is_given_is_not_authenticated(scripted):
    """The child runs as that user, and no authentication module is asked."""

    def handle(context):
        run(context, "/echo", user=HttpUser("bob", authentication_type="Basic"))
        return CONTINUE

    assert b'"REMOTE_USER": "bob"' in ask(scripted(handle), path="/script").body


def test_blocks_are_sent_as_they_come_unless_buffered(scripted):
    """A child that flushes has the parent flushed; BUFFER_RESPONSE keeps it all for the parent."""
    flags = 0

    def handle(context):
        run(context, "/echo?blocks", flags=flags)
        return CONTINUE

    server = scripted(handle)
    exchange = ask(server, path="/script")
    assert (exchange.calls[0], exchange.writes[:2]) == ("start", [b"one ", b"two"])
    flags = ExecuteFlag.BUFFER_RESPONSE
    exchange = ask(server, path="/script")
    assert (exchange.calls, exchange.body) == (["finish"], b"one two")


def test_a_file_and_a_missing_one(scripted):
    """A static file goes on as what it is; a child's error is the parent's, with its page."""
    url = "/a.txt"

    def handle(context):
        run(context, url)
        return CONTINUE

    server = scripted(handle)
    exchange = ask(server, path="/script")
    assert (exchange.status, exchange.body) == (200, b"file")
    assert exchange.headers()["content-type"].startswith("text/plain")
    url = "/missing.txt"
    exchange = ask(server, path="/script")
    assert (exchange.status, exchange.sub_status) == (404, 0)
    assert exchange.body


def test_a_default_document_is_a_child(scripted):
    """A folder is answered by its document; HEAD and conditions hold for it."""
    server = scripted(lambda context: CONTINUE)
    exchange = ask(server, path="/sub/")
    assert (exchange.status, exchange.body) == (200, b"default")
    tag = exchange.headers()["etag"]
    exchange = ask(server, path="/sub/", fields=[("If-None-Match", tag)])
    assert (exchange.status, exchange.body) == (304, b"")
    exchange = ask(server, path="/sub/", method="HEAD")
    assert (exchange.status, exchange.length, exchange.body) == (200, 7, b"")


def test_relatives(scripted):
    """parent_context and root_context; a child sees the root's connection."""

    def handle(context):
        if context.parent_context is None:
            assert context.root_context is context
            run(context, "/script")
            return CONTINUE
        parent = context.parent_context
        assert context.root_context is parent
        assert context.connection.id == parent.connection.id
        context.response.write_entity_chunks([str(context.execute_flags).encode()])
        context.set_request_handled()
        return CONTINUE

    assert ask(scripted(handle), path="/script").body == b"0"


def test_ten_levels_are_too_many(scripted):
    """A child below the tenth level is refused with ERROR_STACK_OVERFLOW."""
    depths = []

    def handle(context):
        depths.append(context.depth)
        child = context.clone_context(CloneFlag.BASICS)
        try:
            context.execute_request(True, child)
        except HResultError as error:
            context.response.write_entity_chunks([hex(error.hresult).encode()])
        context.set_request_handled()
        return CONTINUE

    assert ask(scripted(handle), path="/script").body == b"0x800703e9"
    assert depths == list(range(MAX_DEPTH + 1))


def test_what_is_refused(scripted):
    """Synchronous use, another's child, a second run, and a release after the parent's end."""
    codes = []
    kept = []

    def code(function, *args):
        with pytest.raises(HResultError) as caught:
            function(*args)
        codes.append(caught.value.hresult & 0xFFFF)

    def handle(context):
        if context.parent_context is not None:
            context.set_request_handled()
            return CONTINUE
        child = context.clone_context(CloneFlag.BASICS)
        code(context.execute_request, False, child)
        code(child.execute_request, True, child)
        assert context.execute_request(True, child) is False
        code(context.execute_request, True, child)
        child.release_cloned_context()
        code(child.release_cloned_context)
        kept.append(context.clone_context(CloneFlag.BASICS))
        context.set_request_handled()
        return CONTINUE

    ask(scripted(handle), path="/script")
    code(kept[0].release_cloned_context)
    assert codes == [50, 50, 87, 87, 87]


def test_a_child_whose_parent_has_ended_keeps_no_file_open(scripted, tmp_path):
    """What it still sends is refused, and no duplicate of its descriptor is left behind."""
    kept = []

    def handle(context):
        kept.append(context.clone_context(CloneFlag.BASICS))
        context.set_request_handled()
        return CONTINUE

    ask(scripted(handle), path="/script")
    with (tmp_path / "file").open("w+b") as file:
        before = sorted(os.listdir("/proc/self/fd"))
        with pytest.raises(ClientGoneError):
            kept[0].exchange.send_file(FileRegion(file.fileno(), 0, 1, is_owned=False))
        assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_pending_child_completes_its_parent(scripted):
    """execute_request says True; on_async_completion of the parent's module comes at its end."""
    told = []

    def handle(context):
        if context.parent_context is None:
            child = context.clone_context(CloneFlag.BASICS)
            assert context.execute_request(True, child) is True
            return PENDING
        answering = threading.Timer(0.05, context.post_completion, [5])
        answering.start()
        return PENDING

    def on_async_completion(self, context, notification, is_post, provider, info):
        told.append((context.depth, info.completion_bytes, info.completion_status))
        if context.parent_context is not None:
            context.response.write_entity_chunks([b"child"])
        context.set_request_handled()
        return CONTINUE

    server = scripted(handle, on_async_completion=on_async_completion)
    exchange = Waiting(make_request(path="/script"))
    server.handle(exchange)
    assert exchange.over.wait(60)
    assert told == [(1, 5, 0), (0, 0, 0)]
    assert (exchange.body, exchange.ends) == (b"child", 1)


def test_run_child_waits(scripted):
    """Where PENDING cannot be answered the thread waits for the child."""

    def handle(context):
        if context.parent_context is None:
            context.run_child(context.clone_context(CloneFlag.BASICS))
            context.response.write_entity_chunks([b" then parent"])
        else:
            answering = threading.Timer(0.05, context.post_completion, [5])
            answering.start()
            return PENDING
        context.set_request_handled()
        return CONTINUE

    def on_async_completion(self, context, notification, is_post, provider, info):
        context.response.write_entity_chunks([b"child"])
        context.set_request_handled()
        return CONTINUE

    server = scripted(handle, on_async_completion=on_async_completion)
    assert ask(server, path="/script").body == b"child then parent"


def test_a_child_that_outlives_its_parent(scripted):
    """A parent that does not wait ends with its own answer; the child ends unheard, later."""
    children, ended = [], threading.Event()

    def handle(context):
        if context.parent_context is None:
            child = context.clone_context(CloneFlag.BASICS)
            children.append(child)
            context.execute_request(True, child)
            context.response.write_entity_chunks([b"parent"])
            context.set_request_handled()
            return CONTINUE
        return PENDING

    def on_async_completion(self, context, notification, is_post, provider, info):
        context.response.write_entity_chunks([b"late"])
        ended.set()
        return CONTINUE

    server = scripted(handle, on_async_completion=on_async_completion)
    assert ask(server, path="/script").body == b"parent"
    assert children[0].parent_context is None
    children[0].post_completion(0)
    assert ended.wait(60)


def test_same_url_passes_the_current_handler_over(scripted):
    """SAME_URL and IGNORE_CURRENT_INTERCEPTOR: the next mapping that fits answers."""

    def handle(context):
        child = context.clone_context(ALL)
        context.execute_request(True, child, ExecuteFlag.SAME_URL)
        context.set_request_handled()
        return CONTINUE

    exchange = ask(scripted(handle), path="/script")
    assert exchange.status == 404  # of the static file handler


def test_map_handler(scripted):
    """The mapping of another URL; one that no application of ours has is not found."""
    names = []

    def handle(context):
        for url in ("/echo/x?q", "/a.txt", "/sub/%2e%2e/script"):
            script_map = context.map_handler(1, "", url, "GET")
            names.append(script_map.name if script_map is not None else None)
        with pytest.raises(HResultError):
            context.map_handler(7, "", "/", "GET")
        return FINISH_REQUEST

    ask(scripted(handle), path="/script")
    assert names == ["echo", "StaticFile", "script"]


def test_send_response_is_the_roots(scripted):
    """RQ_SEND_RESPONSE is raised when bytes are sent, which a child never does itself."""
    seen = []

    def handle(context):
        if context.parent_context is None:
            run(context, "/script")
        else:
            context.response.write_entity_chunks([b"x"])
            context.set_request_handled()
        return CONTINUE

    def on_send_response(self, context, provider):
        seen.append(context.depth)
        return CONTINUE

    ask(scripted(handle, on_send_response=on_send_response), path="/script")
    assert seen == [0]


class Waiting(FakeExchange):
    """An exchange whose end another thread brings."""

    def __init__(self, request):
        super().__init__(request)
        self.over = threading.Event()

    def _end(self, log, substatus, win32):
        super()._end(log, substatus, win32)
        self.over.set()


ERRORS = """<httpErrors errorMode="Custom"><clear />
  <error statusCode="404" path="{}" responseMode="ExecuteURL" /></httpErrors>"""
ERROR_APP = """
def app(environ, start_response):
    start_response("200 OK" if environ["PATH_INFO"] == "/good" else "500 Broken", [("X-Page", "1")])
    return [environ["REQUEST_METHOD"].encode(), b" ", environ["QUERY_STRING"].encode()]
"""


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/good", 200, b"GET 404;http://localhost:8080/missing.txt?a=1"),
        ("/bad", 404, b"404"),
        ("/nowhere", 404, b"404"),
    ],
)
def test_a_custom_error_executes_its_url(tmp_path, path, status, body):
    """responseMode="ExecuteURL": the answer is the URL's, its status too; else the plain page."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "error_app.py").write_text(ERROR_APP)
    server = make_server(
        tmp_path,
        ERRORS.format(path)
        + """<handlers><add name="errors" path="/*d" verb="*" modules="WsgiModule"
             scriptProcessor="error_app:app" /></handlers>""",
    )
    exchange = ask(server, path="/missing.txt", query="a=1", method="POST")
    assert exchange.status == status
    assert body in exchange.body
    assert ("x-page" in exchange.headers()) == (path == "/good")
