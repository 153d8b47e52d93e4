"""DescriptorDoor: the side socket by which a pool's workers pass file descriptors.

A worker passes a descriptor before it posts the message that names it, and a Unix datagram is
readable as soon as it was sent. So when the message is here the descriptor is too: it is fetched
when it is asked for, and no event loop watches the door. What a worker passes and never names
costs it its own: the kernel bounds what lies in a socket, `take` bounds what is kept per worker.
Who floods the door is read for no longer than it takes to find what was there already.
Processes that are no workers of the pool are shown out.

Where this process has no descriptor left, what was passed is lost: that is no fault of the worker,
and only the request that it was for fails (NoRoomError).
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from was.ipc.descriptors import ControlSocket, is_regular, listen_control

__all__ = ["DescriptorDoor", "NoRoomError"]

NOTE = struct.Struct("=QQ")
# More than a worker's threads pass at one moment. What one passes beyond, and does not name, takes
# the place of what it passed first.
MAX_KEPT = 128
# More than the kernel lets lie in a socket, or wait to be accepted: what comes meanwhile is no part
# of what is looked for, and who goes on sending is not to hold the loop.
MAX_READ = 1024
MAX_ACCEPTED = 1024

# Stands for a descriptor that has come when there was no room for it.
LOST = -2
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_Name: TypeAlias = tuple[int, int]  # request and token
_Kept: TypeAlias = dict[_Name, int]


class NoRoomError(Exception):
    """A worker has passed a descriptor, and this process has none left to receive it.

    Not when the worker has passed none.
    """


class DescriptorDoor:
    """Connections of workers, by pid, and the descriptors they passed and have not named yet."""

    def __init__(self, path: str, is_worker: Callable[[int], bool]) -> None:
        self._path = path
        self._is_worker = is_worker
        self._listening = listen_control(path, 0o666)
        self._listening.setblocking(False)
        self._ends: dict[int, ControlSocket] = {}
        self._kept: dict[int, _Kept] = {}

    def take(self, pid: int, request_id: int, token: int) -> int:
        """The descriptor of a regular file that `pid` passed under this name, -1 when none came.

        The caller owns it. Raises NoRoomError.
        """
        kept = self._kept.setdefault(pid, {})
        name = request_id, token
        if name not in kept:
            self._read(pid, kept, name)
        if name not in kept:
            # Asked only where it must be: anybody of the pool may knock here.
            has_room = self._accept()
            self._read(pid, kept, name)
            if name not in kept and not has_room:
                raise NoRoomError
        fd = kept.pop(name, -1)
        if fd == LOST:
            raise NoRoomError
        if fd >= 0 and not is_regular(fd):
            os.close(fd)
            return -1
        return fd

    def _accept(self) -> bool:
        """Take in who knocks; False when there is no room for them."""
        for _ in range(MAX_ACCEPTED):
            try:
                sock, _ = self._listening.accept()
            except OSError as error:
                return error.errno not in NO_ROOM
            sock.setblocking(False)
            end = ControlSocket(sock)
            pid = end.peer()[0]
            if not self._is_worker(pid):
                # A child of an application, say: nobody would ever close what it passes.
                end.close()
                continue
            old = self._ends.pop(pid, None)
            if old is not None:
                self._read_end(old, self._kept.setdefault(pid, {}), None)
                old.close()
            self._ends[pid] = end
        return True

    def _read(self, pid: int, kept: _Kept, wanted: _Name) -> None:
        end = self._ends.get(pid)
        if end is not None:
            self._read_end(end, kept, wanted)

    def _read_end(self, end: ControlSocket, kept: _Kept, wanted: _Name | None) -> None:
        """Read what lies in the socket, up to what is wanted."""
        for _ in range(MAX_READ):
            try:
                message = end.recv(limit_bytes=NOTE.size)
            except (BlockingIOError, OSError):
                return
            if message is None:
                return
            content, descriptors = message
            is_lost = end.is_short and not descriptors
            if len(content) != NOTE.size or not (is_lost or len(descriptors) == 1):
                for fd in descriptors:
                    os.close(fd)
                continue
            name = NOTE.unpack(content)
            former = kept.pop(name, -1)  # what was passed twice under one name
            if len(kept) >= MAX_KEPT:
                former = kept.pop(next(iter(kept)))
            if former >= 0:
                os.close(former)
            kept[name] = LOST if is_lost else descriptors[0]
            if name == wanted:
                return

    def forget(self, pid: int) -> None:
        """The worker is gone: so is what it passed."""
        end = self._ends.pop(pid, None)
        if end is not None:
            end.close()
        for fd in self._kept.pop(pid, {}).values():
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        """Close everything and remove the socket."""
        for pid in list(self._ends):
            self.forget(pid)
        self._listening.close()
        with suppress(OSError):
            os.unlink(self._path)

    def fileno(self) -> int:
        """The listening descriptor."""
        return self._listening.fileno()
