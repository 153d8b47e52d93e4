"""The manager's timer: when it rings, and what is heard before."""

import asyncio
import socket
import time

import pytest

from was.manager.alarm import Alarm


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_who_spoke_while_the_loop_stood_still_is_heard_first(loop, tmp_path):
    """He has connected and said something: both are seen before the time that has come."""
    heard = []
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as client:
        door.bind(str(tmp_path / "door"))
        door.listen()

        def accept():
            end, _ = door.accept()
            loop.add_reader(end, read, end)

        def read(end):
            heard.append(end.recv(10))
            loop.remove_reader(end)
            end.close()

        def ring():
            heard.append("time")
            loop.stop()

        loop.add_reader(door, accept)
        alarm = Alarm(loop, time.monotonic, ring)
        alarm.set(time.monotonic() + 0.02)
        client.connect(str(tmp_path / "door"))
        client.sendall(b"here")
        time.sleep(0.03)  # the loop stands still
        loop.run_forever()
        loop.remove_reader(door)
    assert heard == [b"here", "time"]


def test_it_rings_however_often_the_time_is_said(loop):
    """Someone who never stops speaking has it said anew each time; a time that has gone by too."""
    rung = []
    alarm = Alarm(loop, time.monotonic, lambda: rung.append(1))
    due_at = time.monotonic()

    async def speak():
        while not rung:
            alarm.set(due_at)
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(speak(), 30))


def test_only_the_last_time_counts(loop):
    """An earlier one comes instead of a later one, and the other way round; cancelled is never."""
    rung = []
    alarm = Alarm(loop, time.monotonic, lambda: rung.append(time.monotonic()))
    first = time.monotonic()
    alarm.set(first + 60)
    alarm.set(first)
    alarm.set(first + 0.1)
    loop.run_until_complete(asyncio.sleep(0.2))
    assert len(rung) == 1
    assert rung[0] >= first + 0.1
    alarm.set(time.monotonic())
    alarm.cancel()
    loop.run_until_complete(asyncio.sleep(0.02))
    assert len(rung) == 1
