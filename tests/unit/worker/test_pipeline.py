"""The order of notifications, and that whatever a module does, the exchange ends exactly once."""

import sys
import threading
import types

import pytest
from fake_exchange import WSGI, FakeExchange, ask, make_request, make_server
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import ask_and_wait, basic

from was.config.password_hash import hash_password
from was.errors import ConfigErrors
from was.ipc.scoreboard import RequestState, Row
from was.worker import server as worker_server
from was.worker.calls.registration import GlobalModule, HttpModule
from was.worker.interfaces.hresult import E_INVALIDARG, HResultError
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    FINISH_REQUEST,
    METHODS,
    PENDING,
    POST_METHODS,
    GlobalNotification,
    Priority,
    RequestNotification,
)

ALL = 0x20000FFF | 0x40000000 | 0x80000000
LAST_TWO = ["on_log_request", "on_post_log_request", "on_end_request", "on_post_end_request"]

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""

HELLO_HANDLER = WSGI.format("hello_app:app")


class Recorder(HttpModule):
    """Writes down what it is called for; `plan` says what it answers where."""

    def __init__(self, calls, plan):
        self.calls = calls
        self.plan = plan

    def on_async_completion(self, context, notification, is_post, provider, info):
        self.calls.append(f"completed {notification.name} {info.completion_bytes}")
        return CONTINUE

    def dispose(self):
        self.calls.append("dispose")


def _method(name):
    def method(self, context, provider):
        self.calls.append(name)
        answer = self.plan.get(name, CONTINUE)
        if isinstance(answer, BaseException):
            raise answer
        return answer(context) if callable(answer) else answer

    return method


for _name in [*METHODS.values(), *POST_METHODS.values()]:
    setattr(Recorder, _name, _method(_name))


class Factory:
    def __init__(self, calls, plan):
        self.calls, self.plan = calls, plan

    def get_http_module(self, allocator):
        self.calls.append("create")
        return Recorder(self.calls, self.plan)

    def terminate(self):
        self.calls.append("terminate")


@pytest.fixture
def record(tmp_path):
    """A server with a recording module, and the list of its calls."""

    def make(plan=None, *, mask=ALL, priority=None, web_server=HELLO_HANDLER, applications=""):
        calls = []
        image = types.ModuleType("recorder_image")

        def register_module(version, info, server):
            assert version == 10
            info.set_request_notifications(Factory(calls, plan or {}), mask, 0xFFF)
            if priority is not None:
                info.set_priority_for_request_notification(mask, priority)

        image.register_module = register_module
        sys.modules["recorder_image"] = image
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "hello_app.py").write_text(HELLO)
        (tmp_path / "site" / "a.txt").write_text("file")
        server = make_server(
            tmp_path,
            '<modules><add name="Recorder" /></modules>' + web_server,
            global_modules='<globalModules><add name="Recorder" image="recorder_image" />'
            "</globalModules>",
            applications=applications,
        )
        return server, calls

    yield make
    sys.modules.pop("recorder_image", None)


def deterministic(*, until=RequestNotification.END_REQUEST):
    names = []
    for bit in DETERMINISTIC:
        if bit <= until:
            names += [METHODS[bit], POST_METHODS[bit]]
    return names


def events(calls):
    others = ("create", "dispose", "on_send_response", "on_map_path")
    return [c for c in calls if c not in others]


def without_execute(names):
    # The recorder is not in the handler's own list of modules.
    return [name for name in names if name != "on_execute_request_handler"]


def test_every_event_in_order_for_a_handler(record):
    """All twelve events with their post-events, one module object, the response last."""
    server, calls = record()
    ask(server)
    assert events(calls) == without_execute(deterministic())
    assert calls[0] == "create"
    assert calls[-2:] == ["on_send_response", "dispose"]


