"""How long a program may take: in all, for its first byte, and without a word."""

import pytest

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
