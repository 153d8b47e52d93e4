"""The supervisor of a detached server: it starts another manager when the one there is dies.

    python -m was.manager.detached --home HOME --manager PID -- COMMAND …

It knows the manager by a pidfd: first that of its parent, later that of whoever holds the home's
lock, so it follows one that somebody else has started. Beside that it keeps the listening sockets
(kept_sockets.py), and nothing else, so little can happen to it; and when something does, the
manager starts another. SIGTERM, which a manager that was told to stop sends, ends it. A manager
that exits 0 was told to stop as well. SIGHUP, which comes with an upgrade, has it become the new
code: by exec, so that at no moment there is none.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from was import faults
from was.ipc.endpoints import Home
from was.log import log, set_process
from was.manager import process
from was.manager.health import Backoff
from was.manager.kept_sockets import SocketStore
from was.process_title import set_title
from was.recorded import lock_holder, open_lock_holder

__all__ = ["main"]

# A manager that lived so long was no failed start: the next one is not kept waiting.
STEADY_S = 5.0

_ASKS = {signal.SIGTERM, signal.SIGHUP}


def main(arguments: list[str]) -> NoReturn:
    """Keep a manager running until told to end."""
    options = dict(zip(arguments[:4:2], arguments[1:4:2], strict=True))
    home = Home(Path(options["--home"]))
    set_title("supervisor", home.path)
    set_process("supervisor", fd=2)
    faults.arm(home.path)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    folder = home.find_sockets()
    if folder is None:  # the server has ended meanwhile
        os._exit(0)
    supervisor = _Supervisor(home, arguments[5:], SocketStore.open(folder.supervisor))
    signal.signal(signal.SIGTERM, supervisor.end)
    signal.signal(signal.SIGHUP, supervisor.renew)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS)  # as `renew` may have found them
    supervisor.run(_open_parent(int(options["--manager"])))


class _Supervisor:
    def __init__(self, home: Home, command: list[str], store: SocketStore) -> None:
        self._home = home
        self._command = command
        self._store = store
        self._child = 0  # the manager that we have started
        self._backoff = Backoff()

    def run(self, first: int | None) -> NoReturn:
        """Watch the first manager, and all that come after it."""
        watched = first
        since = time.monotonic()
        while True:
            if watched is None and (holder := open_lock_holder(self._home.lock_file)):
                watched = holder[1]
            if watched is None:
                watched = self._start()
                since = time.monotonic()
            if watched is None:
                self._wait(None, self._backoff.take())
                continue
            faults.reach("supervisor.watching")
            self._wait(watched, math.inf)
            os.close(watched)
            self._reap()
            lived_s = time.monotonic() - since
            self._note("manager_died", lived_s=round(lived_s, 1))
            if lived_s >= STEADY_S:
                self._backoff.reset()
            else:
                self._wait(None, self._backoff.take())
            watched = None

    def _wait(self, manager: int | None, limit_s: float) -> None:
        """Wait until the manager ends or the time is over; its orders are obeyed meanwhile."""
        until = time.monotonic() + limit_s
        poll = select.poll()
        poll.register(self._store, select.POLLIN)
        if manager is not None:
            poll.register(manager, select.POLLIN)
        while (left_s := until - time.monotonic()) > 0:
            ready = [fd for fd, _ in poll.poll(None if left_s == math.inf else left_s * 1000)]
            if self._store.fileno() in ready:  # first: it may be the last word of who has ended
                blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
                self._store.serve()
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            elif ready:
                return

    def end(self, _number: int, _frame: FrameType | None) -> NoReturn:
        """Told to go. A manager that we have just started, and nobody can see yet, goes too."""
        if self._child and lock_holder(self._home.lock_file) is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._child, signal.SIGKILL)
                os.waitpid(self._child, 0)
        os._exit(0)

    def renew(self, _number: int, _frame: FrameType | None) -> NoReturn:
        """Become the code that is there now; whom to watch is found again."""
        environment = {**os.environ, **self._store.for_exec()}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)

    def _start(self) -> int | None:
        """Start a manager; its pidfd, None when the machine has no room for a process just now."""
        if not self._home.run.is_dir():  # nothing is left to be kept running
            os._exit(0)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKS)
        try:
            self._child, pidfd = process.spawn(self._command, os.environ, 2)
        except OSError as error:
            self._note("process_not_made", process="manager", error=error)
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self._note("manager_brought_back", pid=self._child)
        faults.reach("supervisor.started")
        return pidfd

    def _reap(self) -> None:
        """Learn how our manager ended, if it was ours: exit 0 = it was told to."""
        for pid, end in process.reap():
            if pid == self._child:
                self._child = 0
                if end.status == 0:
                    os._exit(0)

    def _note(self, event: str, **fields: object) -> None:
        """A line in the server's log, which may have been renamed since we last wrote."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # its folder is no more, or a disk full: the old one
            fd = os.open(self._home.own_log, flags, 0o640)
            os.dup2(fd, 2)
            os.close(fd)
        log(event, **fields)


def _open_parent(pid: int) -> int | None:
    """A pidfd of the manager that started us, None when it has gone already."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if os.getppid() == pid:
        return pidfd
    os.close(pidfd)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
