"""Trace events: who hears of which, and the pipeline's own."""

import sys
import threading
import types

import pytest
from fake_exchange import FakeExchange, ask, make_request, make_server

from was.worker.calls.registration import GlobalModule, HttpModule
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    PENDING,
    GlobalNotification,
    RequestNotification,
)
from was.worker.tracing.trace import (
    WWW_GLOBAL,
    WWW_SERVER,
    TraceArea,
    TraceConfiguration,
    TraceEvent,
)

INVALID_PARAMETER, NOT_FOUND, NOT_SUPPORTED = 0x80070057, 0x80070490, 0x80070032
BEGIN = RequestNotification.BEGIN_REQUEST
EVERYTHING = TraceConfiguration(WWW_SERVER, verbosity=5)


class World:
    """A module that listens to trace events, and one that runs in BEGIN_REQUEST."""

    def __init__(self, folder, begin=lambda context: CONTINUE, *, listens=True):
        world = self
        self.heard = []

        class Listener(GlobalModule):
            def on_global_trace_event(self, provider):
                world.heard.append(provider.trace_event)
                world.provider = provider
                # Not heard: events within the event.
                world.http.trace_context.quick_trace("within")

        class Module(HttpModule):
            def on_begin_request(self, context, provider):
                return begin(context)

            def on_async_completion(self, *_):
                return CONTINUE

        class Factory:
            def get_http_module(self, allocator):
                return Module()

            def terminate(self):
                pass

        def register_module(version, info, http):
            self.http, self.id = http, info.id
            info.set_request_notifications(Factory(), BEGIN, 0)
            if listens:
                info.set_global_notifications(Listener(), GlobalNotification.TRACE_EVENT)

        image = types.ModuleType("tracing_image")
        image.register_module = register_module
        sys.modules["tracing_image"] = image
        try:
            self.server = make_server(
                folder,
                '<modules><add name="Tracer" /></modules>',
                global_modules='<globalModules><add name="Tracer" image="tracing_image" />'
                "</globalModules>",
            )
        finally:
            del sys.modules["tracing_image"]

    def want(self, *configurations):
        self.http.trace_context.set_trace_configuration(self.id, configurations)

    def names(self):
        return [event.event_name for event in self.heard]

    def of_tracer(self):
        """Events about our module: name, notification, and what came of it."""
        return [
            (e.event_name, e.items["Notification"], e.items.get("NotificationStatus"))
            for e in self.heard
            if e.items.get("ModuleName") == "Tracer"
        ]


def is_traced(calls):
    """Whether the core tells of the end: a step of its own, which it has for nothing else."""
    last = calls.closing[-1].steps[-1] if calls.closing else None
    return last is not None and last.registration is None


def test_nobody_pays_who_does_not_listen(tmp_path):
    """Without a subscriber of GL_TRACE_EVENT the call lists are plain; with one that has asked for
    nothing no event is raised."""
    world = World(tmp_path, listens=False)
    (application,) = world.server.applications
    assert not is_traced(application.calls)
    world = World(tmp_path)
    (application,) = world.server.applications
    assert is_traced(application.calls)
    ask(world.server)
    assert world.heard == []


def test_the_pipelines_own_events(tmp_path):
    """Start and end of the request around start and end of each module, with what IIS's events
    carry; the same activity id in all of them."""
    world = World(tmp_path)
    (tmp_path / "site" / "a.txt").write_text("file")
    world.want(EVERYTHING)
    ask(world.server, path="/a.txt", id=0x123)
    names = world.names()
    assert names[0] == "GENERAL_REQUEST_START"
    assert "GENERAL_REQUEST_END" in names
    assert world.of_tracer() == [
        ("NOTIFY_MODULE_START", 1, None),
        ("NOTIFY_MODULE_END", 1, CONTINUE),
    ]
    started = [e.items["ModuleName"] for e in world.heard if e.event_name == "NOTIFY_MODULE_START"]
    assert "StaticFileModule" in started
    ids = {event.items["ContextId"] for event in world.heard}
    assert ids == {"00000000-0000-0000-0000-000000000123"}
    end = next(e for e in world.heard if e.event_name == "GENERAL_REQUEST_END")
    assert end.items["HttpStatus"] == 200
    assert world.heard[0].items["RequestURL"] == "/a.txt"


