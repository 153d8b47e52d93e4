"""The worker's side of the keeper: start a program, and hold it by its lease.

The keeper is started when the first program is, and again should it have died. See keeper.py.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress

from setproctitle import getproctitle

from was.log import log
from was.worker.programs import keeper

__all__ = ["Program", "ProgramError", "start_program"]

_SEND_BYTES = 1 << 20


class ProgramError(OSError):
    """A program could not be started: the keeper could not, or the command is too long."""


class Program:
    """One program that runs; `close` ends it, and whatever it has left in its process group."""

    __slots__ = ("_lease", "error", "is_lost", "status")

    def __init__(self, lease: socket.socket) -> None:
        self._lease = lease
        self.error = 0  # errno: it could not be executed
        self.status: int | None = None  # as waitpid gives it, once it has ended
        self.is_lost = False  # the keeper is gone, and the program was killed with it

    def fileno(self) -> int:
        """Readable when there is news; then call `hear`."""
        return self._lease.fileno()

    @property
    def was_killed(self) -> bool:
        """Whether a signal has ended it."""
        return self.status is not None and os.WIFSIGNALED(self.status)

    def hear(self) -> bool:
        """Take the news there is; whether the program has ended. Does not block."""
        while True:
            try:
                data = self._lease.recv(64)
            except BlockingIOError:
                return self.status is not None
            except OSError:
                data = b""
            if data[:1] == b"E":
                self.error = int(data[1:])
                self.status = self.status if self.status is not None else 127 << 8
            elif data[:1] == b"X":
                self.status = int(data[1:])
            else:
                self.is_lost = self.status is None
                self.status = self.status if self.status is not None else int(signal.SIGKILL)
                return True

    def wait(self, limit_s: float) -> bool:
        """Whether it has ended, within the limit."""
        poll = select.poll()
        poll.register(self._lease, select.POLLIN)
        deadline = time.monotonic() + limit_s
        while not self.hear():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            poll.poll(left_s * 1000)
        return True

    def terminate(self) -> None:
        """SIGTERM, if it still runs."""
        with suppress(OSError):
            self._lease.send(b"T")

    def leave(self, limit_s: float) -> None:
        """Let it go on by itself for so long, but not longer than this process; then `close`."""
        with suppress(OSError):
            self._lease.send(b"L%.3f" % max(0.0, limit_s))

    def kill(self) -> None:
        """SIGKILL, if anything of it still runs; `hear` says that it has ended from now on."""
        # Not by a close alone: a forked child of the application may hold the socket too.
        with suppress(OSError):
            self._lease.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The same, and give the lease's descriptor back."""
        self.kill()
        self._lease.close()


class _Keeper:
    """The keeper of this process, once there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._pid = 0

    def send(self, data: bytes, fds: list[int]) -> None:
        """Hand a datagram over, to a new keeper if the old one is dead. Raises ProgramError."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        with self._lock:
            for _ in range(2):
                if self._control is None:
                    self._control = self._start()
                try:
                    self._control.sendmsg([data], rights)
                except (BrokenPipeError, ConnectionResetError):
                    self._forget()
                except OSError as error:
                    raise ProgramError(error.errno, f"the keeper: {error.strerror}") from error
                else:
                    return
        raise ProgramError("the keeper of programs does not stay")

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        try:
            with theirs, ExitStack() as opened:
                pidfd = os.pidfd_open(os.getpid())
                opened.callback(os.close, pidfd)
                actions: list[tuple[int, int, int]] = []
                for fd, place in (
                    (theirs.fileno(), keeper.CONTROL_FD),
                    (pidfd, keeper.WORKER_FD),
                ):
                    # Above both places, so that none is overwritten before it is copied.
                    high = _above(fd)
                    opened.callback(os.close, high)
                    actions.append((os.POSIX_SPAWN_DUP2, high, place))
                self._pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-I", "-S", keeper.__file__, _title()],
                    os.environ,
                    file_actions=actions,
                    setsid=True,
                )
        except OSError as error:
            ours.close()
            raise ProgramError(error.errno, f"the keeper: {error.strerror}") from error
        return ours

    def _forget(self) -> None:
        log("program_keeper_lost", pid=self._pid)
        if self._control is not None:
            self._control.close()
            self._control = None
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _title() -> str:
    """What a list of processes shows of the keeper: whose it is."""
    return getproctitle().replace("worker", "programs of worker", 1)


def _above(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)


_keeper = _Keeper()


def start_program(
    argv: list[bytes],
    folder: bytes,
    environment: list[bytes],
    descriptors: tuple[int, int, int],
    file: bytes = b"",
) -> Program:
    """Start a program with these as its 0, 1 and 2, which stay the caller's to close.

    `argv[0]` is the path of the file; `file` is removed when the program is closed. Raises
    ProgramError; that `argv[0]` cannot be executed is told by the program's `error`.
    """
    try:
        data = keeper.encode_start(argv, folder, environment, file)
    except ValueError as error:
        raise ProgramError(str(error)) from error
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    try:
        _keeper.send(data, [theirs.fileno(), *descriptors])
    except ProgramError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Program(ours)
