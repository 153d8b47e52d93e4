"""The table of worker states."""

import itertools

import pytest

from was.errors import LocalProtocolError
from was.manager.states import WorkerEvent, WorkerState, after


@pytest.mark.parametrize(("state", "event"), list(itertools.product(WorkerState, WorkerEvent)))
def test_every_pair_is_in_the_table_or_refused(state, event):
    """No pair does anything but lead to a state or raise LocalProtocolError."""
    try:
        assert isinstance(after(state, event), WorkerState)
    except LocalProtocolError:
        assert event is not WorkerEvent.EXITED or state is WorkerState.STOPPED


@pytest.mark.parametrize("event", WorkerEvent)
def test_nothing_happens_to_a_worker_that_has_gone(event):
    """STOPPED is the end."""
    with pytest.raises(LocalProtocolError):
        after(WorkerState.STOPPED, event)
