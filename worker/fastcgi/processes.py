"""The processes of one `fastCgi/application` in this worker: starts, finds, ends them.

What is decided is process_pool's. Here are the lock, the sockets and the clock, a thread that
sleeps until an idle process is due and ends with the last one. A process is this worker's own, with
a listening socket as its descriptor 0; or somebody else's, and an instance is a connection to it.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from was.worker.fastcgi.addresses import connect, connect_at_once
from was.worker.fastcgi.connection import Connection
from was.worker.fastcgi.held import Held, start
from was.worker.fastcgi.process_pool import Instance, ProcessPool, Turn, Verdict
from was.worker.fastcgi.settings import FastCgiApplication, remote_address
from was.worker.fastcgi.waiting import NoProcessError, WaitingThread, no_process
from was.worker.fastcgi.watched_files import WatchedFiles

if TYPE_CHECKING:
    from was.worker.fastcgi.quick_run import QuickRun
    from was.worker.threads.descriptor_watch import DescriptorWatch

__all__ = ["Processes"]

# The time that its start takes is within it.
ASK_VALUES_S = 3.0
WAIT_S = 0.25
LOOK_S = 0.25
# maxInstances="0": as many requests as this wait for a process's answer, not for a processor.
FEWEST, PER_PROCESSOR = 4, 2
MOST_CONNECTIONS = 10000
MOST_MULTIPLEXED = 64


class Processes:
    """All processes of one application; any thread."""

    def __init__(self, settings: FastCgiApplication) -> None:
        self.settings = settings
        self.remote = remote_address(settings.full_path)
        self.keeps_connections = self.remote is None or settings.max_instances > 0
        automatic = max(FEWEST, PER_PROCESSOR * (os.cpu_count() or 1))
        most = settings.max_instances or (automatic if self.remote is None else MOST_CONNECTIONS)
        self._pool = ProcessPool(settings, most)
        self._lock = threading.Lock()
        self._held: dict[Instance, Held] = {}
        self._dying: list[tuple[float, Held]] = []  # until when each may go on
        self._has_asked = False
        self._quick: set[QuickRun] = set()
        self._is_looking = False
        self._numbers = 0
        self._files = WatchedFiles(settings.monitor_changes_to)
        self._clock: threading.Event | None = None
        self._is_closed = False

    # ── for one request ─────────────────────────────────────────────────────────────────────────

    def acquire(
        self, limit_s: float, is_gone: Callable[[], bool], instance: Instance | None = None
    ) -> Held:
        """A process with an open connection, until `release`. Raises NoProcessError.

        `is_gone` is asked now and then while all are busy: whether to go on waiting. `instance` is
        what `take` has given.
        """
        turn = WaitingThread(time.monotonic() + limit_s)
        while True:
            if instance is None:
                instance = self._wait(turn, is_gone)
            found = self._held.get(instance)
            held = found or self._start(instance)
            if self._connect(held):
                return held
            if found is None:
                raise self._ended_at_once(held)
            instance = self.replace(held, is_failure=held.has_failed)

    def take(self, turn: Turn) -> Instance | None:
        """An instance for a request; None: `turn` will ring. Raises NoProcessError.

        It may have neither process nor connection: see `held_at_once` and `acquire`.
        """
        self._look_at_files()
        with self._lock:
            found = self._pool.take(time.monotonic())
            if found is Verdict.WAIT:
                self._pool.queue(turn)
                return None
        if isinstance(found, Verdict):
            raise no_process(found)
        return found

    def leave(self, turn: Turn) -> bool:
        """Wait no more; False: the turn has come already."""
        with self._lock:
            return self._pool.leave(turn)

    def end_overdue_turns(self) -> None:
        """Tell those who have waited long enough."""
        with self._lock:
            turns = self._pool.overdue(time.monotonic())
        _ring(turns)

    def _wait(self, turn: WaitingThread, is_gone: Callable[[], bool]) -> Instance:
        instance = self.take(turn)
        while instance is None:
            if not turn.come.wait(WAIT_S) and (time.monotonic() >= turn.until or is_gone()):
                if self.leave(turn):
                    raise no_process(Verdict.WAIT)
                turn.come.wait()
            instance = turn.instance
            if instance is None and turn.verdict is not None:
                raise no_process(turn.verdict)
        turn.come.clear()
        turn.instance = None
        return instance

    @property
    def capacity(self) -> int:
        """How many requests a process takes at once."""
        return self._pool.capacity

    def held_at_once(self, instance: Instance) -> Held | None:
        """The process of a taken instance, with an open connection that is nobody else's.

        None: that takes time.
        """
        if self._pool.capacity > 1:
            return None
        held = self._held.get(instance)
        if held is None:
            # Somebody else's need not be started, but the first is asked what it can do.
            if self.remote is None or not self._has_asked:
                return None
            held = Held(instance, self.remote)
            with self._lock:
                self._held[instance] = held
                self._pool.started(instance)
        connection = held.connection
        if connection is None:
            stream = None if self.remote is None else connect_at_once(held.address)
            if stream is None:
                return None
            held.connection = Connection(stream)
        elif connection.is_closed:
            return None
        return held

    def release(
        self, held: Held, *, is_good: bool, is_failure: bool = False, keep: bool = True
    ) -> None:
        """The request is done with it; `is_good`: another may use it, `keep`: its connection."""
        if not is_good:
            held.kill()
        elif not (keep and self.keeps_connections) and held.connection is not None:
            held.connection.close()
            held.connection = None
        instance = held.instance
        with self._deciding() as now:
            must_end = self._pool.give_back(instance, now)
            if not is_good or must_end:
                self._pool.remove(instance, now, is_failure=is_failure)
                self._held.pop(instance, None)
            is_last = instance.busy == 0
            self._wind_clock()
        if is_last and must_end and is_good:
            self._end([held])
        elif is_last and instance.is_ending:
            held.close()

    def replace(self, held: Held, *, is_failure: bool = False) -> Instance | None:
        """The process is gone; an instance for its request, which does not queue again.

        None: it has to, or there is none to be had.
        """
        held.kill()
        with self._deciding() as now:
            instance = self._pool.replace(held.instance, now, is_failure=is_failure)
            self._held.pop(held.instance, None)
            is_last = held.instance.busy == 0
            self._wind_clock()
        if is_last:
            held.close()
        return instance

    @contextmanager
    def _deciding(self) -> Generator[float]:
        """Hold the lock; after it those are told for whom there is an instance now."""
        with self._lock:
            now = time.monotonic()
            yield now
            turns = self._pool.serve(now)
        _ring(turns)

    # ── those that wait without a thread ────────────────────────────────────────────────────────

    def look_after(self, run: QuickRun, watch: DescriptorWatch) -> None:
        """Have `run.look` called now and then, until `forget`."""
        self._quick.add(run)
        if not self._is_looking:
            self._is_looking = True
            watch.call_at(time.monotonic() + LOOK_S, lambda: self._look(watch))

    def forget(self, run: QuickRun) -> None:
        """It does not wait any more."""
        self._quick.discard(run)

    def _look(self, watch: DescriptorWatch) -> None:
        now = time.monotonic()
        for run in list(self._quick):
            run.look(now)
        self.end_overdue_turns()
        self._is_looking = False
        if self._quick:
            self._is_looking = True
            watch.call_at(time.monotonic() + LOOK_S, lambda: self._look(watch))

    # ── starting ────────────────────────────────────────────────────────────────────────────────

    def _start(self, instance: Instance) -> Held:
        try:
            held = Held(instance, self.remote or "")
            if self.remote is None:
                with self._lock:
                    self._numbers += 1
                    name = f"fastcgi-{os.getpid()}-{id(self):x}-{self._numbers}.sock"
                start(held, self.settings, name)
            if not self._has_asked:
                self._ask(held)
        except (OSError, ValueError) as error:
            with self._deciding() as now:
                self._pool.remove(instance, now, is_failure=True)
            number = error.errno or 0 if isinstance(error, OSError) else 0
            raise NoProcessError(
                None, f"The process could not be started: {error}", number
            ) from error
        with self._deciding():
            self._held[instance] = held
            self._pool.started(instance)
        return held

    def _ended_at_once(self, held: Held) -> NoProcessError:
        """Another would as well: it costs its request only one of rapidFailsPerMinute."""
        number = held.program.error if held.program is not None else 0
        self.release(held, is_good=False, is_failure=True)
        text = os.strerror(number) if number else "it exited; the pool's log has what it printed"
        return NoProcessError(None, f"The FastCGI process could not be started: {text}", number)

    def _ask(self, held: Held) -> None:
        """Learn whether one connection can carry several requests, before a process has any."""
        try:
            connection = Connection(connect(held.address))
        except OSError as error:
            if self.remote is None:
                return  # who connects next will find that as well
            raise self._cannot_connect(held.instance, error) from error
        try:
            values = connection.ask_values(ASK_VALUES_S)
        finally:
            connection.close()
        capacity = 1
        if values.get(b"FCGI_MPXS_CONNS") == b"1":
            most = values.get(b"FCGI_MAX_REQS", b"")
            capacity = min(int(most) if most.isdigit() else 1, MOST_MULTIPLEXED) or 1
        with self._lock:
            # Once: a connection that has been given to one request alone must stay so.
            if not self._has_asked:
                self._has_asked = True
                self._pool.capacity = capacity

    def _connect(self, held: Held) -> bool:
        """Have an open connection; False: the process is not there any more.

        It may take CONNECT_S, for which nobody waits but those on the same connection.
        """
        with held.connecting:
            connection = held.connection
            if connection is not None:
                if held.instance.busy > 1 or not connection.is_stale():
                    return not connection.is_closed
                connection.close()
                held.connection = None
            if held.program is not None and held.program.hear():
                return False
            try:
                held.connection = Connection(connect(held.address))
            except OSError as error:
                if self.remote is None:
                    return False
                raise self._cannot_connect(held.instance, error) from error
            return True

    def _cannot_connect(self, instance: Instance, problem: OSError) -> NoProcessError:
        """Nobody answers at the address: there is no instance of it."""
        with self._deciding() as now:
            self._pool.give_back(instance, now)
            self._pool.remove(instance, now, is_failure=False)
            self._held.pop(instance, None)
        text = f"{self.settings.full_path} cannot be connected to: {problem}"
        return NoProcessError(None, text, problem.errno or 0)

    # ── ending ──────────────────────────────────────────────────────────────────────────────────

    def _look_at_files(self) -> None:
        """Where one has changed all processes are replaced."""
        now = time.monotonic()
        if not self._files.is_due(now):
            return
        with self._lock:
            if not self._files.has_changed(now):
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
            with self._lock:
                self._dying.append((time.monotonic() + grace_s, held))
                self._wind_clock()

    def close(self) -> None:
        """End all; with signalBeforeTerminateSeconds it blocks for so long at most."""
        with self._lock:
            self._is_closed = True
            ended, self._held = list(self._held.values()), {}
        self._end(ended)
        while self._dying:
            with self._lock:
                self._bury(time.monotonic())
            time.sleep(0.01 if self._dying else 0)

    def _bury(self, now: float) -> None:
        """Close those that have ended, or had all their time. The lock is held."""
        for until, held in list(self._dying):
            if held.program is None or held.program.hear() or now >= until:
                self._dying.remove((until, held))
                held.close()

    def __del__(self) -> None:
        """No handler names them any more."""
        for held in [*self._held.values(), *(held for _, held in self._dying)]:
            held.close()

    # ── the clock ───────────────────────────────────────────────────────────────────────────────

    def _wind_clock(self) -> None:
        """Have `tick` called when something is due. The lock is held."""
        if self._clock is None:
            clock = threading.Event()
            thread = threading.Thread(
                target=_run_clock, args=(weakref.ref(self), clock), daemon=True
            )
            thread.name = "fastcgi-clock"
            with suppress(RuntimeError):  # no thread is to be had: the next one winds it
                thread.start()
                self._clock = clock
        elif self._dying:
            self._clock.set()

    def tick(self) -> float | None:
        """End what is due; for how many seconds nothing will be. None: the clock may stop."""
        with self._lock:
            now = time.monotonic()
            ended = [self._drop(instance) for instance in self._pool.idle(now)]
        self._end(ended)
        with self._lock:
            self._bury(now)
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


def _ring(turns: list[Turn]) -> None:
    for turn in turns:
        turn.ring()