def test_every_event_in_order_for_a_static_file(record):
    """MAP_PATH comes when the file's path is asked for."""
    server, calls = record(web_server="")
    exchange = ask(server, path="/a.txt")
    assert exchange.body == b"file"
    assert events(calls) == without_execute(deterministic())
    assert "on_map_path" in calls


BEFORE_LOG = [
    method
    for bit in DETERMINISTIC
    for method in (METHODS[bit], POST_METHODS[bit])
    if bit < RequestNotification.LOG_REQUEST and method != "on_execute_request_handler"
]


@pytest.mark.parametrize("where", BEFORE_LOG)
def test_finish_leads_to_log_and_end(record, where):
    """FINISH_REQUEST: nothing more before LOG_REQUEST; LOG, END and SEND_RESPONSE always come."""
    server, calls = record({where: FINISH_REQUEST})
    exchange = ask(server)
    expected = without_execute(deterministic())
    assert events(calls) == [*expected[: expected.index(where) + 1], *LAST_TWO]
    assert calls[-2:] == ["on_send_response", "dispose"]
    assert exchange.status == 200
    assert exchange.log


@pytest.mark.parametrize("where", BEFORE_LOG)
def test_an_exception_is_a_finish_with_500(record, where):
    """The same way through, 500.0; a local client sees module and notification."""
    server, calls = record({where: RuntimeError("broken")})
    exchange = ask(server)
    expected = without_execute(deterministic())
    assert events(calls) == [*expected[: expected.index(where) + 1], *LAST_TWO]
    assert (exchange.status, exchange.sub_status) == (500, 0)
    assert b"Recorder" in exchange.body
    assert b"broken" in exchange.body


@pytest.mark.parametrize("answer", [FINISH_REQUEST, RuntimeError("broken")])
@pytest.mark.parametrize("where", LAST_TWO)
def test_in_log_and_end_only_the_rest_of_the_event_is_skipped(record, where, answer):
    """The answer was complete before: it goes out as it is."""
    server, calls = record({where: answer})
    exchange = ask(server)
    assert (exchange.status, exchange.body) == (200, b"hello")
    if where == "on_log_request":
        assert "on_post_log_request" not in calls
    assert "on_end_request" in calls


class WordlessError(Exception):
    """Has no text: to ask for it raises."""

    def __str__(self):
        raise LookupError("no words")

    __repr__ = __str__


@pytest.mark.parametrize("answer", [WordlessError(), lambda _: WordlessError()])
@pytest.mark.parametrize("where", ["on_begin_request", "on_log_request", "on_end_request"])
def test_what_has_no_text_is_refused_as_any_other(record, where, answer):
    """An exception, or an answer, that raises when it is shown: its request ends all the same."""
    server, _ = record({where: answer})
    exchange = ask(server)
    assert exchange.status == (500 if where == "on_begin_request" else 200)


def test_an_exception_at_send_response_is_500(record):
    """A module that guards what leaves must not be passed by."""
    server, _ = record({"on_send_response": RuntimeError("broken")})
    assert ask(server).status == 500


@pytest.mark.parametrize("body", ['[b"hello"]', 'iter([b"hello", b"again"])'])
def test_a_module_may_cut_the_connection_as_the_response_leaves(record, tmp_path, body):
    """ResetConnection in SEND_RESPONSE: nothing is sent, of a whole response or a first block."""

    def cut(context):
        context.response.reset_connection()
        return CONTINUE

    server, _ = record({"on_send_response": cut})
    (tmp_path / "site" / "hello_app.py").write_text(HELLO.replace('[b"hello"]', body))
    assert ask(server).calls == ["reset"]


