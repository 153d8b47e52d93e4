"""The sockets that accept: what they are changed to, and their end."""

import asyncio
import os
import socket

import pytest

from was.ipc.served import ListeningSocket
from was.listener.listening import Listening


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
