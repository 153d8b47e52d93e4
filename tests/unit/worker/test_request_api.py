"""What modules may ask of a running request: the order of calls, completions, reads and writes."""

import sys
import threading
import types

import pytest
from fake_exchange import WSGI, FakeExchange, ask, make_request, make_server
from waiting import WaitingExchange

from was.worker.calls.http_module import HttpModule
from was.worker.completion import Operation
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    FINISH_REQUEST,
    METHODS,
    PENDING,
    POST_METHODS,
    RequestNotification,
)

RQ = RequestNotification
HELLO_HANDLER = WSGI.format("hello_app:app")
HELLO = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""


@pytest.fixture
def serve(tmp_path):
    """A server with modules made of functions: {module: {method: function}}."""

    def make(modules, handlers=HELLO_HANDLER):
        images = ""
        for name, methods in modules.items():
            cls = type(name, (HttpModule,), dict(methods))
            masks = [
                sum(bit for bit, method in table.items() if method in methods)
                for table in (METHODS, POST_METHODS)
            ]
            image = types.ModuleType(f"api_image_{name}")
            image.register_module = _register(cls, *masks)
            sys.modules[image.__name__] = image
            images += f'<add name="{name}" image="{image.__name__}" />'
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "hello_app.py").write_text(HELLO)
        listed = "".join(f'<add name="{name}" />' for name in modules)
        return make_server(
            tmp_path,
            f"<modules>{listed}</modules>{handlers}",
            global_modules=f"<globalModules>{images}</globalModules>",
        )

    yield make
    for name in [name for name in sys.modules if name.startswith("api_image_")]:
        del sys.modules[name]


def _register(cls, mask, post_mask):
    class Factory:
        def get_http_module(self, allocator):
            return cls()

        def terminate(self):
            pass

    def register_module(version, info, server):
        info.set_request_notifications(Factory(), mask, post_mask)

    return register_module


def passing(calls, *names):
    def method(name):
        return lambda self, context, provider: calls.append(name)

    return {name: method(name) for name in names}


def test_finish_within_an_event_ends_the_request_after_it(serve):
    """FINISH_REQUEST from RQ_CUSTOM_NOTIFICATION: the call returns, then LOG_REQUEST comes."""
    calls = []

    def on_begin_request(self, context, provider):
        assert context.notify_custom_notification("mine") is False
        calls.append("begin")
        return CONTINUE

    first = {"on_begin_request": on_begin_request, **passing(calls, "on_log_request")}
    second = {
        "on_custom_request_notification": lambda self, context, provider: FINISH_REQUEST,
        **passing(calls, "on_begin_request", "on_map_request_handler", "on_end_request"),
    }
    exchange = ask(serve({"First": first, "Second": second}))
    assert calls == ["begin", "on_log_request", "on_end_request"]
    assert (exchange.status, exchange.body) == (200, b"")


def test_disabled_notifications_are_not_called(serve):
    """For the module that asks, in this request; others and later requests have theirs."""
    calls = []

    def on_begin_request(self, context, provider):
        context.disable_notifications(RQ.LOG_REQUEST, RQ.END_REQUEST)
        return CONTINUE

    first = {
        "on_begin_request": on_begin_request,
        **passing(calls, "on_log_request", "on_end_request", "on_post_end_request"),
    }
    server = serve({"First": first, "Second": passing(calls, "on_log_request")})
    for _ in range(2):
        ask(server)
    assert calls == ["on_log_request", "on_end_request"] * 2


def test_next_notification(serve):
    """Handed out while it is for the same module, and then not called again."""
    calls = []

    def on_begin_request(self, context, provider):
        assert context.get_is_last_notification(CONTINUE) is False
        assert context.get_is_last_notification(FINISH_REQUEST) is True
        following = context.get_next_notification(CONTINUE)
        assert (following.notification, following.is_post) == (RQ.BEGIN_REQUEST, True)
        assert following.module is self
        assert context.get_next_notification(CONTINUE) is None
        calls.append("begin")
        return CONTINUE

    def on_acquire_request_state(self, context, provider):
        assert context.get_is_last_notification(CONTINUE) is True
        calls.append("acquire")

    module = {
        "on_begin_request": on_begin_request,
        "on_acquire_request_state": on_acquire_request_state,
        **passing(calls, "on_post_begin_request"),
    }
    assert ask(serve({"Host": module})).body == b"hello"
    assert calls == ["begin", "acquire"]