def test_a_module_may_answer_in_place_of_the_handler(record):
    """Status, fields and body set before FINISH are what is sent."""

    def answer(context):
        context.response.set_status(418, "Teapot", 3, try_skip_custom_errors=True)
        context.response.set_header("X-A", "1")
        context.response.write_entity_chunks([b"tea", b"pot"])
        return FINISH_REQUEST

    server, _ = record({"on_authorize_request": answer})
    exchange = ask(server)
    assert (exchange.status, exchange.sub_status, exchange.body) == (418, 3, b"teapot")
    assert exchange.headers()["x-a"] == "1"


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("existing", ["Auto", "Replace", "PassThrough"])
def test_an_error_page_in_place_of_what_a_module_has_written(record, existing, skips):
    """Auto: unless SetStatus was told to skip custom errors (the IIS reference of httpErrors)."""

    def answer(context):
        context.response.set_status(418, try_skip_custom_errors=skips)
        context.response.write_entity_chunks([b"tea"])
        return FINISH_REQUEST

    errors = f'<httpErrors existingResponse="{existing}" />'
    server, _ = record({"on_authorize_request": answer}, web_server=HELLO_HANDLER + errors)
    exchange = ask(server)
    is_left = existing == "PassThrough" or (existing == "Auto" and skips)
    assert (exchange.status, exchange.body == b"tea") == (418, is_left)


@pytest.mark.parametrize("page", ["FILE", "/page"])
def test_an_error_page_is_not_described_by_what_it_replaces(tmp_path, page):
    """No coding of another body, no validator or file name of it; what is said otherwise stays."""
    application = """
def application(environ, start_response):
    fields = [("Content-Encoding", "gzip"), ("ETag", "x"), ("Cache-Control", "no-cache")]
    fields += [("Content-Disposition", "attachment"), ("Content-Language", "de")]
    start_response("404 Not Found", fields)
    return [b"coded"]
"""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "coding_app.py").write_text(application)
    mode = "Redirect" if page == "/page" else "File"
    errors = f"""<httpErrors existingResponse="Replace" errorMode="Custom"><clear />
      <error statusCode="404" path="{page}" responseMode="{mode}" /></httpErrors>"""
    server = make_server(tmp_path, WSGI.format("coding_app:application") + errors)
    names = set(ask(server).headers())
    assert names - {"location"} == {"content-type", "cache-control"}


@pytest.mark.parametrize(
    ("url", "is_taken"), [("/Shop/b?x=1", True), ("/shop", True), ("/shops", False), ("/a", False)]
)
def test_a_url_out_of_the_application_is_refused_once_that_is_chosen(
    record, tmp_path, url, is_taken
):
    """Else SCRIPT_NAME would be as many letters of the other path; another of its own is taken."""
    seen = []

    def move(context):
        try:
            context.request.set_url(url)
        except HResultError as error:
            seen.append(error.hresult)
        seen.append(context.request.url)
        return CONTINUE

    application = f"""<application path="/shop" applicationPool="pool">
      <virtualDirectory path="/" physicalPath="{tmp_path}/site" /></application>"""
    server, _ = record({"on_begin_request": move}, applications=application)
    ask(server, path="/shop/a", application="/shop")
    assert seen == ([url.partition("?")[0]] if is_taken else [E_INVALIDARG, "/shop/a"])


def test_disabled_notifications_do_not_come(record):
    """For this module and this request only."""

    def disable(context):
        context.disable_notifications(int(RequestNotification.LOG_REQUEST), 0xFFF)
        return CONTINUE

    server, calls = record({"on_begin_request": disable})
    ask(server)
    assert "on_log_request" not in calls
    assert "on_post_log_request" not in calls
    assert "on_end_request" in calls


def test_read_entity_sees_what_is_read(record, tmp_path):
    """RQ_READ_ENTITY is raised after each read, also when nothing is left."""
    with_body = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]
