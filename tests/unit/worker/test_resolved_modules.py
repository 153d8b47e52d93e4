"""GL_APPLICATION_RESOLVE_MODULES: modules that others add to one application."""

import sys
import types

import pytest
from fake_exchange import ask, make_server

from was.worker.calls.registration import GlobalModule, HttpModule
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import (
    CONTINUE,
    GlobalNotification,
    Priority,
    RequestNotification,
)

BEGIN = RequestNotification.BEGIN_REQUEST
FILE_NOT_FOUND, INVALID_PARAMETER, ALREADY_EXISTS = 0x80070002, 0x80070057, 0x800700B7
ENTRY = '<globalModules><add name="Engine" image="engine_image" /></globalModules>'


class Factory:
    def __init__(self, name, calls):
        self.name, self.calls, self.terminated = name, calls, 0

    def get_http_module(self, allocator):
        factory = self

        class Module(HttpModule):
            def on_begin_request(self, context, provider):
                factory.calls.append(factory.name)
                return CONTINUE

        return Module()

    def terminate(self):
        self.terminated += 1


@pytest.fixture
def engine(tmp_path):
    """A server with a module that resolves as the test's function says."""
    made = []

    def make(resolve, web_server=""):
        class Engine(GlobalModule):
            def __init__(self, module_id):
                self.id = module_id

            def on_global_application_resolve_modules(self, provider):
                resolve(self.id, provider)

        image = types.ModuleType("engine_image")
        image.register_module = lambda v, info, s: info.set_global_notifications(
            Engine(info.id), GlobalNotification.APPLICATION_RESOLVE_MODULES
        )
        sys.modules["engine_image"] = image
        server = make_server(tmp_path, web_server, global_modules=ENTRY)
        made.append(server)
        return server

    yield make
    sys.modules.pop("engine_image", None)


def test_added_modules_take_the_place_of_their_names(engine):
    """A name with a type in `modules` is resolved, and sorted by its place there; one that is not
    there comes last; a preCondition may leave it out. Factories are terminated once, at the end."""
    calls = []
    factories = {name: Factory(name, calls) for name in ("Late", "First", "Second", "Out")}

    def resolve(parent, provider):
        for name, factory in factories.items():
            condition = "bitness32" if name == "Out" else ""
            provider.register_module(parent, factory, name, "Some.Type", condition, BEGIN, 0)

    server = engine(
        resolve,
        '<modules><add name="First" type="Some.Type" /><add name="Second" type="Some.Type" />'
        '<add name="Unknown" type="Nobody.Resolves.It" /></modules>',
    )
    ask(server)
    assert calls == ["First", "Second", "Late"]
    server.configuration_changed()
    server.stop()
    assert {name: f.terminated for name, f in factories.items()} == {
        "Late": 1,
        "First": 1,
        "Second": 1,
        "Out": 0,
    }


def test_their_priority(engine):
    """set_priority_for_request_notification puts a module before others, by alias or value.

    An alias may be in any letter case, as where globalModules' modules register.
    """
    calls = []

    def resolve(parent, provider):
        for name in ("A", "B"):
            provider.register_module(parent, Factory(name, calls), name, "", "", BEGIN, 0)
        provider.set_priority_for_request_notification("B", BEGIN, "first")
        provider.set_priority_for_request_notification("A", BEGIN, Priority.LAST)

    ask(engine(resolve))
    assert calls == ["B", "A"]


def test_errors_of_registration(engine):
    """What is unknown, nothing to call, a name twice, a priority for nobody: IIS's numbers."""
    found = []

    def error_of(call, *arguments):
        with pytest.raises(HResultError) as caught:
            call(*arguments)
        found.append(caught.value.hresult)

    def resolve(parent, provider):
        factory = Factory("A", [])
        error_of(provider.register_module, 9999, factory, "A", "", "", BEGIN, 0)
        error_of(provider.register_module, parent, None, "A", "", "", BEGIN, 0)
        error_of(provider.register_module, parent, factory, "", "", "", BEGIN, 0)
        error_of(provider.register_module, parent, factory, "A", "", "", 0, 0)
        provider.register_module(parent, factory, "A", "", "", BEGIN, 0)
        error_of(provider.register_module, parent, factory, "A", "", "", BEGIN, 0)
        error_of(provider.set_priority_for_request_notification, "B", BEGIN, "FIRST")
        error_of(provider.set_priority_for_request_notification, "A", BEGIN, "SOON")
        error_of(provider.set_priority_for_request_notification, "A", 1 << 20, "FIRST")
        error_of(provider.register_module, parent, factory, "C", "", "", BEGIN, 1 << 20)

    engine(resolve)
    assert found == [
        FILE_NOT_FOUND,
        INVALID_PARAMETER,
        INVALID_PARAMETER,
        INVALID_PARAMETER,
        ALREADY_EXISTS,
        FILE_NOT_FOUND,
        INVALID_PARAMETER,
        INVALID_PARAMETER,
        INVALID_PARAMETER,
    ]
