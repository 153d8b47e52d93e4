"""Processes: start, watch, signal, reap. The only file that forks, kills or opens a pidfd.

The manager is a child subreaper, and workers are forked twice, so each worker becomes its child
and its exit status is learnt here. Everything of ours is waited for through one `reap`, which also
takes the orphans that applications leave behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from was.errors import HomeError

__all__ = [
    "Exit",
    "ManagerLock",
    "become_subreaper",
    "child_environment",
    "children_of",
    "command_line_environment",
    "descendants_of",
    "describe_end",
    "has_ended",
    "insist_on_system_calls",
    "is_stopped",
    "keep_lock",
    "kill",
    "kill_and_wait",
    "kill_descendants",
    "peak_memory_kb",
    "pid_of",
    "raise_descriptor_limit",
    "reap",
    "spawn",
]

_PR_SET_CHILD_SUBREAPER = 36
_END_LIMIT_MS = 2000

# What of the manager's environment other processes see. Nothing of it can change what code runs.
_ALLOWED = frozenset({"PATH", "LANG", "LANGUAGE", "HOME", "TZ"})
_ALLOWED_IN_TESTS = frozenset(
    {"WAS_TEST_TIME_SCALE", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE"}
)

_OF_SYSTEMD = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
)


def insist_on_system_calls() -> None:
    """Raise HomeError where one is refused without which nobody could be watched or told anything.

    Old kernels lack them, and old container runtimes refuse what they do not know.
    """
    name = "memfd_create"
    try:
        os.close(os.memfd_create("was"))
        name = "pidfd_open"
        ours = os.pidfd_open(os.getpid())
        try:
            name = "pidfd_send_signal"
            signal.pidfd_send_signal(ours, 0)
        finally:
            os.close(ours)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        where = f"this kernel, or a container's filter of system calls, has no {name}"
        raise HomeError(f"{where}: Linux 5.3 or later is needed") from None


def become_subreaper() -> None:
    """Make orphaned descendants ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def raise_descriptor_limit() -> None:
    """Soft limit of descriptors up to the hard one; children inherit it."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def child_environment(environment: Mapping[str, str], *, is_testing: bool) -> dict[str, str]:
    """The clean environment of listener, template and workers."""
    allowed = _ALLOWED | _ALLOWED_IN_TESTS if is_testing else _ALLOWED
    return {k: v for k, v in environment.items() if k in allowed or k.startswith("LC_")}


def command_line_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment under `was run`: all that the command itself was given.

    But for what systemd has told the command alone, and what is no text and fits into no message.
    """
    return {
        name: value
        for name, value in environment.items()
        if name not in _OF_SYSTEMD and _is_text(name) and _is_text(value)
    }


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def spawn(arguments: Sequence[str], environment: Mapping[str, str], output: int) -> tuple[int, int]:
    """Start a program in a session of its own; its pid and a pidfd of it.

    Its standard input is /dev/null, both outputs are `output`, every other descriptor is closed
    and SIGINT ignored. Fork and exec by hand, because the pid must not be reaped behind our back.
    Raises OSError; then there is no process.
    """
    program = arguments[0]
    pid = os.fork()
    if pid == 0:
        try:
            _become(program, arguments, environment, output)
        finally:
            os._exit(127)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)  # nobody would know of it; it is reaped like every child
        raise


def _become(
    program: str, arguments: Sequence[str], environment: Mapping[str, str], output: int
) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTTOU):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    output = fcntl.fcntl(output, fcntl.F_DUPFD, 3)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.chdir("/")
    os.execve(program, list(arguments), dict(environment))


def has_ended(pidfd: int) -> bool:
    """Whether the process behind a pidfd has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def pid_of(pidfd: int) -> int:
    """The process behind a pidfd; -1 when it has ended, 0 when the descriptor is no pidfd."""
    try:
        text = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("Pid:")]
    return int(found[0]) if found else 0


def kill(pidfd: int, number: int = signal.SIGKILL) -> None:
    """Signal a process; one that has gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def kill_and_wait(pidfd: int) -> None:
    """SIGKILL a process and see it end, if that takes no longer than an end should."""
    kill(pidfd)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(_END_LIMIT_MS)


class Exit(NamedTuple):
    """How a child ended: wait status, and the most memory it ever had (resident, KB)."""

    status: int
    peak_kb: int


def reap() -> list[tuple[int, Exit]]:
    """Pid and end of every child that has ended, ours or an orphan's."""
    ended: list[tuple[int, Exit]] = []
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, Exit(status, usage.ru_maxrss)))


def peak_memory_kb(pid: int) -> int:
    """The most memory a living process ever had (resident, KB); 0 = not to be learnt."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0
    return next((int(s.split()[1]) for s in status.splitlines() if s.startswith(b"VmHWM:")), 0)


def is_stopped(pid: int) -> bool:
    """Whether no thread of the process runs: each is stopped, or has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return True
    return all(_state_letter(thread) in b"TtZX" for thread in threads)


def _state_letter(process: Path) -> bytes:
    """R, S, D, T …; X for what has gone."""
    try:
        return (process / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return b"X"


def children_of(pid: int) -> list[int]:
    """Pids of the children of a process, as /proc lists them."""
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            text = Path(f"/proc/{pid}/task/{task}/children").read_text()
        except OSError:
            continue
        found += [int(child) for child in text.split()]
    return found


def descendants_of(pid: int) -> list[int]:
    """Pids of the children of a process, and of theirs."""
    found: list[int] = []
    for child in children_of(pid):
        found += [child, *descendants_of(child)]
    return found


def kill_descendants(pid: int) -> None:
    """SIGKILL every descendant of a process, but for those that have become another user."""
    for child in children_of(pid):
        kill_descendants(child)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)


def describe_end(end: Exit | None) -> str:
    """How a child ended, in words."""
    if end is None:
        return "unknown"
    if os.WIFSIGNALED(end.status):
        number = os.WTERMSIG(end.status)
        try:
            return signal.Signals(number).name
        except ValueError:
            return f"signal {number}"
    return f"exit {os.waitstatus_to_exitcode(end.status)}"


def keep_lock(path: Path, *, keep: bool) -> None:
    """Have this process go on being its home's manager over an exec, or not."""
    fd = _open_already(path)
    if fd >= 0:
        os.set_inheritable(fd, keep)


def _open_already(path: Path) -> int:
    """The descriptor that this process has of a file, -1 for none."""
    try:
        wanted = path.stat()
    except OSError:
        return -1
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            if os.path.samestat(os.fstat(int(name)), wanted):
                return int(name)
    return -1


class ManagerLock:
    """The right to be this home's manager.

    lockf, not flock: a record lock belongs to the process, so no forked child keeps it. It outlives
    an exec where a descriptor does (`keep_lock`), and ends with the first one that is closed.
    Whoever can read the file can lock it too, and would keep the next manager out: no other user
    can.
    """

    def __init__(self, path: Path) -> None:
        self._fd = _open_already(path)
        if self._fd >= 0:
            os.set_inheritable(self._fd, False)
        else:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # a file of former versions, if it is ours
            os.fchmod(self._fd, 0o600)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise HomeError(f"a manager is running already, pid {holder}") from None
        # Over what the last one wrote: that takes no room on a disk that is full.
        size = os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        os.ftruncate(self._fd, size)

    def release(self) -> None:
        """Let another manager in."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
