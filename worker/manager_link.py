"""ManagerLink: the worker's connection to the manager that there is, and the way to the next one.

The host's thread only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.descriptors import ControlSocket, take_output
from was.ipc.worker_control import ManagerToWorker, TakeOutput, WorkerHello
from was.log import log

__all__ = ["ManagerLink", "say_hello"]


class ManagerLink:
    """Sends to the manager and receives from it; without one, sending does nothing."""

    def __init__(
        self, control: ControlSocket, path: str, worker_id: int, on_lost: Callable[[], None]
    ) -> None:
        """`control` is connected; `path` is where the next manager will be."""
        self._control: ControlSocket | None = control
        self._life_line: ControlSocket | None = None
        self._path = path
        self._worker_id = worker_id
        self._on_lost = on_lost
        self.lost_at = 0.0  # monotonic seconds

    @property
    def is_there(self) -> bool:
        """Whether there is a manager, as far as has been noticed."""
        return self._control is not None

    @property
    def fd(self) -> int:
        """To be polled; -1 without a manager."""
        return -1 if self._control is None else self._control.sock.fileno()

    def send(self, notice: object) -> None:
        """Tell the manager something."""
        if self._control is None:
            return
        try:
            content = codec.encode(notice)
        except codec.UNSENDABLE:  # an application's words
            content = codec.encode(codec.cleaned(notice))
        try:
            self._control.send(content)
        except OSError:
            self._lost()

    def receive(self) -> ManagerToWorker | None:
        """Its next command; None for the end of the connection, and for what is none."""
        if self._control is None:
            return None
        try:
            message = self._control.recv()
        except OSError:
            message = None
        if message is None:
            self._lost()
            return None
        content, descriptors = message
        try:
            command = codec.decode_manager_to_worker(content)
        except IllFormedMessageError as error:
            log("worker_faulty", detail=f"from the manager: {error}")
            return None
        else:
            if isinstance(command, TakeOutput):  # here, where its descriptor is
                take_output(*descriptors)
            return command
        finally:
            for fd in descriptors:
                os.close(fd)

    def _lost(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
            self.lost_at = time.monotonic()
            self._on_lost()

    def hold_life_line(self) -> None:
        """The manager may suspend us, and be killed then: its end must wake us.

        A connection of its own, since on the other one a ping would wake whoever is stopped.
        """
        if self._life_line is not None:
            self._life_line.close()
            self._life_line = None
        with suppress(OSError):
            self._life_line = ControlSocket.connect(self._path, timeout_s=1.0)
            self._life_line.continue_at_end()

    def reconnect(self) -> bool:
        """Look for the manager that comes next; whether it is there."""
        try:
            control = ControlSocket.connect(self._path, timeout_s=1.0)
            say_hello(control, self._worker_id)  # it may be killed at this very moment
        except OSError:
            return False
        self._control = control
        self.hold_life_line()
        return True

    def forget(self) -> None:
        """In a forked child: it must not speak for the worker."""
        for connection in (self._control, self._life_line):
            if connection is not None:
                connection.close()


def say_hello(control: ControlSocket, worker_id: int) -> None:
    """The worker's first message, with a pidfd of itself beside it."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        control.send(codec.encode(WorkerHello(worker_id, os.getpid())), [pidfd])
    finally:
        os.close(pidfd)
