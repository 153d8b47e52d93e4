"""Orphans, and the programs that a pool's `failure` element names.

A failed worker that is orphaned instead of killed is stopped for good and left to whoever looks
into it: its memory, its threads, its open files are as they were. It is no worker any more: not
listed as one, not counted, not taken over by a later manager. It lives until it is killed by hand
or the server ends.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Mapping
from functools import partial

from was.config.model import AppPool, Failure
from was.log import log
from was.manager import process
from was.manager.asked_stacks import when_written
from was.manager.deaths import Deaths
from was.manager.handle import WorkerHandle
from was.manager.listener_side import ListenerSide
from was.manager.server import Server
from was.manager.workers import WorkerSet
from was.recorded import open_recorded

__all__ = ["Orphans", "command_of"]

# How long a worker's threads may take to stop, and how often that is looked at.
STOP_LIMIT_S = 1.0
STOP_STEP_S = 0.005


def command_of(executable: str, parameters: str, pid: int) -> list[str]:
    """The program and its arguments; %1% stands for the worker's pid.

    Words are split as a shell would, quotes and all, but no shell reads them. Raises ValueError
    for a quote without its end.
    """
    return [executable, *(word.replace("%1%", str(pid)) for word in shlex.split(parameters))]


class Orphans:
    """Makes orphans, runs the programs, and ends what is left of them with the server."""

    def __init__(
        self, server: Server, workers: WorkerSet, listener: ListenerSide, deaths: Deaths
    ) -> None:
        self._server = server
        self._workers = workers
        self._listener = listener
        self._deaths = deaths

    def take(self, failure: Failure, worker_id: int) -> bool:
        """Stop the worker for good and run its action; False when it has no process yet."""
        handle = self._workers.handles.get(worker_id)
        if handle is None or handle.pidfd < 0:
            return False
        handle.is_orphan = handle.is_draining = True
        handle.is_active = False
        handle.link_lost_at = None
        self._server.files.write_process(
            f"orphan-{worker_id}", handle.pid, {"worker_id": worker_id, "app_pool": handle.pool}
        )
        self._server.files.remove(f"worker-{worker_id}")
        if handle.stacks_begin >= 0:
            when_written(self._server, handle, partial(self._stop, failure, handle))
        else:
            self._stop(failure, handle)
        return True

    def _stop(self, failure: Failure, handle: WorkerHandle) -> None:
        if not handle.is_alive:
            return
        if handle.peer is not None:
            handle.peer.end_life_lines()  # else our own end would have it go on
        process.kill(handle.pidfd, signal.SIGSTOP)
        self._give_up(failure, handle, self._server.loop.time() + STOP_LIMIT_S)

    def _give_up(self, failure: Failure, handle: WorkerHandle, deadline: float) -> None:
        """Once no thread runs any more, the listener treats it as dead, and the action is run.

        A thread that waits in the kernel, not to be interrupted, stops before it gets back to
        code of the worker: it is not waited for any longer than the deadline.
        """
        if not handle.is_alive:
            return
        if not process.is_stopped(handle.pid) and self._server.loop.time() < deadline:
            self._server.loop.call_later(STOP_STEP_S, self._give_up, failure, handle, deadline)
            return
        if handle.peer is not None:
            handle.peer.close()
            handle.peer = None
        self._listener.abandon(handle.id)
        self._deaths.ended(handle)
        log("worker_orphaned", worker=handle.id, pid=handle.pid, app_pool=handle.pool)
        if failure.orphan_action_exe:
            about: dict[str, object] = {"app_pool": handle.pool, "pid": handle.pid}
            error = self._run(failure.orphan_action_exe, failure.orphan_action_params, about)
            if error:
                self._server.events.report(5015, **about, worker_id=handle.id, detail=error)

    def ended(self, handle: WorkerHandle, how: str) -> None:
        """Somebody ended an orphan."""
        log("orphan_ended", worker=handle.id, pid=handle.pid, app_pool=handle.pool, how=how)
        self._workers.remove(handle)
        self._server.files.remove(f"orphan-{handle.id}")

    def stop_again(self) -> None:
        """Those of an earlier manager: where it throttled them, its end had them go on."""
        self._signal_recorded(signal.SIGSTOP)

    def end_all(self) -> None:
        """The server ends: kill the orphans, an earlier manager's too."""
        self._signal_recorded(signal.SIGKILL)
        for record in self._server.files.orphans():
            self._server.files.remove(f"orphan-{record['worker_id']}")

    def _signal_recorded(self, number: int) -> None:
        for record in self._server.files.orphans():
            pidfd = open_recorded(record)
            if pidfd is not None:
                process.kill(pidfd, number)
                os.close(pidfd)

    def pool_disabled(self, pool: AppPool) -> None:
        """Run autoShutdownExe."""
        if pool.failure.auto_shutdown_exe:
            about: dict[str, object] = {"app_pool": pool.name}
            self._run(pool.failure.auto_shutdown_exe, pool.failure.auto_shutdown_params, about)

    def _run(self, executable: str, parameters: str, about: Mapping[str, object]) -> str:
        """Start a program with the manager's rights and nobody waiting for it; what went wrong."""
        pid = about.get("pid", 0)
        try:
            program = shutil.which(executable, path=self._server.environment.get("PATH"))
            if program is None:
                raise FileNotFoundError(f"there is no program '{executable}'")
            command = command_of(program, parameters, pid if isinstance(pid, int) else 0)
            child, pidfd = process.spawn(command, self._server.environment, self._server.output)
            os.close(pidfd)  # it is reaped like every child of ours
        except (OSError, ValueError) as error:
            log("action_failed", program=executable, error=str(error), **about)
            return str(error)
        log("action_started", program=executable, program_pid=child, **about)
        return ""
