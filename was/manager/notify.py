"""What a service manager is told (sd_notify), and the sockets it hands over (sd_listen_fds).

The protocol is a datagram of NAME=value lines to the socket that NOTIFY_SOCKET names. Nobody has to
hear it: without the variable, or when the socket has gone, nothing happens.

The variables stay in our environment, for an upgrade: the new code is the same process. What we
start gets an environment of its own and never sees them.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["GivenSocket", "Notifier", "is_listening_tcp", "take_sockets"]

_FIRST_FD = 3
# How long a notice waits where the service manager reads nothing; the next beat needs no wait.
_PATIENCE_S = 1.0


class Notifier:
    """The way to the service manager; silent when there is none."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        # "@" stands for the zero byte of an abstract name.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = watchdog_s / 2
        self._alive_at = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """As the variables say; a watchdog that waits for another process is none."""
        interval = environment.get("WATCHDOG_USEC", "")
        is_meant = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        watchdog_s = int(interval) / 1e6 if interval.isdigit() and is_meant else 0.0
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_s)

    def ready(self) -> None:
        """Every site answers, or a reload has ended."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        stamp = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={stamp}")

    def stopping(self) -> None:
        """The server is on its way down."""
        self._send("STOPPING=1")

    def next_deadline(self) -> float | None:
        """When the watchdog wants to hear again that we are alive."""
        return self._alive_at if self._every_s else None

    def tick(self, now: float) -> None:
        """Say it, twice in every interval. Who asks is the manager's loop: a hung one is silent."""
        if self._every_s and now >= self._alive_at:
            self._alive_at = now + self._every_s
            self._send("WATCHDOG=1", patience_s=0)

    def keep(self, name: str, descriptor: int) -> None:
        """Have a descriptor kept: whoever is started after us is given it under that name."""
        self._send(f"FDSTORE=1\nFDNAME={name}", [descriptor])

    def forget(self, name: str) -> None:
        """Have it kept no longer."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(
        self, text: str, descriptors: Iterable[int] = (), *, patience_s: float = _PATIENCE_S
    ) -> None:
        if not self._address:
            return
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer,
        ):
            peer.settimeout(patience_s)
            peer.sendmsg([text.encode()], ancillary, 0, self._address)


class GivenSocket(NamedTuple):
    """A socket that a service manager has for us. `name` is its own, or what we kept it as."""

    name: str
    socket: socket.socket


def take_sockets(environment: Mapping[str, str]) -> list[GivenSocket]:
    """The listening TCP sockets that were handed over to this very process.

    What else there is stays as it is: after an upgrade some of the numbers may be somebody else's.
    """
    count = environment.get("LISTEN_FDS", "")
    if not count.isdigit() or environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    taken: list[GivenSocket] = []
    for name, fd in zip(names, range(_FIRST_FD, _FIRST_FD + int(count)), strict=False):
        try:
            sock = socket.socket(fileno=fd)
        except OSError:  # no socket
            continue
        if is_listening_tcp(sock):
            sock.setblocking(False)
            sock.set_inheritable(False)
            taken.append(GivenSocket(name, sock))
        else:
            sock.detach()
    return taken


def is_listening_tcp(sock: socket.socket) -> bool:
    """Whether connections can be accepted from it."""
    is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    return is_tcp and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
