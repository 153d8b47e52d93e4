"""The processes of one `fastCgi/application` in this worker: starts, finds, ends them.

What is decided is process_pool's. Here are the lock, the sockets and the clock, a thread that
sleeps until an idle process is due and ends with the last one. A process is this worker's own, with
a listening socket as its descriptor 0; or somebody else's, and an instance is a connection to it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

from was.worker.fastcgi.connection import Connection
from was.worker.fastcgi.process_pool import Instance, ProcessPool, Verdict
from was.worker.fastcgi.settings import FastCgiApplication, remote_address
from was.worker.gateway.inherited import inherited_environment
from was.worker.programs.launch import Program, start_program

__all__ = ["Held", "NoProcessError", "Processes"]

ASK_VALUES_S = 1.0
CONNECT_S = 5.0
WAIT_S = 0.25
LOOK_AT_FILE_S = 1.0
# maxInstances="0": as many requests as this wait for a process's answer, not for a processor.
FEWEST, PER_PROCESSOR = 4, 2
MOST_CONNECTIONS = 10000
MOST_MULTIPLEXED = 64

Address = str | tuple[str, int]


class NoProcessError(Exception):
    """There is no process for a request; `verdict` says why, None: it could not be started."""

    def __init__(self, verdict: Verdict | None, text: str, error: int = 0) -> None:
        super().__init__(text)
        self.verdict = verdict
        self.error = error


class Held:
    """One process, or one connection to somebody else's."""

    __slots__ = ("address", "connection", "file", "instance", "program")

    def __init__(self, instance: Instance, address: Address) -> None:
        self.instance = instance
        self.address = address
        self.program: Program | None = None
        self.connection: Connection | None = None
        self.file = b""  # its socket

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


