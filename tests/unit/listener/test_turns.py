"""Who sends much at once is read one after the other, one step a turn of the loop."""

import pytest
from support.turning_loop import Loop

from was.ipc.messages import BodyPull
from was.turns import Turns

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FULL_READ = 256 * 1024


def test_one_step_is_taken_a_turn_in_the_order_in_which_they_came():
    """However many wait: also those that stand in line again within their step."""
    loop, taken = Loop(), []
    turns = Turns(loop.call_soon)

    def step(name):
        taken.append(name)
        if len(taken) < 4:
            turns.wait(lambda: step(name))

    for name in "abc":
        turns.wait(lambda name=name: step(name))
    for done in range(1, 7):
        loop.turn()
        assert len(taken) == done
    assert taken == ["a", "b", "c", "a", "b", "c"]
    assert not loop.soon


def test_a_step_that_fails_keeps_nobody_from_his_turn():
    """The next one has been called for already."""
    loop, taken = Loop(), []
    turns = Turns(loop.call_soon)
    turns.wait(lambda: 1 // 0)
    turns.wait(lambda: taken.append("b"))
    with pytest.raises(ZeroDivisionError):
        loop.turn()
    loop.turn()
    assert taken == ["b"]


def _reading(clients):
    return [client.transport.is_reading for client in clients]


def test_clients_that_send_without_end_are_read_one_a_turn(make_rig):
    """Each has filled a read; nobody is read further before it is his turn."""
    rig = make_rig(streaming=False)
    loop = Loop()
    rig.service.turns = Turns(loop.call_soon)
    clients = [rig.client() for _ in range(3)]
    for client in clients:
        client.send(POST % (1 << 30))
        client.connection.data_received(b"x" * FULL_READ)
    assert _reading(clients) == [False, False, False]
    loop.turn()
    assert _reading(clients) == [True, False, False]
    clients[0].connection.data_received(b"x" * FULL_READ)
    loop.turn()
    loop.turn()
    assert _reading(clients) == [False, True, True]
    clients[0].leave()
    loop.turn()
    assert not loop.soon


def test_slices_of_tiny_chunks_are_read_one_a_turn(make_rig):
    """Not one of every such client a turn."""
    rig = make_rig()
    loop = Loop()
    rig.service.turns = Turns(loop.call_soon)
    clients = [rig.client() for _ in range(3)]
    for client in clients:
        client.send(CHUNKED)
        client.connection.data_received(b"1\r\nx\r\n" * 5000)
    requests = [client.connection.request for client in clients]

    def read():
        return sum(request.received_bytes for request in requests)

    steps = []
    for _ in range(4):
        before = read()
        loop.turn()
        steps.append(read() - before)
    assert min(steps) > 0
    assert max(steps) <= 4096


def test_a_turn_is_no_leave_to_go_on_for_whom_another_holds_up(make_rig):
    """A stream whose worker is behind is read when the worker asks, and it is its turn."""
    rig = make_rig(streaming=True)
    loop = Loop()
    rig.service.turns = Turns(loop.call_soon)
    worker, client = rig.worker(), rig.client()
    client.send(POST % (1 << 30))
    (request,) = worker.requests()
    client.connection.data_received(b"x" * FULL_READ)
    loop.turn()
    assert not client.transport.is_reading
    worker.tell(BodyPull(request.id, request.attempt, FULL_READ))
    assert client.transport.is_reading
    client.connection.data_received(b"x" * FULL_READ)
    worker.tell(BodyPull(request.id, request.attempt, FULL_READ))
    assert not client.transport.is_reading
    loop.turn()
    assert client.transport.is_reading
    client.leave()
