"""The door of a control socket, when there is no room for who knocks."""

import asyncio
import contextlib
import errno
import os

import pytest

from was.ipc import door
from was.ipc.descriptors import ControlSocket, listen_control


class Full:
    """A listening socket of a process that has no descriptor left until `has_room`."""

    def __init__(self, path):
        self._sock = listen_control(path)
        self.setblocking, self.fileno = self._sock.setblocking, self._sock.fileno
        self.close = self._sock.close
        self.has_room = False
        self.refused = 0
        self.has_refused = asyncio.Event()

    def accept(self):
        if self.has_room:
            return self._sock.accept()
        self.refused += 1
        self.has_refused.set()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "door")


def test_who_cannot_be_let_in_does_not_keep_the_loop_awake(path, monkeypatch):
    """One that knocks when there is no descriptor left is not tried again at once."""
    monkeypatch.setattr(door, "AGAIN_S", 3600.0)

    async def knock():
        full = Full(path)
        opened = door.Door(asyncio.get_running_loop(), full, lambda end: end.close())
        with contextlib.closing(opened), contextlib.closing(ControlSocket.connect(path)):
            await full.has_refused.wait()
            for _ in range(100):
                await asyncio.sleep(0)
        assert full.refused == 1

    asyncio.run(knock())


def test_who_could_not_be_let_in_comes_in_when_there_is_room(path, monkeypatch):
    """They need not knock again, and nor need anybody else."""
    monkeypatch.setattr(door, "AGAIN_S", 0.001)

    async def knock():
        full = Full(path)
        came = asyncio.Event()

        def let_in(end):
            end.close()
            came.set()

        opened = door.Door(asyncio.get_running_loop(), full, let_in)
        with contextlib.closing(opened), contextlib.closing(ControlSocket.connect(path)):
            await full.has_refused.wait()
            full.has_room = True
            await came.wait()

    asyncio.run(knock())
