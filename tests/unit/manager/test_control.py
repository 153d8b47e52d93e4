"""The manager's control socket, before anybody has said who it is."""

import asyncio
import os
import socket

from was.ipc.descriptors import listen_control
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
