"""What becomes of a dead worker's requests: DESIGN's table, row by row."""

from types import SimpleNamespace

import pytest

from was.listener.fate import Fate, decide_fate, take_blame
from was.listener.request import ClientRequest, Progress


def request(method="GET", *, progress=Progress.SENT, replay="safe", attempt=1, blamed=0):
    pool = SimpleNamespace(settings=SimpleNamespace(replay=replay, max_replays=1, poison_crashes=2))
    head = SimpleNamespace(method=method, size=50)
    made = ClientRequest(1, SimpleNamespace(beyond=None), head, pool, 1, "/", 0.0, 0.0, 50)
    made.progress = progress
    made.attempt = attempt
    made.blamed = blamed
    return made


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_not_started_goes_back_whatever_its_method(method):
    """A request its worker had not begun is dispatched again, whatever its method."""
    assert decide_fate(request(method), has_started=False) is Fate.AGAIN


@pytest.mark.parametrize(
    ("replay", "method", "fate"),
    [
        ("none", "GET", Fate.BAD_GATEWAY),
        ("safe", "GET", Fate.AGAIN),
        ("safe", "HEAD", Fate.AGAIN),
        ("safe", "OPTIONS", Fate.AGAIN),
        ("safe", "PUT", Fate.BAD_GATEWAY),
        ("safe", "POST", Fate.BAD_GATEWAY),
        ("idempotent", "PUT", Fate.AGAIN),
        ("idempotent", "DELETE", Fate.AGAIN),
        ("idempotent", "POST", Fate.BAD_GATEWAY),
        ("idempotent", "PATCH", Fate.BAD_GATEWAY),
    ],
)
def test_started_is_repeated_only_as_the_pool_allows(replay, method, fate):
    """A request that had begun runs again only when `replay` allows its method."""
    assert decide_fate(request(method, replay=replay), has_started=True) is fate


def test_a_response_partly_sent_is_cut():
    """Bytes with the client cannot be taken back: the connection is cut, whatever the method."""
    assert decide_fate(request(progress=Progress.RESPONDING), has_started=True) is Fate.CUT


@pytest.mark.parametrize(("can_go_on", "fate"), [(True, Fate.RESUMED), (False, Fate.CUT)])
def test_a_websocket_that_is_held_goes_on(can_go_on, fate):
    """Unless half of something was said to its client."""
    open_socket = request(progress=Progress.RESPONDING)
    open_socket.connection.beyond = SimpleNamespace(held=SimpleNamespace(can_go_on=can_go_on))
    assert decide_fate(open_socket, has_started=True) is fate


def test_a_request_nobody_waits_for_is_forgotten():
    """The client has gone: nothing is run again for it."""
    gone = request()
    gone.connection = None
    assert decide_fate(gone, has_started=True) is Fate.NOBODY_WAITS


def test_blame_is_laid_on_the_suspect_alone():
    """The suspect that ran is blamed; a bystander only becomes a suspect."""
    suspect, bystander = request(), request()
    suspect.is_suspect = True
    take_blame(suspect, [suspect, bystander])
    assert (suspect.blamed, bystander.blamed) == (1, 0)
    assert bystander.is_suspect


def test_a_suspect_that_had_not_begun_is_not_blamed():
    """A suspect still waiting in its worker cannot have killed it."""
    suspect = request()
    suspect.is_suspect = True
    take_blame(suspect, [])
    assert suspect.blamed == 0


def test_two_blamed_deaths_are_poison():
    """poisonCrashes blamed deaths: the request is not tried again."""
    assert decide_fate(request(blamed=2, attempt=3), has_started=True) is Fate.POISONED


def test_four_dispatches_are_the_end():
    """No request is given to a fifth worker once it has begun."""
    assert decide_fate(request(attempt=4), has_started=True) is Fate.BAD_GATEWAY


def test_a_body_that_was_let_go_cannot_be_repeated():
    """A streamed body beyond what may be kept is gone: not even an unbegun request goes back."""
    lost = request()
    lost.is_body_lost = True
    assert decide_fate(lost, has_started=False) is Fate.BAD_GATEWAY


def test_even_an_unbegun_request_ends_somewhere():
    """Whatever kills its workers before it begins, it is not dispatched for ever."""
    assert decide_fate(request("POST", attempt=99), has_started=False) is Fate.AGAIN
    assert decide_fate(request("POST", attempt=100), has_started=False) is Fate.BAD_GATEWAY