def test_an_error_status_is_told(tmp_path):
    """MODULE_SET_RESPONSE_ERROR_STATUS names module, status and error."""

    def begin(context):
        context.response.set_status(403, "No", 14, 0x80070005)
        return FINISH_REQUEST

    world = World(tmp_path, begin)
    world.want(TraceConfiguration(WWW_SERVER, areas=TraceArea.MODULE, verbosity=3))
    ask(world.server)
    errors = [e.items for e in world.heard if e.event_name == "MODULE_SET_RESPONSE_ERROR_STATUS"]
    assert len(errors) == 1
    assert errors[0]["ModuleName"] == "Tracer"
    assert (errors[0]["HttpStatus"], errors[0]["HttpSubStatus"]) == (403, 14)
    assert errors[0]["ErrorCode"] == 0x80070005
    assert set(world.names()) == {"MODULE_SET_RESPONSE_ERROR_STATUS"}


def test_a_completion_is_told(tmp_path):
    """NOTIFY_MODULE_COMPLETION of the module that was pending."""
    ended = threading.Event()

    def begin(context):
        context.post_completion(5)
        return PENDING

    class Exchange(FakeExchange):
        def _end(self, *arguments):
            super()._end(*arguments)
            ended.set()

    world = World(tmp_path, begin)
    world.want(EVERYTHING)
    world.server.handle(Exchange(make_request()))
    assert ended.wait(60)
    assert ("NOTIFY_MODULE_COMPLETION", 1, None) in world.of_tracer()
    assert ("NOTIFY_MODULE_END", 1, PENDING) in world.of_tracer()


def test_configuration_of_one_request(tmp_path):
    """Set on the request's trace context it holds for that request alone."""

    def begin(context):
        if context.query:
            context.trace_context.set_trace_configuration(world.id, [EVERYTHING])
            context.trace_context.quick_trace("one", "two", 0x80004005)
        else:
            context.trace_context.quick_trace("unheard")
        return CONTINUE

    world = World(tmp_path, begin)
    ask(world.server, query="traced")
    assert "QUICK_TRACE" in world.names()
    quick = next(e for e in world.heard if e.event_name == "QUICK_TRACE")
    assert quick.items == {"Text1": "one", "Text2": "two", "ErrorCode": 0x80004005}
    world.heard.clear()
    ask(world.server)
    assert world.heard == []


@pytest.mark.parametrize(
    ("configuration", "is_heard"),
    [
        (TraceConfiguration(WWW_SERVER), True),
        (TraceConfiguration("{" + WWW_SERVER.lower() + "}"), True),
        (TraceConfiguration(WWW_SERVER, areas=TraceArea.CACHE), True),
        (TraceConfiguration(WWW_SERVER, areas=TraceArea.CGI), False),
        (TraceConfiguration(WWW_SERVER, verbosity=2), False),
        (TraceConfiguration(WWW_GLOBAL), False),
    ],
)
def test_who_wants_what(tmp_path, configuration, is_heard):
    """Provider, area and level decide."""
    world = World(tmp_path)
    world.want(configuration)
    world.http.trace_context.raise_trace_event(
        TraceEvent("MINE", {"a": 1}, TraceArea.CACHE, verbosity=3)
    )
    assert world.names() == (["MINE"] if is_heard else [])
    if is_heard:
        assert world.provider.check_subscription(world.id)
        assert not world.provider.check_subscription(world.id + 1)
        with pytest.raises(HResultError) as caught:
            world.provider.get_current_http_request_context()
        assert caught.value.hresult == NOT_SUPPORTED


def test_configurations_taken_together(tmp_path):
    """GetTraceConfiguration: all areas and the highest level; off when nobody listens."""
    world = World(tmp_path)
    trace = world.http.trace_context
    assert not trace.get_trace_configuration(WWW_SERVER).provider_enabled
    world.want(TraceConfiguration(WWW_SERVER, areas=2, verbosity=3))
    trace.set_trace_configuration(999, [TraceConfiguration(WWW_SERVER, areas=4, verbosity=5)])
    found = trace.get_trace_configuration(WWW_SERVER)
    assert (found.areas, found.verbosity, found.provider_enabled) == (6, 5, True)
    world.want(TraceConfiguration(WWW_SERVER, provider_enabled=False))
    assert trace.get_trace_configuration(WWW_SERVER).areas == 4


@pytest.mark.parametrize(
    ("configuration", "hresult"),
    [
        (TraceConfiguration(""), INVALID_PARAMETER),
        (TraceConfiguration(WWW_SERVER, provider_enabled=False), NOT_FOUND),
    ],
)
def test_wrong_configurations(tmp_path, configuration, hresult):
    """No provider; switching off what is not on."""
    with pytest.raises(HResultError) as caught:
        World(tmp_path).want(configuration)
    assert caught.value.hresult == hresult