"""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "reading_app.py").write_text(with_body)
    server, calls = record(web_server=WSGI.format("reading_app:app"))
    assert ask(server, method="POST", body=b"abc").body == b"abc"
    assert calls.count("on_read_entity") == 2


def test_pending_leaves_and_a_completion_goes_on(record):
    """post_completion calls on_async_completion on another thread; the request ends there."""
    waiting = threading.Event()
    contexts = []

    def begin(context):
        contexts.append(context)
        return PENDING

    server, calls = record({"on_authorize_request": begin})
    exchange = FakeExchange(make_request())
    server.handle(exchange)
    assert exchange.ends == 0
    end = exchange._end

    def note_end(*args):
        end(*args)
        waiting.set()

    exchange._end = note_end
    contexts[0].post_completion(7)
    assert waiting.wait(60)
    assert exchange.status == 200
    assert "completed AUTHORIZE_REQUEST 7" in calls
    assert calls.index("on_post_authorize_request") > calls.index("completed AUTHORIZE_REQUEST 7")


def test_a_completion_before_pending_is_returned(record):
    """The completion waits for the thread that is still in the module."""

    def begin(context):
        context.indicate_completion(CONTINUE)
        return PENDING

    server, calls = record({"on_authorize_request": begin})
    assert ask(server).status == 200
    assert events(calls) == without_execute(deterministic())


def test_a_completion_too_many_is_not_that_of_the_next_module(record, monkeypatch):
    """Posted twice before the first was told: the second waits for its own."""
    posted, contexts = [], []
    monkeypatch.setattr(worker_server, "run_on_spare_thread", posted.append)
    begin = {"on_begin_request": lambda c: contexts.append(c) or PENDING}
    server, calls = record({**begin, "on_authorize_request": PENDING})
    exchange = FakeExchange(make_request())
    server.handle(exchange)
    [context] = contexts
    context.post_completion(0)
    context.post_completion(0)
    posted.pop()()
    assert (events(calls)[-1], exchange.ends) == ("on_authorize_request", 0)
    context.post_completion(0)
    posted.pop()()
    completed = [call for call in calls if call.startswith("completed")]
    assert completed == ["completed BEGIN_REQUEST 0", "completed AUTHORIZE_REQUEST 0"]
    assert (exchange.ends, exchange.body) == (1, b"hello")


BASIC = f"""<security><authentication>
  <anonymousAuthentication enabled="false" /><basicAuthentication enabled="true" />
  <users><add name="Ana" passwordHash="{hash_password("right")}" /></users>
