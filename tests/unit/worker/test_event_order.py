"""The documented order of notifications, exact, for each way that a request may take.

A recording module is subscribed to everything, first in `modules` and alone in the handler's list
where it handles; what it writes down is compared as a whole.
"""

import sys
import threading
import types

import pytest
from fake_exchange import FakeExchange, ask, make_request, make_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import WaitingExchange

from was.worker.calls.http_module import HttpModule
from was.worker.children.requests import CloneFlag
from was.worker.exchange import ClientGoneError
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    FINISH_REQUEST,
    METHODS,
    PENDING,
    POST_METHODS,
    RequestNotification,
)

EVERYTHING = sum(RequestNotification)
ORDER = [name for bit in DETERMINISTIC for name in (METHODS[bit], POST_METHODS[bit])]
CLOSING = ORDER[-4:]
BEFORE = ORDER[:-4]
HANDLERS = """<modules><add name="Recorder" /></modules>{more}<handlers>
  <add name="recorder" path="/handled*" verb="*" modules="Recorder" requireAccess="None" />
</handlers>"""


class World:
    """What is recorded, and what the recorder answers: {method: answer, error or function}."""

    def __init__(self):
        self.calls = []
        self.plan = {}
        self.alive = 0
        self.made = 0


class Recorder(HttpModule):
    def __init__(self, world):
        self.world = world
        self.is_disposed = False
        world.alive += 1
        world.made += 1

    def note(self, context, name):
        assert not self.is_disposed, f"{name} after dispose"
        mark = "" if context.parent_context is None else "child "
        self.world.calls.append(mark + name)
        answer = self.world.plan.get(mark + name, CONTINUE)
        if isinstance(answer, BaseException):
            raise answer
        return answer(context) if callable(answer) else answer

    def on_execute_request_handler(self, context, provider):
        context.response.write_entity_chunks([b"recorded"])
        context.set_request_handled()
        return self.note(context, "on_execute_request_handler")

    def on_async_completion(self, context, notification, is_post, provider, info):
        table = POST_METHODS if is_post else METHODS
        assert self.note(context, f"completed {table[notification]}") == CONTINUE
        return CONTINUE

    def dispose(self):
        assert not self.is_disposed
        self.is_disposed = True
        self.world.alive -= 1
        self.world.calls.append("dispose")


def _method(name):
    return lambda self, context, provider: self.note(context, name)


for _name in (*METHODS.values(), *POST_METHODS.values()):
    if _name != "on_execute_request_handler":
        setattr(Recorder, _name, _method(_name))


def make_world(folder, more=""):
    world = World()

    class Factory:
        def get_http_module(self, allocator):
            return Recorder(world)

        def terminate(self):
            pass

    image = types.ModuleType("order_image")
    image.register_module = lambda version, info, server: info.set_request_notifications(
        Factory(), EVERYTHING, EVERYTHING
    )
    sys.modules["order_image"] = image
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "a.txt").write_text("0123456789")
    (folder / "site" / "index.html").write_text("default")
    world.server = make_server(
        folder,
        HANDLERS.format(more=more),
        global_modules='<globalModules><add name="Recorder" image="order_image" /></globalModules>',
    )
    return world


@pytest.fixture
def world(tmp_path):
    yield make_world(tmp_path)
    del sys.modules["order_image"]


def without_map_path(calls):
    return [call for call in calls if not call.endswith("on_map_path")]


HANDLED = [*ORDER, "on_send_response", "dispose"]


def test_a_handler(world):
    """All twelve events, each with its post-event, then the response, then disposal."""
    assert ask(world.server, path="/handled").body == b"recorded"
    assert world.calls == HANDLED


FILE = [call for call in HANDLED if call != "on_execute_request_handler"]


