"""Which requests an ASGI application is busy with: those that run, and none that is over."""

import asyncio
import gc
import threading
import weakref
from types import SimpleNamespace

import pytest
from fake_exchange import ASGI, FakeExchange, ask_later, make_request, make_server
from harness.server import wait_for

from was.worker.asgi import loop as loop_module
from was.worker.asgi import run as run_module
from was.worker.asgi.loop import LoopThread
from was.worker.asgi.run import ClientDisconnectedError, RequestRun


class Run(RequestRun, eq=False):
    """A request whose application needs no messages."""

    def scope(self):
        return {}

    async def receive(self):
        return {}

    async def send(self, message):
        pass

    def check_whole(self):
        pass


class Gate:
    """An application that goes on as often as it is let."""

    def __init__(self, ending):
        self.ending = ending
        self.waiting = []

    async def __call__(self, scope, receive, send):
        for _ in range(2):
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            await future
        if self.ending == "raises":
            raise LookupError("on purpose")


@pytest.fixture(scope="module")
def loop():
    thread = LoopThread(4, lambda detail: None)
    yield thread
    thread.stop()


def make_run(loop, application):
    hosted = SimpleNamespace(
        application=application, running=set(), lingers=0, reference="gate:application"
    )
    exchange = FakeExchange(make_request())
    context = SimpleNamespace(
        proof=8,
        request_id="1",
        is_cut=False,
        is_handled=False,
        exchange=exchange,
        message=exchange.request,
        indicate_completion=lambda status: None,
    )
    exchange.is_overdue = False
    exchange.started = True  # so that what is raised is a cut, and asks for no page
    return Run(context, exchange, hosted, loop, can_end_here=True)


def begin_at_once(loop, run):
    """As the loop does with what it receives while it leads."""

    def begin():
        loop.hold_calls()
        loop.start_here(run)
        loop.is_receiving = False
        loop.take_calls()

    loop.submit(begin)


@pytest.mark.parametrize("begin", [LoopThread.submit_request, begin_at_once])
@pytest.mark.parametrize("ending", ["returns", "raises", "is cancelled"])
def test_a_request_of_several_steps_runs_until_its_application_is_done(loop, begin, ending):
    """It is among those that run from its first wait on, and not after its end, however it ends."""
    gate = Gate(ending)
    run = make_run(loop, gate)
    running = run.hosted.running
    begin(loop, run)
    for is_last in (False, True):
        wait_for("its wait", lambda: gate.waiting)
        wait_for("it among those that run", lambda: run in running)
        future = gate.waiting.pop()
        if is_last and ending == "is cancelled":
            loop.submit(future.cancel)
        else:
            loop.submit(lambda future=future: future.set_result(None))
    wait_for("its end", lambda: run.is_over and run.task.done())
    assert running == set()


def test_a_request_that_is_cancelled_before_its_first_step_is_counted_out(loop):
    """Its task ends without a step; its request ends, and leaves its room to another."""
    for _ in range(2):
        run = make_run(loop, None)

        def begin(run=run):
            LoopThread.submit_request(loop, run)
            loop.take_calls()  # its task is made, and takes its step when this has returned
            run.exchange.is_overdue = True
            run._take_news()
            run._take_news()

        loop.submit(begin)
        wait_for("its end", lambda run=run: run.is_over and run.task.done())
        assert run.context.is_cut
        assert run.hosted.running == set()
    assert loop._active == 0


def is_answered_at_once(loop, hosted):
    """Whether an application's only step is taken within the handler's call."""
    run, seen, done = make_run(loop, None), [], threading.Event()
    run.hosted = hosted

    def begin():
        loop.hold_calls()
        loop.start_here(run)
        seen.append(run.is_over)
        loop.is_receiving = False
        loop.take_calls()
        done.set()

    loop.submit(begin)
    assert done.wait(10)
    wait_for("its end", lambda: run.is_over)
    return seen.pop()


def test_an_application_that_lingers_does_so_for_a_while(loop, monkeypatch):
    """A step that took long, whoever's fault it was, does not slow down all requests to come."""

    async def application(scope, receive, send):
        pass

    hosted = make_run(loop, application).hosted
    monkeypatch.setattr(loop_module, "LINGERING_REQUESTS", 2)
    monkeypatch.setattr(loop_module, "LINGER_S", -1.0)
    assert is_answered_at_once(loop, hosted)
    monkeypatch.setattr(loop_module, "LINGER_S", float("inf"))
    assert [is_answered_at_once(loop, hosted) for _ in range(4)] == [False, False, True, True]