</authentication></security>{HELLO_HANDLER}"""


@pytest.mark.parametrize("count", [0, 1])
def test_a_completion_too_many_lets_nobody_in(record, count):
    """A module that completes what it does not wait for has not said that a password is right."""
    plan = {"on_begin_request": lambda c: c.post_completion(count) or CONTINUE}
    server, _ = record(plan, web_server=BASIC)
    assert ask_and_wait(server, fields=[basic("Ana", "wrong")]).status == 401


@settings(max_examples=150, deadline=None)
@given(
    plan=st.dictionaries(
        st.sampled_from([*BEFORE_LOG, *LAST_TWO, "on_send_response", "on_map_path"]),
        st.sampled_from(
            [
                FINISH_REQUEST,
                RuntimeError("x"),
                SystemExit(1),
                None,
                lambda c: c.response.flush() or CONTINUE,
                lambda c: c.response.write_entity_chunks([b"z" * 10]) or CONTINUE,
                lambda c: c.response.set_status(404) or FINISH_REQUEST,
                lambda c: c.response.reset_connection() or FINISH_REQUEST,
                lambda c: c.response.disable_buffering() or CONTINUE,
                lambda c: c.set_user(None) or CONTINUE,
                lambda c: c.indicate_completion(CONTINUE) or PENDING,
                lambda c: c.indicate_completion(FINISH_REQUEST) or PENDING,
            ]
        ),
        max_size=4,
    ),
    gone_after=st.sampled_from([-1, 0, 5]),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_exactly_one_end_whatever_modules_do(shared_server, plan, gone_after, method):
    """Any answer or exception in any event, a client that leaves: one END, one dispose."""
    server, calls, current = shared_server
    current.clear()
    current.update(plan)
    calls.clear()
    exchange = FakeExchange(make_request(method=method), gone_after=gone_after)
    server.handle(exchange)
    assert exchange.ends == 1
    assert calls.count("dispose") == calls.count("create") == 1
    assert exchange.words[0] >> 3 == 1 << 8 | 1
    assert exchange.words[0] & 7 >= RequestState.STARTED


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    calls, plan = [], {}
    image = types.ModuleType("shared_recorder")
    image.register_module = lambda version, info, server: info.set_request_notifications(
        Factory(calls, plan), ALL, 0xFFF
    )
    sys.modules["shared_recorder"] = image
    (folder / "site").mkdir()
    (folder / "site" / "shared_hello.py").write_text(HELLO)
    yield (
        make_server(
            folder,
            '<modules><add name="R" /></modules>' + WSGI.format("shared_hello:app"),
            global_modules='<globalModules><add name="R" image="shared_recorder" />'
            "</globalModules>",
        ),
        calls,
        plan,
    )
    sys.modules.pop("shared_recorder")


def test_the_scoreboard_says_how_far_a_request_is(record):
    """With a module not ours: STARTED before the first notification, and the module that runs."""
    seen = {}

    def look(name):
        def answer(context):
            words = context.exchange.words
            seen[name] = (words[0] & 7, Row(tuple(words[:8])).notification, words[1] & 0xFFFF)
            return CONTINUE

        return answer

    plan = {name: look(name) for name in ("on_begin_request", "on_end_request")}
    server, _ = record(plan)
    exchange = ask(server, id=5)
    recorder = server.module_names.index("Recorder") + 1
    assert seen["on_begin_request"] == (RequestState.STARTED, 0x1, recorder)
    assert seen["on_end_request"] == (RequestState.STARTED, 0x800, recorder)
    assert exchange.words[0] == 5 << 11 | 1 << 3 | RequestState.STARTED
    assert exchange.words[2] > 0


@pytest.mark.parametrize("priority", list(Priority))
def test_priorities_order_modules_within_an_event(record, priority):
    """FIRST runs before the anonymous module (LAST) has set a user."""
    seen = []
    plan = {"on_authenticate_request": lambda c: seen.append(c.user) or CONTINUE}
    server, _ = record(plan, mask=2, priority=priority)
    ask(server)
    # Same class as the anonymous module: the place in `modules` decides, and ours is later.
    assert (seen[0] is None) == (priority != Priority.LAST)


def test_without_a_user_401_2(tmp_path):
    """The core requires a user after AUTHENTICATE_REQUEST."""
    off = (
        "<security><authentication><anonymousAuthentication enabled='false' />"
        "</authentication></security>"
    )
    exchange = ask(make_server(tmp_path, off))
    assert (exchange.status, exchange.sub_status) == (401, 2)


def test_a_broken_web_config_is_500_19_for_its_application_only(tmp_path):
    """Details for local requests; the other application goes on."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "web.config").write_text("<configuration><oops></configuration>")
    application = (
        f'<application path="/sub" applicationPool="pool"><virtualDirectory path="/" '
        f'physicalPath="{tmp_path}/sub" /></application>'
    )
    server = make_server(tmp_path, applications=application)
    (tmp_path / "site" / "a.txt").write_text("fine")
    exchange = ask(server, application="/sub", path="/sub/x")
    assert (exchange.status, exchange.sub_status) == (500, 19)
    assert b"web.config" in exchange.body
    assert exchange.log
    remote = ask(server, application="/sub", path="/sub/x", remote_addr="192.0.2.1")
    assert b"web.config" not in remote.body
    assert ask(server, path="/a.txt").body == b"fine"
    (tmp_path / "sub" / "web.config").write_text("<configuration />")
    (tmp_path / "sub" / "x.txt").write_text("repaired")
    server.configuration_changed()
    assert ask(server, application="/sub", path="/sub/x.txt").body == b"repaired"


