"""Held: one process of a fastCgi/application with its socket, or one connection to another's."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from was.worker.fastcgi.addresses import Address, short
from was.worker.gateway.inherited import inherited_environment
from was.worker.programs.launch import Program, start_program

if TYPE_CHECKING:
    from was.worker.fastcgi.connection import Connection
    from was.worker.fastcgi.process_pool import Instance
    from was.worker.fastcgi.settings import FastCgiApplication

__all__ = ["Held", "start"]


class Held:
    """One process, or one connection to somebody else's."""

    __slots__ = ("address", "connecting", "connection", "file", "instance", "program")

    def __init__(self, instance: Instance, address: Address) -> None:
        self.instance = instance
        self.address = address
        self.program: Program | None = None
        self.connection: Connection | None = None
        self.connecting = threading.Lock()  # held by who opens it, for all that will share it
        self.file = b""  # its socket

    @property
    def has_failed(self) -> bool:
        """Whether a process that is no more has ended otherwise than by exit(0)."""
        return self.program is not None and bool(self.program.status)

    def kill(self) -> None:
        """End a process while others may still read what it has sent them."""
        if self.program is not None:
            self.program.kill()

    def close(self) -> None:
        """End it, and what is ours of it; once nobody waits for it any more."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.program is not None:
            self.program.close()
        if self.file:
            with suppress(OSError):
                os.unlink(self.file)


def start(held: Held, settings: FastCgiApplication, name: str) -> None:
    """Start its process; `name` is its socket's, which nobody else has. Raises OSError."""
    argv = [os.fsencode(word) for word in settings.command]
    environment = inherited_environment()
    environment |= {os.fsencode(k): os.fsencode(v) for k, v in settings.environment}
    if settings.protocol == "Tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        held.address = listener.getsockname()
        environment.setdefault(b"FCGI_WEB_SERVER_ADDRS", b"127.0.0.1")
    else:
        listener, held.address = _listen(name)
        held.file = os.fsencode(held.address)
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        lines = [key + b"=" + value for key, value in environment.items()]
        held.program = start_program(argv, b"/", lines, (listener.fileno(), null, 2), held.file)
    finally:
        os.close(null)
        listener.close()


def _listen(name: str) -> tuple[socket.socket, str]:
    path = f"{os.environ.get('TMPDIR', '/tmp')}/{name}"
    listener = socket.socket(socket.AF_UNIX)
    with short(path) as address:
        listener.bind(address)
    listener.listen(128)
    return listener, path