PAUSES = """
import asyncio
async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    for _ in range(int(scope["query_string"])):
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})
"""
HASTY = """
from was.api import CONTINUE, HttpModule, HttpModuleFactory, RequestNotification

class Hasty(HttpModule):
    def on_begin_request(self, context, provider):
        context.post_completion(0)
        return CONTINUE

class Factory(HttpModuleFactory):
    def get_http_module(self, allocator):
        return Hasty()

def register_module(server_version, registration_info, http_server):
    registration_info.set_request_notifications(Factory(), RequestNotification.BEGIN_REQUEST, 0)
"""


def make_site(folder, web_server="", **parts):
    (folder / "site").mkdir()
    (folder / "site" / "pauses.py").write_text(PAUSES)
    return make_server(folder, ASGI.format("pauses:application") + web_server, **parts)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = make_site(tmp_path_factory.mktemp("asgi"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hasty")
    (folder / "hasty.py").write_text(HASTY)
    image = f'<add name="Hasty" image="{folder}/hasty.py" />'
    listed = '<modules><add name="Hasty" /></modules>'
    server = make_site(folder, listed, global_modules=f"<globalModules>{image}</globalModules>")
    yield server
    server.stop()


def test_a_completion_too_many_takes_no_answer_away(hasty):
    """A module has completed what it does not wait for: the application is waited for."""
    assert [ask_later(hasty, query=str(n)).body for n in range(4)] == [b"x"] * 4


def test_what_is_over_is_forgotten(server):
    """Nothing of a worker keeps requests that are over, whether they took one step or several."""
    exchanges = [weakref.ref(ask_later(server, query=str(n % 4))) for n in range(20)]

    def left():
        gc.collect()
        return [exchange for exchange in exchanges if exchange() is not None]

    # The one that came last may still be in somebody's hands.
    wait_for("the end of all but one", lambda: len(left()) <= 1)


class OwnName(Exception):  # noqa: N818 as Starlette's ClientDisconnect
    """What a framework makes of it."""


def departed():
    return ClientDisconnectedError("the client has gone")


def renamed():
    try:
        try:
            raise departed()
        except OSError:
            raise OwnName from None
    except OwnName as error:
        return error


@pytest.mark.parametrize(
    ("error", "events"),
    [
        (departed(), []),
        (ExceptionGroup("tasks", [departed(), ExceptionGroup("", [departed()])]), []),
        (renamed(), ["client_left"]),
        (ExceptionGroup("tasks", [departed(), renamed()]), ["client_left"]),
        (ExceptionGroup("tasks", [departed(), LookupError()]), ["application_error"]),
        (LookupError(), ["application_error"]),
    ],
)
def test_a_client_that_leaves_is_no_error_of_the_application(loop, monkeypatch, error, events):
    """What frameworks raise when send() has refused has no traceback; what else they raise has."""
    said = []
    monkeypatch.setattr(run_module, "log", lambda event, **fields: said.append(event))
    monkeypatch.setattr(run_module, "log_exception", lambda event, *_, **fields: said.append(event))
    make_run(loop, None).failed(error)
    assert said == events


RAISING = """
class WordlessError(Exception):
    def __str__(self):
        raise LookupError("no words")

def chain(length):
    error = before = ValueError("on purpose")
    for _ in range(length):
        before.__cause__ = before = ValueError("before")
    return error

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/wordless":
        raise WordlessError
    if scope["path"] == "/itself":
        error = ValueError("on purpose")
        raise error from error
    raise chain(3000)
"""


@pytest.fixture(scope="module")
def raising(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raising")
    (folder / "site").mkdir()
    (folder / "site" / "raising.py").write_text(RAISING)
    server = make_server(folder, ASGI.format("raising:app"))
    yield server
    server.stop()


@pytest.mark.parametrize("path", ["/wordless", "/itself", "/long"])
def test_what_an_application_raises_is_500_whatever_it_is(raising, path):
    """An exception without words, one raised from itself, one of thousands: never an empty 200."""
    assert ask_later(raising, path=path).status == 500
