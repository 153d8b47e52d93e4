"""The manager's control socket, before anybody has said who it is."""

import asyncio
import os
import socket

from was.ipc import codec
from was.ipc import worker_control as wc
from was.ipc.descriptors import ControlSocket, listen_control
from was.manager import control


def test_another_user_may_not_take_all_descriptors(tmp_path, monkeypatch):
    """So many connections that are nobody's yet, and no more; our own user has no bound."""
    monkeypatch.setattr(control, "MAX_STRANGERS", 3)

    async def count() -> int:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "control")
        server = control.ControlServer(
            loop, listen_control(path), lambda *_: None, lambda *_: None, lambda _: None
        )
        clients = []
        for _ in range(8):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect(path)
            client.setblocking(False)
            clients.append(client)
        closed = 0
        for client in clients:
            try:
                async with asyncio.timeout(0.2):
                    closed += await loop.sock_recv(client, 1) == b""
            except TimeoutError:
                pass
            client.close()
        server.close()
        return closed

    assert asyncio.run(count()) == 0
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert asyncio.run(count()) == 5


class Door:
    """A control socket, and what comes of what is said there."""

    def __init__(self, path):
        self.path = str(path)
        self.heard = []
        self.faults = []
        self.news = asyncio.Event()
        self.server = control.ControlServer(
            asyncio.get_running_loop(),
            listen_control(self.path),
            self.hear,
            self.faulty,
            lambda _: None,
        )

    def hear(self, peer, message, _):
        """A message."""
        self.heard.append((peer, message))
        self.news.set()

    def faulty(self, peer, detail):
        """What the manager does with a stranger's nonsense."""
        self.faults.append(detail)
        peer.close()
        self.news.set()

    async def say(self, content, end=None):
        """A new connection, or this one, says something; wait until that was heard."""
        end = end or ControlSocket.connect(self.path)
        self.news.clear()
        end.send(content)
        await asyncio.wait_for(self.news.wait(), 60)
        return end


def test_who_is_hung_up_on_is_nobody_any_more(tmp_path, monkeypatch):
    """However often a user's processes talk nonsense, the next one of that user comes in."""
    monkeypatch.setattr(control, "MAX_STRANGERS", 3)
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    async def talk():
        door = Door(tmp_path / "control")
        for _ in range(8):
            (await door.say(b"nonsense")).close()
        assert len(door.faults) == 8
        (await door.say(codec.encode(wc.Pong(1)))).close()
        assert [message for _, message in door.heard] == [wc.Pong(1)]
        door.server.close()

    asyncio.run(talk())


def test_a_message_of_who_is_not_trusted_is_short(tmp_path):
    """Megabytes of nothing cost their sender nothing; only our own listener may say so much."""
    long = codec.encode(wc.WorkerStartFailed(1, "x" * control.MAX_MESSAGE_BYTES))

    async def talk():
        door = Door(tmp_path / "control")
        (await door.say(long)).close()
        assert (len(door.faults), door.heard) == (1, [])
        end = await door.say(codec.encode(wc.Pong(1)))
        door.heard[0][0].trust()
        await door.say(long, end)
        assert door.heard[1][1].worker_id == 1
        end.close()
        door.server.close()

    asyncio.run(talk())