def test_a_request_for_an_unknown_application_is_given_back(tmp_path):
    """It was another pool's before the listener knew: nothing of it has begun."""
    exchange = ask(make_server(tmp_path), application="/new")
    assert exchange.calls == ["give_back"]
    assert not any(exchange.words)


def test_a_broken_application_host_config_keeps_the_last_good_one(tmp_path):
    """configuration_changed never makes things worse."""
    server = make_server(tmp_path)
    (tmp_path / "site" / "a.txt").write_text("fine")
    (tmp_path / "config" / "applicationHost.config").write_text("<configuration>")
    server.configuration_changed()
    assert ask(server, path="/a.txt").body == b"fine"
    with pytest.raises(ConfigErrors):
        make_server_from(tmp_path)


def test_what_a_changed_site_says_is_in_force(tmp_path):
    """Its limits, log and name, though nothing of its applications has changed."""
    server = make_server(tmp_path)
    (tmp_path / "site" / "a").mkdir()
    (tmp_path / "site" / "a" / "b.txt").write_text("deep")
    assert ask(server, path="/a/b.txt").body == b"deep"
    file = tmp_path / "config" / "applicationHost.config"
    said = '<limits maxUrlSegments="1" /><logFile logExtFileFlags="Method" />'
    text = file.read_text().replace("<bindings>", f"{said}<bindings>", 1)
    file.write_text(text.replace('name="main"', 'name="renamed"', 1))
    server.configuration_changed()
    exchange = ask(server, path="/a/b.txt")
    assert (exchange.status, exchange.sub_status) == (404, 20)
    assert exchange.log == "GET"
    assert server.applications.named("renamed", "/").config_path.endswith("/renamed")


def make_server_from(folder):
    from was.worker.server import WorkerServer

    file = folder / "config" / "applicationHost.config"
    WorkerServer(config_file=file, home=folder, pool="pool", worker_id=1, threads=2).load()


def test_a_new_time_limit_is_that_of_the_applications_that_run(tmp_path):
    """requests/@timeLimit is applied live: no application is made anew for it."""
    server = make_server(tmp_path)
    (application,) = server.applications
    file = tmp_path / "config" / "applicationHost.config"
    limited = '<add name="pool"><requests timeLimit="00:00:07" /></add>'
    file.write_text(file.read_text().replace('<add name="pool" />', limited))
    server.configuration_changed()
    assert list(server.applications) == [application]
    assert application.time_limit_s == 7.0


def test_global_notifications_in_order(tmp_path):
    """Application start, pre-begin of a request, stop listening, stop, clean-up, terminate."""
    calls = []

    class Watcher(GlobalModule):
        def on_global_application_start(self, provider):
            calls.append(f"start {provider.application.path}")

        def on_global_pre_begin_request(self, provider):
            calls.append("pre-begin")
            provider.http_context.request.set_url("/b.txt")

        def on_global_stop_listening(self, provider):
            calls.append(f"stop listening {provider.drain_requests_gracefully()}")

        def on_global_application_stop(self, provider):
            calls.append("stop")

        def on_global_cache_cleanup(self, provider):
            calls.append("clean-up")

        def on_global_configuration_change(self, provider):
            calls.append("change")

        def terminate(self):
            calls.append("terminate")

    image = types.ModuleType("watcher_image")
    mask = 0
    for bit in GlobalNotification:
        mask |= bit
    image.register_module = lambda v, info, s: info.set_global_notifications(Watcher(), mask)
    sys.modules["watcher_image"] = image
    server = make_server(
        tmp_path,
        global_modules='<globalModules><add name="W" image="watcher_image" /></globalModules>',
    )
    (tmp_path / "site" / "b.txt").write_text("b")
    assert ask(server, path="/a.txt").body == b"b"
    server.configuration_changed()
    server.stop_listening(True)
    server.stop()
    expected = ["start /", "pre-begin", "change", "stop listening True", "stop", "clean-up"]
    assert calls == [*expected, "terminate"]
    del sys.modules["watcher_image"]
