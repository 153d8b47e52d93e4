"""GL_ events: who is called, in which order, and what a module's answer or failure changes."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.worker.calls.registration import GlobalModule, ModuleRegistration, ModuleRegistrationInfo
from was.worker.global_modules.events import GlobalEvents
from was.worker.interfaces.providers import EventProvider
from was.worker.notifications import (
    GL_CONTINUE,
    GL_HANDLED,
    GLOBAL_METHODS,
    GlobalNotification,
    Priority,
)

GL = GlobalNotification
_ids = itertools.count(1)


def module(name, calls, answer=GL_CONTINUE, mask=GL.CUSTOM_NOTIFICATION, priority=None):
    """A registration whose module notes its name and answers `answer`, or raises it."""

    def method(self, provider):
        calls.append(name)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    methods = {GLOBAL_METHODS[bit]: method for bit in GL}
    registration = ModuleRegistration(name, next(_ids))
    info = ModuleRegistrationInfo(registration)
    info.set_global_notifications(type("Module", (GlobalModule,), methods)(), mask)
    if priority is not None:
        info.set_priority_for_global_notification(mask, priority)
    return registration


def events_of(*registrations):
    events = GlobalEvents()
    events.subscribe(registrations)
    return events


def raised(events, bit=GL.CUSTOM_NOTIFICATION):
    return events.raise_event(bit, EventProvider())


@given(st.lists(st.sampled_from(Priority), max_size=8))
def test_priority_then_place_in_global_modules(priorities):
    """GL_ events are sorted by priority, then by the place in globalModules."""
    calls = []
    raised(events_of(*(module(n, calls, priority=p) for n, p in enumerate(priorities))))
    assert calls == sorted(range(len(priorities)), key=lambda n: (priorities[n], n))


@pytest.mark.parametrize("bit", list(GL))
def test_only_subscribers_are_called(bit):
    """A module hears of what is in its mask, and of nothing else."""
    calls = []
    events = events_of(module("one", calls, mask=bit), module("none", calls, mask=0))
    for other in GL:
        assert events.is_wanted(other) == (other is bit)
        raised(events, other)
    assert calls == ["one"]


def test_handled_ends_the_round():
    """GL_NOTIFICATION_HANDLED: nobody else is called, and the raiser learns of it."""
    calls = []
    events = events_of(
        module("first", calls), module("second", calls, GL_HANDLED), module("third", calls)
    )
    assert raised(events) is GL_HANDLED
    assert calls == ["first", "second"]


@pytest.mark.parametrize("fault", [RuntimeError("broken"), SystemExit(3), "HANDLED", 7, None])
def test_a_faulty_module_keeps_nothing_from_the_others(fault, capfd):
    """An exception, and a value that is no status, count as CONTINUE and are said; once."""
    calls = []
    events = events_of(module("faulty", calls, fault), module("next", calls))
    for _ in range(2):
        assert raised(events) is GL_CONTINUE
    assert calls == ["faulty", "next"] * 2
    said = capfd.readouterr().err.count("module_failed")
    assert said == (2 if isinstance(fault, BaseException) else int(fault is not None))


def test_a_missing_method_is_continue():
    """A module that registers for what it has no method for is passed over."""
    registration = ModuleRegistration("bare", next(_ids))
    ModuleRegistrationInfo(registration).set_global_notifications(GlobalModule(), 0x20)
    assert raised(events_of(registration), GL.HEALTH_CHECK) is GL_CONTINUE


def test_nothing_is_raised_after_the_end():
    """Modules that are terminated hear nothing."""
    calls = []
    events = events_of(module("one", calls))
    events.close()
    assert raised(events) is GL_CONTINUE
    assert calls == []


def test_order_does_not_depend_on_ids():
    """The place in globalModules counts, not the number that a module happened to get."""
    calls = []
    registrations = [module(n, calls) for n in range(6)]
    random.Random(5).shuffle(registrations)
    raised(events_of(*registrations))
    assert calls == [int(r.name) for r in registrations]
