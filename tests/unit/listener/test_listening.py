"""The sockets that accept: what they are changed to, and their end."""

import asyncio
import contextlib
import os
import socket

import pytest
import uvloop

from was.ipc.served import ListeningSocket
from was.listener import listening as module
from was.listener.listening import Listening

CLIENTS = 50


@pytest.fixture
def sockets():
    """Three listening sockets, as the manager describes them."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        made = {}
        for sock in (one, two, three):
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            made[ListeningSocket("127.0.0.1", sock.getsockname()[1], "http")] = sock
        yield made


@pytest.mark.parametrize("turns", range(4))
def test_who_stops_while_sockets_change_accepts_on_none(sockets, turns):
    """One change is on its way and another one waits for it: both come to nothing, in silence."""
    first, second, third = sockets

    async def run():
        listening = Listening(asyncio.get_running_loop(), lambda _: asyncio.Protocol)

        def accept(*wanted):
            listening.collect(list(wanted), [os.dup(sockets[s].fileno()) for s in wanted])
            return asyncio.create_task(listening.accept())

        await accept(first)
        changes = [accept(second), accept(first, third)]
        for _ in range(turns):
            await asyncio.sleep(0)
        listening.stop()
        await asyncio.gather(*changes)
        assert len(listening) == 0

    asyncio.run(run())


@pytest.fixture(scope="module")
def _first_uvloop():
    """The first opens a pipe that the process keeps."""
    uvloop.new_event_loop().close()


@pytest.fixture(params=[asyncio, uvloop])
def loop(request, _first_uvloop):
    with contextlib.closing(request.param.new_event_loop()) as loop:
        yield loop


def test_who_waits_is_read_however_late_it_is(sockets, loop, monkeypatch):
    """A listener that stood still sees that the time to accept is over, and then who has come."""
    monkeypatch.setattr(module, "LAST_ACCEPT_S", 0)
    described, sock = next(iter(sockets.items()))
    transports, read, have_left = [], [], asyncio.Event()

    class Client(asyncio.Protocol):
        def connection_made(self, transport):
            transports.append(transport)

        def data_received(self, data):
            read.append(data)

        def connection_lost(self, exc):
            transports.pop()
            if not transports:
                have_left.set()

    async def run():
        listening = Listening(loop, lambda _: Client)
        listening.collect([described], [os.dup(sock.fileno())])
        await listening.accept()
        with contextlib.ExitStack() as clients:
            for _ in range(CLIENTS):
                client = socket.create_connection(sock.getsockname())
                clients.enter_context(client).sendall(b"GET")
            await listening.accept()  # on none
            assert read == [b"GET"] * CLIENTS
        await have_left.wait()

    loop.run_until_complete(run())