class Slow(FakeExchange):
    """A client whose body and whose window another thread gives."""

    is_readable = False
    writable_bytes = 0

    def __init__(self, request):
        super().__init__(request)
        self.release = threading.Event()
        self.over = threading.Event()

    def read(self, size):
        assert self.release.wait(60)
        if self.gone:
            from was.worker.exchange import ClientGoneError

            raise ClientGoneError("cancelled")
        return super().read(size)

    def write(self, data):
        assert self.release.wait(60)
        super().write(data)

    def cancel(self):
        self.gone = True
        self.release.set()

    def _end(self, log, substatus, win32):
        super()._end(log, substatus, win32)
        self.over.set()


def test_an_asynchronous_read(serve):
    """Pending until bytes come; one operation at a time; the completion tells how many."""
    seen = []
    buffer = bytearray(10)

    def on_begin_request(self, context, provider):
        assert context.request.read_entity_body_into(buffer, True) == (0, True)
        with pytest.raises(HResultError, match="80070057"):
            context.request.read_entity_body_into(bytearray(1), True)
        return PENDING

    def on_async_completion(self, context, notification, is_post, provider, info):
        seen.append((notification, is_post, info.completion_bytes, info.completed_operation))
        context.response.write_entity_chunks([bytes(buffer[: info.completion_bytes])])
        return FINISH_REQUEST

    server = serve(
        {"M": {"on_begin_request": on_begin_request, "on_async_completion": on_async_completion}}
    )
    exchange = Slow(make_request(method="POST", body=b"body", body_length=4))
    server.handle(exchange)
    assert not exchange.ends
    exchange.release.set()
    assert exchange.over.wait(60)
    assert seen == [(RQ.BEGIN_REQUEST, False, 4, Operation.READ)]
    assert exchange.body == b"body"


def test_cancelled_io_completes_with_an_error(serve):
    """cancel_io: ERROR_INVALID_HANDLE without an operation; else ERROR_OPERATION_ABORTED."""
    seen, contexts = [], []

    def routine(context, info):
        seen.append(info.completion_status)
        return FINISH_REQUEST

    def on_begin_request(self, context, provider):
        with pytest.raises(HResultError, match="80070006"):
            context.cancel_io()
        contexts.append(context)
        context.request.read_entity_body_into(bytearray(10), True, routine)
        return PENDING

    exchange = Slow(make_request(method="POST", body=b"body", body_length=4))
    serve({"M": {"on_begin_request": on_begin_request}}).handle(exchange)
    contexts[0].cancel_io()
    assert exchange.over.wait(60)
    assert seen == [0x800703E3]
    assert exchange.calls[-1] == "abort"


def test_an_asynchronous_flush(serve):
    """Pending while the listener takes no more; then the routine answers for the event."""
    seen = []

    def routine(context, info):
        seen.append((info.completion_bytes, info.completed_operation))
        return CONTINUE

    def on_begin_request(self, context, provider):
        response = context.response
        assert response.write_entity_chunks_async([b"one ", b"two "]) == (0, False)
        assert response.flush_async(True, routine) == (0, True)
        return PENDING

    exchange = Slow(make_request())
    serve({"M": {"on_begin_request": on_begin_request}}).handle(exchange)
    exchange.release.set()
    assert exchange.over.wait(60)
    assert seen == [(8, Operation.FLUSH)]
    assert exchange.body == b"one two hello"


