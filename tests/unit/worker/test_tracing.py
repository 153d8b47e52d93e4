"""TracingModule: what happens to requests for the URLs of httpTracing is in the pool's log."""

import sys
import types

from fake_exchange import ask, make_server

from was.worker.calls.registration import ApplicationModuleFactory, HttpModule
from was.worker.notifications import CONTINUE, RequestNotification

SECTION = """<httpTracing><traceUrls>
  <add value="/a.txt" /><add value="/shop/*" /></traceUrls></httpTracing>"""


def events(text, *, of=""):
    lines = [line for line in text.splitlines() if " request_trace " in line]
    return [line.partition(" trace=")[2].split()[0] for line in lines if of in line]


def test_the_events_of_a_traced_url(tmp_path, capfd):
    """From the first to the last, each call of a module between; other URLs leave no line."""
    (tmp_path / "site").mkdir()
    server = make_server(tmp_path, SECTION)
    capfd.readouterr()
    assert ask(server, path="/A.txt").status == 404
    text = capfd.readouterr().err
    traced = events(text)
    assert traced[0] == "GENERAL_REQUEST_START"
    assert traced[-3:] == ["GENERAL_REQUEST_END", "NOTIFY_MODULE_START", "NOTIFY_MODULE_END"]
    assert events(text, of="HttpStatus=404") == ["GENERAL_REQUEST_END"]
    (tmp_path / "site" / "a.txt").write_text("a")
    assert ask(server, path="/a.txt").status == 200
    text = capfd.readouterr().err
    handler = events(text, of="ModuleName=StaticFileModule")
    assert handler == ["NOTIFY_MODULE_START", "NOTIFY_MODULE_END"]
    assert events(text, of="HttpStatus=200") == ["GENERAL_REQUEST_END"]
    ask(server, path="/shop/x/y")
    assert events(capfd.readouterr().err)
    ask(server, path="/b.txt")
    assert events(capfd.readouterr().err) == []


def test_what_modules_raise_is_among_them(tmp_path, capfd):
    """IHttpTraceContext of the request: its events, whoever raises them, at any level."""

    class Telling(HttpModule):
        def on_authorize_request(self, context, provider):
            context.trace_context.quick_trace("here it is", "now", 5, level=5)
            return CONTINUE

    image = types.ModuleType("image_telling")
    mask = RequestNotification.AUTHORIZE_REQUEST
    factory = ApplicationModuleFactory(lambda application: Telling())
    image.register_module = lambda _, info, __: info.set_request_notifications(factory, mask, 0)
    sys.modules["image_telling"] = image
    modules = """<globalModules><add name="Telling" image="image_telling" /></globalModules>
        <modules><add name="Telling" /></modules>"""
    server = make_server(tmp_path, SECTION + modules)
    capfd.readouterr()
    ask(server, path="/a.txt")
    assert events(capfd.readouterr().err, of="here it is") == ["QUICK_TRACE"]
    ask(server, path="/b.txt")
    assert events(capfd.readouterr().err) == []


def test_without_urls_there_is_no_step(tmp_path):
    """The default costs nothing: plain call lists, and no call of the module."""
    (application,) = make_server(tmp_path).applications
    runs = [*application.calls.head, *application.calls.closing]
    steps = [step for run in runs for step in run.steps]
    assert not [s for s in steps if s.registration and s.registration.name == "TracingModule"]
