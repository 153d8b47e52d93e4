"""The collector of cycles while a worker loads."""

import gc

import pytest

from was.worker.process.few_collections import few_collections


@pytest.fixture(autouse=True)
def threshold():
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_the_threshold_is_as_before_afterwards(threshold):
    """Also when loading fails."""
    with few_collections():
        assert gc.get_threshold()[0] > threshold[0]
    assert gc.get_threshold() == threshold
    with pytest.raises(ZeroDivisionError), few_collections():
        1 / 0  # noqa: B018
    assert gc.get_threshold() == threshold


def test_what_an_application_sets_stays(threshold):
    """It has set it while it was loaded."""
    with few_collections():
        gc.set_threshold(123, 4, 5)
    assert gc.get_threshold() == (123, 4, 5)