def test_what_a_body_has_left(serve):
    """remaining_entity_bytes counts what is unread and inserted; the end is ERROR_HANDLE_EOF."""
    seen = []

    def on_begin_request(self, context, provider):
        request = context.request
        seen.append(request.remaining_entity_bytes)
        seen.append(request.read_entity_body(3))
        seen.append(request.remaining_entity_bytes)
        request.insert_entity_body(b"xyz")
        seen.append(request.remaining_entity_bytes)
        while request.remaining_entity_bytes:
            request.read_entity_body(100)
        with pytest.raises(HResultError, match="80070026"):
            request.read_entity_body_into(bytearray(1))
        return FINISH_REQUEST

    ask(serve({"M": {"on_begin_request": on_begin_request}}), method="POST", body=b"12345")
    assert seen == [5, b"123", 2, 5]


def test_fields_by_number(serve):
    """HTTP_HEADER_ID: the same numbers name other fields in requests and responses."""
    seen = []

    def on_begin_request(self, context, provider):
        seen.append((context.request.get_header(28), context.request.get_header(40)))
        context.response.set_header(12, "text/x-mine")
        seen.append(context.response.get_header("content-type"))
        with pytest.raises(HResultError, match="80070057"):
            context.response.get_header(30)
        context.response.set_header(26, "ours")
        return FINISH_REQUEST

    exchange = ask(serve({"M": {"on_begin_request": on_begin_request}}))
    assert seen == [("localhost:8080", "test"), "text/x-mine"]
    assert exchange.headers()["server"] == "ours"


def test_status_stats_and_variables(serve):
    """What was said of an error, where the request stands, and which variables have changed."""
    seen = []

    def on_begin_request(self, context, provider):
        context.set_server_variable("A", "1")
        number, _ = context.get_server_var_changes()
        context.set_server_variable("B", None)
        seen.append(context.get_server_var_changes(number))
        stats = context.get_current_execution_stats()
        seen.append((stats.notification, stats.module_name))
        context.response.set_status(404, "", 7, 0x80070002)
        context.response.set_error_description("none")
        seen.append(context.response.get_status()[:4])
        seen.append(context.response.error_description)
        context.response.redirect("/x?a=1", reset_status_code=False, include_parameters=True)
        return FINISH_REQUEST

    exchange = ask(serve({"M": {"on_begin_request": on_begin_request}}), query="b=2")
    assert seen == [
        (2, [("B", None)]),
        (RQ.BEGIN_REQUEST, "M"),
        (404, 7, "Not Found", 0x80070002),
        "none",
    ]
    assert exchange.status == 404
    assert exchange.headers()["location"] == "/x?a=1&b=2"


@pytest.mark.parametrize(
    ("html_encode", "shown"),
    [(True, b"<p>a &lt;i&gt;b&lt;/i&gt;</p>"), (False, b"<p>a <i>b</i></p>")],
)
def test_an_error_description_is_text_or_html(serve, html_encode, shown):
    """fHtmlEncode: what a module says of its error is escaped, unless it is HTML already."""

    def on_begin_request(self, context, provider):
        context.response.set_status(500, "", 0, 0x80004005)
        context.response.set_error_description("a <i>b</i>", html_encode=html_encode)
        return FINISH_REQUEST

    assert shown in ask(serve({"M": {"on_begin_request": on_begin_request}})).body


# ── what modules do wrong ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [True, 7, "CONTINUE", object(), 3])
def test_a_wrong_answer_is_an_error_of_the_module(serve, answer):
    """None of the three: 500.0, and the request ends."""
    exchange = ask(serve({"M": {"on_begin_request": lambda self, context, provider: answer}}))
    assert (exchange.status, exchange.sub_status) == (500, 0)


def test_a_method_without_return_has_passed(serve):
    """None is CONTINUE."""
    server = serve({"M": {"on_begin_request": lambda self, context, provider: None}})
    assert ask(server).body == b"hello"


@pytest.mark.parametrize("made", [None, object(), ValueError("no object")])
def test_a_factory_that_fails_is_500_once(serve, made):
    """The other modules see the request to its end; the one that failed has no part in it."""
    calls = []
    server = serve(
        {
            "Bad": passing(calls, "on_begin_request", "on_end_request"),
            "Good": passing(calls, "on_log_request"),
        }
    )
    application = server.applications.find(1, "/")

    def make(allocator):
        if isinstance(made, Exception):
            raise made
        return made

    calls_of = application.calls
    calls_of.makers = (make, *calls_of.makers[1:])
    exchange = ask(server)
    assert (exchange.status, exchange.sub_status) == (500, 0)
    assert calls == ["on_log_request"]


