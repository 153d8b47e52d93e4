"""Where FastCGI processes listen, and connections to them."""

from __future__ import annotations

import errno
import os
import socket

__all__ = ["Address", "connect", "connect_at_once", "short"]

CONNECT_S = 5.0

Address = str | tuple[str, int]  # of a Unix socket, or host and port


class short:  # noqa: N801 used like a function
    """A path that fits into a socket's address, however deep its folder lies."""

    def __init__(self, path: str) -> None:
        self._folder, _, self._name = path.rpartition("/")
        self._path = path
        self._fd = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 100:
            return self._path
        self._fd = os.open(self._folder or "/", os.O_PATH | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{self._name}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def connect(address: Address) -> socket.socket:
    """A stream to who listens there; waits for CONNECT_S at most. Raises OSError."""
    if isinstance(address, tuple):
        stream = socket.create_connection(address, CONNECT_S)
        if stream.getsockname() == stream.getpeername():
            # Nobody listens, and the kernel gave us that very port: we would talk to ourselves,
            # and whoever is to listen there could not.
            stream.close()
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(CONNECT_S)
    try:
        with short(address) as path:
            stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


def connect_at_once(address: Address) -> socket.socket | None:
    """The same, not blocking and without a wait; None where it would take one, or fails."""
    family = socket.AF_UNIX if isinstance(address, str) else _family(address[0])
    if family is None:
        return None
    stream = socket.socket(family)
    stream.setblocking(False)
    try:
        if isinstance(address, str):
            with short(address) as path:
                stream.connect(path)
        else:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.connect(address)
    except OSError:
        stream.close()
        return None
    return stream


def _family(host: str) -> socket.AddressFamily | None:
    """Of an address; None for a name, which must be asked for."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return None
