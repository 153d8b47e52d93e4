"""Containers of client connections: one each, watched once, ended once."""

import pytest
from fake_exchange import make_request

from was.worker.interfaces.connection_contexts import ConnectionContexts
from was.worker.interfaces.hresult import HResultError


class Context:
    def __init__(self, calls, fails=False):
        self.calls, self.fails = calls, fails

    def notify_disconnect(self):
        self.calls.append("disconnect")
        if self.fails:
            raise RuntimeError("broken")

    def cleanup_stored_context(self):
        self.calls.append("cleanup")


class Plain:
    def __init__(self, calls):
        self.calls = calls

    def cleanup_stored_context(self):
        self.calls.append("plain cleanup")


@pytest.fixture
def contexts():
    made = ConnectionContexts(lambda work: work())
    made.epoch_of = lambda request: 7
    made.watched = []
    made.watch = lambda request: made.watched.append(request.connection_id)
    return made


def test_a_connection_is_watched_once(contexts):
    """Whatever requests of it ask; another connection has another container."""
    container = contexts.of(make_request(id=1, connection_id=5))
    assert contexts.of(make_request(id=2, connection_id=5)) is container
    assert contexts.of(make_request(id=3, connection_id=6)) is not container
    assert contexts.watched == [5, 6]


@pytest.mark.parametrize("by_client", [True, False])
def test_the_end_comes_once(contexts, by_client):
    """notify_disconnect where the client went and the context has it, then the clean-up; what one
    context raises keeps nothing from the other."""
    calls = []
    container = contexts.of(make_request(connection_id=5))
    container.set_connection_module_context(Context(calls, fails=True), 1)
    container.set_module_context(Plain(calls), 2)
    contexts.closed(7, 6, by_client=by_client)
    contexts.closed(8, 5, by_client=by_client)
    assert calls == []
    contexts.closed(7, 5, by_client=by_client)
    contexts.closed(7, 5, by_client=by_client)
    contexts.close()
    assert sorted(calls) == sorted(
        [*(["disconnect"] if by_client else []), "cleanup", "plain cleanup"]
    )


def test_a_listener_that_is_gone(contexts):
    """Its connections end, those of another listener stay; the worker's end is no disconnect."""
    calls = []
    contexts.of(make_request(connection_id=5)).set_module_context(Context(calls), 1)
    contexts.listener_gone(8)
    assert calls == []
    contexts.listener_gone(7)
    assert calls == ["disconnect", "cleanup"]
    contexts.of(make_request(connection_id=6)).set_module_context(Context(calls), 1)
    contexts.close()
    assert calls == ["disconnect", "cleanup", "cleanup"]


def test_a_request_without_a_client():
    """ERROR_CONNECTION_INVALID."""
    with pytest.raises(HResultError) as caught:
        ConnectionContexts(lambda work: work()).of(make_request())
    assert caught.value.hresult == 0x800704CD