@pytest.mark.parametrize("times", [1, 2, 5])
def test_completions_that_nobody_waits_for(serve, times):
    """A module that completes, more than once, what it has not left pending: one answer."""

    def on_begin_request(self, context, provider):
        for _ in range(times):
            context.post_completion(1)
            context.indicate_completion(CONTINUE)
        return CONTINUE

    from was.worker import pipeline

    assert ask(serve({"M": {"on_begin_request": on_begin_request}})).body == b"hello"
    assert not pipeline._meetings


def test_many_threads_complete_one_event(serve):
    """One of them is heard; the request ends once."""
    contexts = []

    def on_begin_request(self, context, provider):
        contexts.append(context)
        return PENDING

    server = serve({"M": {"on_begin_request": on_begin_request}})
    exchange = WaitingExchange(make_request())
    server.handle(exchange)
    start = threading.Barrier(8)

    def complete():
        start.wait()
        contexts[0].post_completion(0)

    threads = [threading.Thread(target=complete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exchange.ended.wait(60)
    assert exchange.ends == 1
    assert exchange.body == b"hello"


def test_without_subscribers_the_lists_are_empty(tmp_path):
    """An event that nobody has subscribed to has no call."""
    server = make_server(tmp_path, "<modules><clear /></modules><handlers><clear /></handlers>")
    calls = server.applications.find(1, "/").calls
    steps = [step for run in (*calls.head, *calls.closing) for step in run.steps]
    assert [step for step in steps if step.registration is not None] == []
    assert calls.closing == ()
    assert calls.send_response == calls.read_entity == calls.map_path == calls.custom == ()
    assert {step.notification for step in steps} <= set(DETERMINISTIC)


def test_the_request_s_id_and_attempt_are_server_variables(serve):
    """REQUEST_ID, as the listener's answers name it, and REQUEST_ATTEMPT, which counts from 1."""
    seen = []

    def on_begin_request(self, context, provider):
        seen.extend(context.get_server_variable(f"REQUEST_{name}") for name in ("ID", "ATTEMPT"))
        return CONTINUE

    server = serve({"Reader": {"on_begin_request": on_begin_request}})
    ask(server, id=255, attempt=2)
    assert seen == ["00000000000000ff", "2"]


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example:8080", "a.example"), ("[::2]:80", "[::2]"), ("[::2]", "[::2]"), ("", "::1")],
)
def test_the_server_s_name_is_the_host_without_its_port(serve, host, name):
    """Where the client names none it is the address, which has colons of its own."""
    seen = []

    def on_begin_request(self, context, provider):
        seen.append(context.get_server_variable("SERVER_NAME"))
        return CONTINUE

    server = serve({"Reader": {"on_begin_request": on_begin_request}})
    ask(server, fields=[("Host", host)] if host else [], local_addr="::1")
    assert seen == [name]


@pytest.mark.parametrize(
    ("status", "said", "expected"), [(503, "", "5"), (503, "60", "60"), (502, "", None)]
)
def test_a_503_of_a_module_says_when_to_come_again(serve, status, said, expected):
    """As the listener's own do; what the module has said of it stays. A 5xx names its request."""

    def on_begin_request(self, context, provider):
        context.response.set_status(status)
        if said:
            context.response.set_header("Retry-After", said)
        return FINISH_REQUEST

    exchange = ask(serve({"Refuser": {"on_begin_request": on_begin_request}}), id=255)
    assert exchange.status == status
    fields = dict(line.split(": ", 1) for line in exchange.block.decode().splitlines())
    assert fields["X-Request-ID"] == "00000000000000ff"
    assert fields.get("Retry-After") == expected
    assert b"00000000000000ff" in exchange.body