@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({}, 200, b"0123456789"),
        ({"method": "HEAD"}, 200, b""),
        ({"fields": [("Range", "bytes=2-3")]}, 206, b"23"),
        ({"fields": [("Range", "bytes=2-3,5-6")]}, 206, None),
        ({"fields": [("Range", "bytes=99-")]}, 416, None),
    ],
)
def test_a_static_file(world, changes, status, body):
    """The recorder is not in the handler's list; the path is mapped once, by the file's handler.

    HEAD and ranges take the same way.
    """
    exchange = ask(world.server, path="/a.txt", **changes)
    assert exchange.status == status
    assert body is None or exchange.body == body
    assert without_map_path(world.calls) == FILE
    assert world.calls.count("on_map_path") >= 1


def test_keep_alive(world):
    """The second request of a connection has a module object of its own."""
    for _ in range(2):
        ask(world.server, path="/handled")
    assert world.calls == HANDLED * 2
    assert (world.made, world.alive) == (2, 0)


@pytest.mark.parametrize("where", BEFORE)
def test_finish_in_each_event(world, where):
    """Nothing more of the event and before LOG_REQUEST; the rest always comes."""
    world.plan[where] = FINISH_REQUEST
    assert ask(world.server, path="/handled").status == 200
    rest = [*CLOSING, "on_send_response", "dispose"]
    assert world.calls == [*ORDER[: ORDER.index(where) + 1], *rest]


@pytest.mark.parametrize("where", CLOSING)
def test_finish_in_the_closing_events(world, where):
    """The rest of that event is skipped, END_REQUEST is reached."""
    world.plan[where] = FINISH_REQUEST
    assert ask(world.server, path="/handled").body == b"recorded"
    skipped = {"on_log_request": ["on_post_log_request"], "on_end_request": ["on_post_end_request"]}
    assert world.calls == [call for call in HANDLED if call not in skipped.get(where, [])]


@pytest.mark.parametrize("where", BEFORE)
def test_an_error_in_each_event(world, where):
    """As FINISH_REQUEST, with 500.0."""
    world.plan[where] = RuntimeError("broken")
    exchange = ask(world.server, path="/handled")
    assert (exchange.status, exchange.sub_status) == (500, 0)
    rest = [*CLOSING, "on_send_response", "dispose"]
    # The page that says so shows the path.
    assert without_map_path(world.calls) == [*ORDER[: ORDER.index(where) + 1], *rest]


@pytest.mark.parametrize("where", ORDER)
def test_pending_in_each_event(world, where):
    """The request stands until the completion; then the module is asked, and all goes on."""
    left = threading.Event()

    def pend(context):
        def complete():
            assert left.wait(60)
            context.post_completion(1)

        threading.Thread(target=complete).start()
        return PENDING

    world.plan[where] = pend
    exchange = WaitingExchange(make_request(path="/handled"))
    world.server.handle(exchange)
    assert world.calls[-1] == where
    assert not exchange.ends
    left.set()
    assert exchange.ended.wait(60)
    wait_until(lambda: world.calls[-1] == "dispose")
    at = HANDLED.index(where) + 1
    assert world.calls == [*HANDLED[:at], f"completed {where}", *HANDLED[at:]]


def wait_until(condition):
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not in a minute")


def test_a_child_request(world):
    """The child's events lie within the parent's, with an object of its own; it sends nothing."""

    def execute(context):
        child = context.clone_context(CloneFlag.BASICS)
        assert context.execute_request(True, child) is False
        return CONTINUE

    world.plan["on_acquire_request_state"] = execute
    exchange = ask(world.server, path="/handled")
    assert exchange.body == b"recordedrecorded"
    at = ORDER.index("on_acquire_request_state") + 1
    child = [f"child {name}" for name in ORDER]
    assert world.calls == [*HANDLED[:at], *child, "dispose", *HANDLED[at:]]
    assert (world.made, world.alive) == (2, 0)


def test_a_default_document(world):
    """A folder's document is a child of the request for the folder."""
    assert ask(world.server, path="/").body == b"default"
    events = without_map_path(world.calls)
    child = [f"child {name}" for name in ORDER if name != "on_execute_request_handler"]
    at = events.index("child on_begin_request")
    assert events[at : at + len(child)] == child
    assert [call for call in events if not call.startswith("child ")] == [
        *FILE[: FILE.index("on_post_execute_request_handler")],
        "dispose",
        *FILE[FILE.index("on_post_execute_request_handler") :],
    ]


