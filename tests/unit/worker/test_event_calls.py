"""What the scoreboard says while a module of a run is called, and how objects end."""

from types import SimpleNamespace

import pytest

from tests.unit.worker.fake_exchange import FakeExchange, make_request
from was.ipc.scoreboard import Row
from was.worker.calls.event_calls import Step, bind, make_runs
from was.worker.calls.http_module import HttpModule
from was.worker.calls.objects import make_objects
from was.worker.calls.registration import ModuleRegistration
from was.worker.notifications import CONTINUE, METHODS, POST_METHODS, RequestNotification

RQ = RequestNotification
EVENTS = [(RQ.BEGIN_REQUEST, False), (RQ.BEGIN_REQUEST, True), (RQ.AUTHENTICATE_REQUEST, False)]


class Watching(HttpModule):
    """Keeps what the scoreboard says whenever it is called."""

    def __init__(self, seen: list) -> None:
        self.seen = seen


def _look(self, context, provider):
    words = context.exchange.words
    self.seen.append((Row(tuple(words[:8])).notification, words[1] >> 16 & 1, words[1] & 0xFFFF))
    return CONTINUE


for _event, _is_post in EVENTS:
    setattr(Watching, (POST_METHODS if _is_post else METHODS)[_event], _look)


@pytest.mark.parametrize("ids", [(1, 2, 3), (254, 255, 256), (300, 1, 301), (511, 512, 255)])
def test_the_scoreboard_names_module_and_event_at_each_call(ids):
    """Whatever numbers the modules have: after a death nothing else tells which one ran."""
    registrations = [ModuleRegistration(f"M{number}", number) for number in ids]
    steps = [
        Step(bind(registration, None, event, is_post), event, is_post, registration)
        for event, is_post in EVENTS
        for registration in registrations
    ]
    (run,) = make_runs(
        steps, {number: at for at, number in enumerate(ids)}, asks_verdict=False, is_nested=False
    )
    seen: list[tuple[int, int, int]] = []
    context = SimpleNamespace(
        exchange=FakeExchange(make_request()),
        objects=[Watching(seen) for _ in ids],
        kept=None,
        verdict=CONTINUE,
    )
    assert run.call(context, context) == CONTINUE
    assert seen == [(event, is_post, number) for event, is_post in EVENTS for number in ids]


def test_a_class_made_for_each_request_is_not_kept():
    """A factory may make its class anew each time: call lists remember so many, and dispose."""

    def make(_):
        return type("Fresh", (HttpModule,), {"dispose": lambda self: None})()

    calls = SimpleNamespace(makers=(make,) * 3, kinds=set(), disposes=False)
    for _ in range(300):
        make_objects(SimpleNamespace(calls=calls, objects=None))
    assert len(calls.kinds) == 256
    assert calls.disposes


def test_modules_without_a_dispose_of_their_own_are_not_asked():
    """The base's does nothing; one class with its own has all objects asked."""
    calls = SimpleNamespace(makers=(lambda _: Watching([]),), kinds=set(), disposes=False)
    make_objects(SimpleNamespace(calls=calls, objects=None))
    assert not calls.disposes
