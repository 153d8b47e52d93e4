"""DescriptorDoor: the side socket by which a pool's workers pass file descriptors.

A worker passes a descriptor before it posts the message that names it, and a Unix datagram is
readable as soon as it was sent. So when the message is here the descriptor is too: it is fetched
when it is asked for, and no event loop watches the door. What a worker passes and never names
costs it its own: the kernel bounds what lies in a socket, `take` bounds what is kept per worker.
Processes that are no workers of the pool are shown out.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress

from was.ipc.descriptors import ControlSocket, listen_control

__all__ = ["DescriptorDoor"]

NOTE = struct.Struct("=QQ")
MAX_KEPT = 1024


class DescriptorDoor:
    """Connections of workers, by pid, and the descriptors they passed and have not named yet."""

    def __init__(self, path: str, is_worker: Callable[[int], bool]) -> None:
        self._path = path
        self._is_worker = is_worker
        self._listening = listen_control(path, 0o666)
        self._listening.setblocking(False)
        self._ends: dict[int, ControlSocket] = {}
        self._kept: dict[int, dict[tuple[int, int], int]] = {}

    def take(self, pid: int, request_id: int, token: int) -> int:
        """The descriptor of a regular file that `pid` passed under this name, -1 when none came.

        The caller owns it.
        """
        kept = self._kept.setdefault(pid, {})
        if (request_id, token) not in kept:
            self._accept()
            self._read(pid, kept)
        fd = kept.pop((request_id, token), -1)
        if fd >= 0 and not stat.S_ISREG(os.fstat(fd).st_mode):
            # A pipe or a device would hold up the loop, or never end.
            os.close(fd)
            return -1
        return fd

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except (BlockingIOError, OSError):
                return
            sock.setblocking(False)
            end = ControlSocket(sock)
            pid = end.peer()[0]
            if not self._is_worker(pid):
                # A child of an application, say: nobody would ever close what it passes.
                end.close()
                continue
            old = self._ends.pop(pid, None)
            if old is not None:
                self._read_end(old, self._kept.setdefault(pid, {}))
                old.close()
            self._ends[pid] = end

    def _read(self, pid: int, kept: dict[tuple[int, int], int]) -> None:
        end = self._ends.get(pid)
        if end is not None:
            self._read_end(end, kept)

    def _read_end(self, end: ControlSocket, kept: dict[tuple[int, int], int]) -> None:
        while len(kept) < MAX_KEPT:
            try:
                message = end.recv(limit_bytes=NOTE.size)
            except (BlockingIOError, OSError):
                return
            if message is None:
                return
            content, descriptors = message
            if len(content) == NOTE.size and len(descriptors) == 1:
                request_id, token = NOTE.unpack(content)
                kept[request_id, token] = descriptors[0]
            else:
                for fd in descriptors:
                    os.close(fd)

    def forget(self, pid: int) -> None:
        """The worker is gone: so is what it passed."""
        end = self._ends.pop(pid, None)
        if end is not None:
            end.close()
        for fd in self._kept.pop(pid, {}).values():
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