def test_a_client_that_goes_away(world):
    """A flush that fails ends the handler; LOG_REQUEST and END_REQUEST come, nothing is sent."""

    def flush(context):
        context.response.flush()
        raise AssertionError("nobody reads this")

    world.plan["on_execute_request_handler"] = flush
    exchange = FakeExchange(make_request(path="/handled"), gone_after=0)
    world.server.handle(exchange)
    assert exchange.ends == 1
    assert exchange.calls[-1] == "abort"
    at = ORDER.index("on_execute_request_handler") + 1
    assert world.calls == [*ORDER[:at], "on_send_response", *CLOSING, "dispose"]


def test_a_client_that_goes_away_while_its_body_is_read(world):
    """The read raises; the module's request is over as with FINISH_REQUEST, and cut."""
    exchange = FakeExchange(make_request(path="/handled", method="POST", body_length=5))

    def read(size):
        exchange.gone = True
        raise ClientGoneError("gone")

    exchange.read = read
    world.plan["on_begin_request"] = lambda context: context.request.read_entity_body(5)
    world.server.handle(exchange)
    assert (exchange.ends, exchange.calls) == (1, ["abort"])
    assert world.calls == ["on_begin_request", *CLOSING, "dispose"]


def test_each_flush_raises_send_response(world):
    """Once for what is flushed, once for the rest; the first has the headers."""
    first = []
    world.plan["on_post_execute_request_handler"] = lambda context: context.response.flush()
    world.plan["on_send_response"] = lambda context: first.append(
        context.response.headers_being_sent
    )
    assert ask(world.server, path="/handled").body == b"recorded"
    assert first == [True, False]
    assert world.calls.count("on_send_response") == 2


PROFILE = '<add extension=".x" policy="CacheForTimePeriod" duration="00:10:00" />'


def test_a_cached_answer(tmp_path):
    """A hit ends the request at RESOLVE_REQUEST_CACHE, where HttpCacheModule stands in front."""
    world = make_world(tmp_path, f"<caching><profiles>{PROFILE}</profiles></caching>")
    for _ in range(2):
        world.calls.clear()
        assert ask(world.server, path="/handled.x").body == b"recorded"
    before = ORDER[: ORDER.index("on_resolve_request_cache")]
    assert without_map_path(world.calls) == [*before, *CLOSING, "on_send_response", "dispose"]
    del sys.modules["order_image"]


# ── properties ──────────────────────────────────────────────────────────────────────────────────

ANSWERS = st.one_of(
    st.sampled_from([CONTINUE, FINISH_REQUEST, None, True, 5, "no", object()]),
    st.builds(RuntimeError, st.just("x")),
    st.just(SystemExit(1)),
    st.just(
        lambda context: (
            (context.post_completion(0), context.indicate_completion(CONTINUE))[0] or CONTINUE
        )
    ),
    st.just(lambda context: (context.post_completion(0), PENDING)[1]),
    st.just(lambda context: (context.response.flush(), CONTINUE)[1]),
    st.just(lambda context: context.run_child(context.clone_context(1)) or CONTINUE),
    st.just(lambda context: context.disable_notifications(0xFFF, 0xFFF) or CONTINUE),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    plan=st.dictionaries(
        st.sampled_from([*ORDER, "on_send_response", "on_map_path"]), ANSWERS, max_size=5
    ),
    path=st.sampled_from(["/handled", "/a.txt", "/", "/nothing"]),
)
def test_whatever_a_module_does_the_request_ends_once(world, plan, path):
    """One answer; each object is disposed of once and not called after it; the worker lives."""
    world.calls.clear()
    world.plan = plan
    exchange = WaitingExchange(make_request(path=path))
    world.server.handle(exchange)
    assert exchange.ended.wait(60)
    wait_until(lambda: world.alive == 0)
    assert exchange.ends == 1
    world.plan = {}
    assert ask(world.server, path="/handled").body == b"recorded"