class Processes:
    """All processes of one application; any thread."""

    def __init__(self, settings: FastCgiApplication) -> None:
        self.settings = settings
        self.remote = remote_address(settings.full_path)
        self.keeps_connections = self.remote is None or settings.max_instances > 0
        automatic = max(FEWEST, PER_PROCESSOR * (os.cpu_count() or 1))
        most = settings.max_instances or (automatic if self.remote is None else MOST_CONNECTIONS)
        self._pool = ProcessPool(settings, most)
        self._changed = threading.Condition()
        self._held: dict[Instance, Held] = {}
        self._dying: list[tuple[float, Held]] = []  # until when each may go on
        self._has_asked = False
        self._numbers = 0
        self._file_seen: object = None
        self._file_looked_at = 0.0
        self._clock: threading.Event | None = None
        self._is_closed = False

    # ── for one request ─────────────────────────────────────────────────────────────────────────

    def acquire(self, limit_s: float, is_gone: Callable[[], bool]) -> Held:
        """A process with an open connection, until `release`. Raises NoProcessError.

        `is_gone` is asked now and then while all are busy: whether to go on waiting.
        """
        deadline = time.monotonic() + limit_s
        self._look_at_file()
        while True:
            instance = self._take(deadline, is_gone)
            held = self._held.get(instance)
            if held is None:
                held = self._start(instance)
            if self._connect(held):
                return held
            self.release(held, is_good=False, is_failure=_has_failed(held))

    def _take(self, deadline: float, is_gone: Callable[[], bool]) -> Instance:
        pool, is_waiting = self._pool, False
        with self._changed:
            try:
                while True:
                    found = pool.take(time.monotonic(), is_waiting=is_waiting)
                    if isinstance(found, Instance):
                        return found
                    if found is not Verdict.WAIT:
                        raise NoProcessError(found, _TEXTS[found])
                    if not is_waiting:
                        is_waiting = True
                        pool.waiting += 1
                    self._changed.wait(WAIT_S)
                    if time.monotonic() >= deadline or is_gone():
                        raise NoProcessError(Verdict.WAIT, _TEXTS[Verdict.WAIT])
            finally:
                if is_waiting:
                    pool.waiting -= 1

    def release(self, held: Held, *, is_good: bool, is_failure: bool = False) -> None:
        """The request is done with it; `is_good`: another may use it."""
        now = time.monotonic()
        if not is_good:
            held.kill()
        elif not self.keeps_connections and held.connection is not None:
            held.connection.close()
            held.connection = None
        with self._changed:
            instance = held.instance
            must_end = self._pool.give_back(instance, now)
            if not is_good or must_end:
                self._pool.remove(instance, now, is_failure=is_failure)
                self._held.pop(instance, None)
            is_last = instance.busy == 0
            self._changed.notify()
            self._wind_clock()
        if is_last and must_end and is_good:
            self._end([held])
        elif is_last and instance.is_ending:
            held.close()

    # ── starting ────────────────────────────────────────────────────────────────────────────────

    def _start(self, instance: Instance) -> Held:
        try:
            held = Held(instance, "") if self.remote is None else Held(instance, self.remote)
            if self.remote is None:
                self._start_program(held)
            if not self._has_asked:
                self._ask(held)
        except (OSError, ValueError) as error:
            with self._changed:
                self._pool.remove(instance, time.monotonic(), is_failure=True)
                self._changed.notify()
            number = error.errno or 0 if isinstance(error, OSError) else 0
            raise NoProcessError(
                None, f"The process could not be started: {error}", number
            ) from error
        with self._changed:
            self._held[instance] = held
            self._pool.started(instance)
            self._changed.notify_all()
        return held

    def _start_program(self, held: Held) -> None:
        settings = self.settings
        argv = [os.fsencode(word) for word in settings.command]
        environment = inherited_environment()
        environment |= {os.fsencode(k): os.fsencode(v) for k, v in settings.environment}
        if settings.protocol == "Tcp":
            listener = socket.create_server(("127.0.0.1", 0))
            held.address = listener.getsockname()
            environment.setdefault(b"FCGI_WEB_SERVER_ADDRS", b"127.0.0.1")
        else:
            listener, held.address = self._listen()
            held.file = os.fsencode(held.address)
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            lines = [name + b"=" + value for name, value in environment.items()]
            held.program = start_program(argv, b"/", lines, (listener.fileno(), null, 2), held.file)
        finally:
            os.close(null)
            listener.close()

    def _listen(self) -> tuple[socket.socket, str]:
        with self._changed:
            self._numbers += 1
            number = self._numbers
        folder = os.environ.get("TMPDIR", "/tmp")
        path = f"{folder}/fastcgi-{os.getpid()}-{id(self):x}-{number}.sock"
        listener = socket.socket(socket.AF_UNIX)
        with _short(path) as address:
            listener.bind(address)
        listener.listen(128)
        return listener, path

    def _ask(self, held: Held) -> None:
        """Learn from the first process whether one connection can carry several requests."""
        self._has_asked = True
        connection = Connection(_open(held.address))
        try:
            values = connection.ask_values(ASK_VALUES_S)
        finally:
            connection.close()
        if values.get(b"FCGI_MPXS_CONNS") == b"1":
            most = values.get(b"FCGI_MAX_REQS", b"")
            self._pool.capacity = min(int(most) if most.isdigit() else 1, MOST_MULTIPLEXED) or 1

    def _connect(self, held: Held) -> bool:
        """Have an open connection; False: the process is not there any more."""
        with self._changed:
            connection = held.connection
            if connection is not None:
                if held.instance.busy > 1 or not connection.is_stale():
                    return not connection.is_closed
                connection.close()
                held.connection = None
            if held.program is not None and held.program.hear():
                return False
            try:
                held.connection = Connection(_open(held.address))
            except OSError as error:
                if self.remote is None:
                    return False
                self._pool.give_back(held.instance, time.monotonic())
                self._pool.remove(held.instance, time.monotonic(), is_failure=False)
                self._held.pop(held.instance, None)
                text = f"{self.settings.full_path} cannot be connected to: {error}"
                raise NoProcessError(None, text, error.errno or 0) from error
            return True

    # ── ending ──────────────────────────────────────────────────────────────────────────────────

    def _look_at_file(self) -> None:
        """monitorChangesTo: where the file has changed all processes are replaced."""
        file, now = self.settings.monitor_changes_to, time.monotonic()
        if not file or now - self._file_looked_at < LOOK_AT_FILE_S:
            return
        with self._changed:
            self._file_looked_at = now
            seen, self._file_seen = self._file_seen, _stamp(file)
            if seen is None or seen == self._file_seen:
                return
            ended = [self._drop(i) for i in self._pool.renew()]
        self._end(ended)

    def _drop(self, instance: Instance) -> Held:
        self._pool.remove(instance, time.monotonic(), is_failure=False)
        return self._held.pop(instance)

    def _end(self, ended: list[Held]) -> None:
        """End processes that nobody uses: at once, or SIGTERM first."""
        grace_s = self.settings.signal_before_terminate_seconds
        for held in ended:
            if held.program is None or not grace_s or held.program.hear():
                held.close()
                continue
            held.program.terminate()
            with self._changed:
                self._dying.append((time.monotonic() + grace_s, held))
                self._wind_clock()

    def close(self) -> None:
        """End all; with signalBeforeTerminateSeconds it blocks for so long at most."""
        with self._changed:
            self._is_closed = True
            ended, self._held = list(self._held.values()), {}
        self._end(ended)
        while self._dying:
            for until, held in list(self._dying):
                if held.program is None or held.program.hear() or time.monotonic() >= until:
                    self._dying.remove((until, held))
                    held.close()
            time.sleep(0.01 if self._dying else 0)

    def __del__(self) -> None:
        """No handler names them any more."""
        for held in [*self._held.values(), *(held for _, held in self._dying)]:
            held.close()

    # ── the clock ───────────────────────────────────────────────────────────────────────────────

    def _wind_clock(self) -> None:
        """Have `tick` called when something is due. The lock is held."""
        if self._clock is None:
            self._clock = threading.Event()
            thread = threading.Thread(
                target=_run_clock, args=(weakref.ref(self), self._clock), daemon=True
            )
            thread.name = "fastcgi-clock"
            thread.start()
        elif self._dying:
            self._clock.set()

    def tick(self) -> float | None:
        """End what is due; for how many seconds nothing will be. None: the clock may stop."""
        with self._changed:
            now = time.monotonic()
            ended = [self._drop(instance) for instance in self._pool.idle(now)]
        self._end(ended)
        with self._changed:
            for until, held in list(self._dying):
                if held.program is None or held.program.hear() or now >= until:
                    self._dying.remove((until, held))
                    held.close()
            if self._is_closed or not (self._held or self._dying):
                self._clock = None
                return None
            if self._dying:
                return 0.05
            due = self._pool.next_idle()
            return 1.0 if due is None else max(0.05, due - now)


def _run_clock(pool: weakref.ref[Processes], wound: threading.Event) -> None:
    """The clock's thread; it keeps nobody alive."""
    while True:
        processes = pool()
        delay = processes.tick() if processes is not None else None
        del processes
        if delay is None:
            return
        wound.wait(delay)
        wound.clear()


def _has_failed(held: Held) -> bool:
    """Whether a process that is no more has ended otherwise than by exit(0)."""
    return held.program is not None and bool(held.program.status)


def _stamp(file: str) -> tuple[int, int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino


class _short:  # noqa: N801 used like a function
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


def _open(address: Address) -> socket.socket:
    if isinstance(address, tuple):
        stream = socket.create_connection(address, CONNECT_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(CONNECT_S)
    try:
        with _short(address) as short:
            stream.connect(short)
    except OSError:
        stream.close()
        raise
    return stream


_TEXTS = {
    Verdict.FULL: "The FastCGI request queue is full.",
    Verdict.OFFLINE: "Too many FastCGI processes have failed within a minute.",
    Verdict.WAIT: "No FastCGI process was free within requestTimeout.",
}
