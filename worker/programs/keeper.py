"""The keeper: a process beside a worker that starts its programs, and outlives it to end them.

Run as a script, with nothing but the standard library: `python -I -S keeper.py TITLE`. A worker
has many threads, so it must not fork; this process has one. Descriptor 3 is a SEQPACKET socket to
the worker, 4 a pidfd of it.

A datagram on 3 starts a program: its arguments, folder and environment, a file that is to go with
it (its socket), and beside that four descriptors, the lease and the program's 0, 1 and 2. The lease
is a SEQPACKET socket pair of the one who asked:

    to the asker   b"E<errno>"  the program could not be executed
                   b"X<wait status>"  it has ended
    to the keeper  b"T"  SIGTERM to the program's process group
                   b"L<seconds>"  the lease is given up: it may go on for so long
                   end of file: SIGKILL to it

So what a program belongs to cannot end without it: a request, a process pool, the worker. Each
program leads a session. The keeper is a child subreaper: what programs leave behind becomes its
child, is waited for, and ends with the worker. Should the keeper itself be killed, the kernel
(PR_SET_PDEATHSIG) kills the programs.
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import select
import signal
import socket
import time
from contextlib import suppress

CONTROL_FD, WORKER_FD = 3, 4
MOST_BYTES = 1 << 20
DESCRIPTORS = 4

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36

_libc = ctypes.CDLL(None, use_errno=True)


def encode_start(argv: list[bytes], folder: bytes, environment: list[bytes], file: bytes) -> bytes:
    """The datagram that starts a program; ValueError for a NUL in any of it."""
    parts = [b"%d" % len(argv), *argv, folder, file, *environment]
    data = b"\0".join(parts)
    if data.count(b"\0") != len(parts) - 1:
        raise ValueError("a NUL byte in a command or its environment")
    return data


def decode_start(data: bytes) -> tuple[list[bytes], bytes, dict[bytes, bytes], bytes]:
    """Arguments, folder, environment and file of a datagram of `encode_start`."""
    parts = data.split(b"\0")
    count = int(parts[0])
    argv, (folder, file), rest = (
        parts[1 : count + 1],
        parts[count + 1 : count + 3],
        parts[count + 3 :],
    )
    pairs = (item.partition(b"=") for item in rest)
    return argv, folder, {name: value for name, _, value in pairs}, file


class Keeper:
    """The programs of one worker."""

    def __init__(self, control: socket.socket, worker_fd: int) -> None:
        self._control = control
        self._worker_fd = worker_fd
        self._wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self._poll = select.poll()
        for fd in (control.fileno(), worker_fd, self._wake_r):
            self._poll.register(fd, select.POLLIN)
        # By descriptor: lease, pid, the file that goes with the program.
        self._leases: dict[int, tuple[socket.socket, int, bytes]] = {}
        self._running: dict[int, socket.socket] = {}  # leases by pid, while the program runs
        self._left: dict[int, float] = {}  # when those must end that nobody holds, by pid
        self._parent = os.getpid()

    def run(self) -> None:
        """Until the worker has ended, or closed its end; then nothing of it is left."""
        while True:
            for fd, _ in self._poll.poll(self._patience_ms()):
                if fd == self._wake_r:
                    with suppress(BlockingIOError):
                        os.read(self._wake_r, 4096)
                    self._reap()
                elif fd == self._worker_fd or (fd == self._control.fileno() and not self._take()):
                    self._end_all()
                    return
                elif fd in self._leases:
                    self._hear(fd)

    def _patience_ms(self) -> float | None:
        """Until the next of those that nobody holds must end; kills who must by now."""
        if not self._left:
            return None
        now = time.monotonic()
        for pid in [pid for pid, until in self._left.items() if until <= now]:
            del self._left[pid]
            _signal_group(pid, signal.SIGKILL)  # not waited for yet: the number is still its own
        return max(0.0, min(self._left.values()) - now) * 1000 + 1 if self._left else None

    def _take(self) -> bool:
        """Start what a datagram asks for; False at the worker's end."""
        data, fds, flags = _receive(self._control)
        if not data:
            return False
        if len(fds) != DESCRIPTORS or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for fd in fds:
                os.close(fd)
            return True
        lease = socket.socket(fileno=fds[0])
        argv, folder, environment, file = decode_start(data)
        try:
            pid = os.fork()
        except OSError as error:
            with suppress(OSError):
                lease.send(b"E%d" % (error.errno or errno.EAGAIN))
            lease.close()
            pid = -1
        if pid == 0:
            self._become(lease, fds[1:], argv, folder, environment)
        for fd in fds[1:]:
            os.close(fd)
        if pid > 0:
            self._leases[lease.fileno()] = (lease, pid, file)
            self._running[pid] = lease
            self._poll.register(lease, select.POLLIN)
        return True

    def _become(
        self,
        lease: socket.socket,
        fds: list[int],
        argv: list[bytes],
        folder: bytes,
        environment: dict[bytes, bytes],
    ) -> None:
        """In the new process: never returns."""
        try:
            os.setsid()
            # It wakes without preempting whom gives it work, in the middle of what that does: the
            # worker gathers what it does at once, and hands it on together.
            with suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != self._parent:
                os._exit(127)  # the keeper had ended before the line above
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            # Above 4 first: none of the three may lie in another's place.
            high = [os.dup(fd) if fd <= WORKER_FD else fd for fd in fds]
            for target, fd in enumerate(high):
                os.dup2(fd, target)
            os.chdir(folder)
            os.execve(argv[0], argv, environment)
        except OSError as error:
            with suppress(OSError):
                lease.send(b"E%d" % (error.errno or errno.EIO))
        finally:
            os._exit(127)

    def _hear(self, fd: int) -> None:
        """What the holder of a lease wants."""
        lease, pid, file = self._leases[fd]
        try:
            data = lease.recv(16)
        except OSError:
            data = b""
        if data[:1] == b"T":
            if pid in self._running:
                _signal_group(pid, signal.SIGTERM)
            return
        if data[:1] == b"L" and self._running.pop(pid, None) is not None:
            self._left[pid] = time.monotonic() + float(data[1:])
        self._poll.unregister(fd)
        del self._leases[fd]
        lease.close()
        # Where the leader is gone, its number is known to be its group's only by a member of it.
        if self._running.pop(pid, None) is not None or (pid not in self._left and _has_member(pid)):
            _signal_group(pid, signal.SIGKILL)
        _remove(file)

    def _reap(self) -> None:
        """Wait for all that have ended, and tell those who care."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            lease = self._running.pop(pid, None)
            if lease is not None:
                with suppress(OSError):
                    lease.send(b"X%d" % status)
            elif self._left.pop(pid, None) is not None and _has_member(pid):
                _signal_group(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        """Kill every descendant; those of a killed one become children of this process."""
        for _, _, file in self._leases.values():
            _remove(file)
        while True:
            for pid in _children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def _ignore(_number: int, _frame: object) -> None:
    """The wakeup descriptor is what tells."""


def _receive(control: socket.socket) -> tuple[bytes, list[int], int]:
    fds = array.array("i")
    room = socket.CMSG_SPACE(DESCRIPTORS * fds.itemsize)
    try:
        data, messages, flags, _ = control.recvmsg(MOST_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return b"", [], 0
    for level, kind, content in messages:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, fds.tolist(), flags


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _has_member(group: int) -> bool:
    """Whether a child of this process is of the group."""
    for pid in _children():
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == group:
                return True
    return False


def _remove(file: bytes) -> None:
    if file:
        with suppress(OSError):
            os.unlink(file)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def main() -> None:
    """Be the keeper of the worker at the other end."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _libc.prctl(_PR_SET_NAME, b"was: programs", 0, 0, 0)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for fd in (CONTROL_FD, WORKER_FD):
        os.set_inheritable(fd, False)
    Keeper(socket.socket(fileno=CONTROL_FD), WORKER_FD).run()


if __name__ == "__main__":
    main()
