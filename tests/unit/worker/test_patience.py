"""How long a program may take: in all, for its first byte, and without a word."""

from types import SimpleNamespace

import pytest

from was.worker.applications.application import HttpApplication
from was.worker.gateway.patience import Patience


@pytest.mark.parametrize(
    ("limits", "before", "after"),
    [
        ((90, 70, 100), 70, 90),  # the first byte's limit ends with it
        ((60, 70, 100), 60, 60),  # and is never more than the whole
        ((90, 70, 30), 30, 30),
    ],
)
def test_the_first_limit_that_passes_counts(limits, before, after):
    """Before the client has had anything of the answer, and after."""
    patience = Patience(0.0, *limits)
    assert patience.ends_at(has_answered=False) == before
    assert patience.ends_at(has_answered=True) == after


def test_who_does_something_is_not_quiet():
    """Only the limit of silence counts from there."""
    patience = Patience(0.0, 90, 90, 30)
    patience.moved(25.0)
    assert patience.ends_at(has_answered=False) == 55
    patience.moved(80.0)
    assert patience.ends_at(has_answered=False) == 90


def test_what_the_client_takes_is_not_the_programs():
    """All limits come so much later."""
    patience = Patience(0.0, 90, 70, 30)
    patience.excuse(100.0)
    assert patience.ends_at(has_answered=False) == 130
    patience.moved(120.0)
    assert patience.ends_at(has_answered=False) == 150
    assert patience.ends_at(has_answered=True) == 150
    assert patience.whole_until == 190


@pytest.mark.parametrize(
    ("limit_s", "own_s"), [(110.0, 104.5), (30.0, 28.0), (4.0, 2.0), (1.0, 0.5), (0.0, 0.0)]
)
def test_a_worker_that_stands_still_for_a_second_passes_no_limit(limit_s, own_s):
    """What a handler waits for has so much less time than its request."""
    application = SimpleNamespace(time_limit_s=limit_s)
    assert HttpApplication.own_time_limit_s.fget(application) == own_s
