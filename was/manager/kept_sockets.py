"""The listening sockets that the supervisor of a detached server keeps, as systemd's store does.

Manager and listener have them too. Were both killed at once, the port would close, and who waits
there to be accepted would be reset: with a third holder the kernel goes on queueing, and the next
manager is given the same sockets.

The supervisor has a door (SEQPACKET, mode 0600: the server's own user). Each connection to it is
one order: KEEP is followed by all the sockets that there are from now on, GIVE is answered with
them. An order that is not complete changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any, cast

from was.ipc.descriptors import ControlSocket, in_parts, listen_control
from was.manager.notify import GivenSocket, is_listening_tcp

__all__ = ["SocketStore", "for_exec", "keep", "take", "take_inherited"]

KEEP, GIVE = b"keep", b"give"
# How long one side waits for the other within an order: it may have been stopped.
PATIENCE_S = 1.0
# Where nobody else has the sockets the next manager waits longer for them: on a machine at its
# limits a supervisor that has just become new code is slow to answer.
NEEDED_LIMIT_S = 5.0
# By which the supervisor's next code finds what the one before has left to it.
INHERITED = "WAS_KEPT_SOCKETS"
# The same for the manager's.
OF_MANAGER = "WAS_OWN_SOCKETS"


class SocketStore:
    """The supervisor's end."""

    def __init__(self, door: socket.socket, kept: Mapping[str, int] | None = None) -> None:
        self._door = door
        self._kept = dict(kept or {})
        door.setblocking(False)

    @classmethod
    def open(cls, path: str) -> SocketStore:
        """What the code before an exec has left, else an empty one with a new door at `path`."""
        left = os.environ.pop(INHERITED, None)  # not for the managers that we start
        if left is None:
            return cls(listen_control(path, 0o600))
        found = cast("dict[str, Any]", json.loads(left))
        for fd in (found["door"], *found["kept"].values()):
            os.set_inheritable(fd, False)
        return cls(socket.socket(fileno=found["door"]), found["kept"])

    def fileno(self) -> int:
        """Readable when there is an order."""
        return self._door.fileno()

    def serve(self) -> None:
        """One order."""
        with contextlib.suppress(OSError, ValueError):
            sock, _ = self._door.accept()
            sock.settimeout(PATIENCE_S)
            with contextlib.closing(ControlSocket(sock)) as end:
                order = end.recv()
                if order == (KEEP, []):
                    kept = _receive(end)
                    for fd in self._kept.values():
                        os.close(fd)
                    self._kept = kept
                elif order == (GIVE, []):
                    _send(end, self._kept.items())

    def for_exec(self) -> dict[str, str]:
        """Have everything outlive an exec; the variables that the new code is to find."""
        for fd in (self.fileno(), *self._kept.values()):
            os.set_inheritable(fd, True)
        return {INHERITED: json.dumps({"door": self.fileno(), "kept": self._kept})}


def keep(path: str, sockets: Iterable[tuple[str, int]]) -> bool:
    """Have the supervisor keep these, by name, and no others; whether it could be told."""
    try:
        with contextlib.closing(_connect(path)) as end:
            end.send(KEEP)
            _send(end, sockets)
    except OSError:
        return False
    return True


def for_exec(sockets: Iterable[tuple[str, int]]) -> dict[str, str]:
    """The variables by which the manager's next code finds its sockets, which outlive the exec."""
    return {OF_MANAGER: json.dumps(dict(sockets))}


def take_inherited() -> list[GivenSocket]:
    """What the code before an exec has left to this one."""
    left = cast("dict[str, int]", json.loads(os.environ.pop(OF_MANAGER, "{}")))
    return _given(left)


def take(path: str, *, is_needed: bool) -> list[GivenSocket] | None:
    """What the supervisor keeps; None when there is one that does not say it."""
    try:
        end = _connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return []  # it has no door (yet), and so keeps nothing
    except OSError:
        return None
    with contextlib.closing(end):
        try:
            if is_needed:
                end.sock.settimeout(NEEDED_LIMIT_S)
            end.send(GIVE)
            given = _receive(end)
        except (OSError, ValueError):
            return None
    return _given(given)


def _given(named: Mapping[str, int]) -> list[GivenSocket]:
    found: list[GivenSocket] = []
    for name, fd in named.items():
        sock = socket.socket(fileno=fd)
        sock.set_inheritable(False)
        if is_listening_tcp(sock):
            found.append(GivenSocket(name, sock))
        else:  # it was ended for all who had it
            sock.close()
    return found


def _connect(path: str) -> ControlSocket:
    end = ControlSocket.connect(path, timeout_s=PATIENCE_S)
    end.sock.settimeout(PATIENCE_S)
    return end


def _send(end: ControlSocket, sockets: Iterable[tuple[str, int]]) -> None:
    for part, more in in_parts(sockets):
        names = [name for name, _ in part]
        end.send(json.dumps({"names": names, "is_last": not more}).encode(), [fd for _, fd in part])


def _receive(end: ControlSocket) -> dict[str, int]:
    """All parts of what `_send` sends; raises OSError or ValueError when they do not come."""
    names: list[str] = []
    received: list[int] = []
    try:
        while True:
            content, descriptors = end.recv() or (b"", [])
            received += descriptors
            part = json.loads(content)  # no such thing: the connection has ended
            names += part["names"]
            if part["is_last"]:
                return dict(zip(names, received, strict=True))  # some may be lost on the way
    except BaseException:
        for fd in received:
            os.close(fd)
        raise
