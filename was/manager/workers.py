"""All worker processes: from the fork that was asked for to the exit that was reaped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from was.config.atomic import write_file
from was.config.model import AppPool
from was.ipc.scoreboard import make_scoreboard
from was.ipc.worker_control import (
    ConfigurationChanged,
    Fork,
    PrepareSuspend,
    ResumeWorker,
    SetEndpoints,
    TakeOutput,
    WorkerHello,
    WorkerWelcome,
)
from was.manager import process
from was.manager.accounts import Account, IdentityError
from was.manager.control import Peer
from was.manager.handle import WorkerHandle
from was.manager.inbox import ChildEnded, HelloLost
from was.manager.pool_isolation import content_of
from was.manager.server import Server
from was.manager.template_side import TemplateSide

__all__ = ["ConfigNotWrittenError", "WorkerSet"]

REMEMBERED_DEAD = 1000

# How many listeners may have requests in one worker: during an upgrade the old and the new one.
LISTENERS = 2

# How long a worker that was taken over has at least to say Hello, seconds; it looks every second.
RECONNECT_LIMIT_S = 4.0


class ConfigNotWrittenError(OSError):
    """A pool's own configuration file could not be made: it has no new workers till it can be."""


class WorkerSet:
    """Handles by worker id; also remembers whose the last dead ones were."""

    def __init__(self, server: Server, template: TemplateSide) -> None:
        self._server = server
        self._template = template
        self._suspensions = 0
        self._dead: OrderedDict[int, str] = OrderedDict()
        self.handles: dict[int, WorkerHandle] = {}
        # Told of each worker before its welcome, when it is one thread with nothing to do; the
        # listener is to hear of it before it can speak.
        self.on_arrival: Callable[[WorkerHandle], None] = lambda _handle: None

    def pool_of(self, worker_id: int) -> str:
        """The pool of a worker that lives, or died lately; "" for an unknown one."""
        handle = self.handles.get(worker_id)
        return handle.pool if handle is not None else self._dead.get(worker_id, "")

    def spawn(
        self,
        pool: AppPool,
        worker_id: int,
        generation: int,
        *,
        is_replacement: bool = False,
        programs: Sequence[int] = (),
    ) -> None:
        """Ask for a worker process. Raises OSError when its files cannot be made."""
        server = self._server
        server.isolation.queue_folder(pool, server.config)
        self.write_config(pool.name)
        threads = max(2, pool.python.threads)
        reserve = pool.python.concurrency
        handle = WorkerHandle(
            id=worker_id,
            pool=pool.name,
            identity=os.urandom(16),
            generation=generation,
            slots=threads - 1,
            reserve=reserve,
            threads=threads,
            scoreboard_fd=make_scoreboard(LISTENERS * (threads - 1 + reserve)),
            started_at=server.clock.monotonic(),
            started_wall=server.clock.wall(),
            is_replacement=is_replacement,
            wanted_programs=list(programs),
        )
        self.handles[worker_id] = handle
        try:
            self.fork(handle, pool)
        except OSError:
            self.remove(handle)
            raise

    def fork(self, handle: WorkerHandle, pool: AppPool) -> None:
        """Ask the template for the process (again, when a template died over it)."""
        server = self._server
        isolation, added, account, interpreter = server.isolation.worker(pool, server.config)
        # A sandbox cannot let in to what was not there: that will be another folder. Without one a
        # worker may read all there is, but what it has imported is of the folders that it knows.
        known = isolation.readable
        if not isolation.is_restricted:
            known = list(content_of(server.config, pool.name))
        handle.reach = tuple(p for p in known if os.path.exists(p))
        handle.uid = os.geteuid() if account is None else account.uid
        message = Fork(
            handle.id,
            pool.name,
            str(server.home.path),
            server.folder.control,
            {**server.environment, **added, **pool.environment_variables},
            isolation,
            os.getcwd() if server.options.is_command_line else "/",
            interpreter.program,
            interpreter.virtual_environment,
        )
        output = self._output_of(handle, account)
        try:
            handle.life_fd, life_end = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(output)
            raise
        server.loop.add_reader(handle.life_fd, self._life_ended, handle)
        self._template.fork(message, output, life_end)

    def reopen_outputs(self) -> None:
        """Give all workers their pools' logs anew: those of old may have been moved away."""
        server = self._server
        if server.options.is_command_line:
            return
        for handle in self.handles.values():
            pool = server.config.app_pools.get(handle.pool)
            if handle.peer is None or pool is None:
                continue
            try:
                account = server.isolation.account(pool, server.config)
            except IdentityError:  # there is no such user any more
                continue
            output = self._output_of(handle, account)
            handle.peer.send(TakeOutput(), [output])
            os.close(output)
            self.record(handle)

    def _output_of(self, handle: WorkerHandle, account: Account | None) -> int:
        server = self._server
        try:
            output = self._open_output(handle.pool)
            handle.log_trouble = ""
        except OSError as error:  # without its log it serves all the same
            output = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            handle.log_trouble = str(error)
        if not (server.options.is_command_line or handle.log_trouble):
            handle.log_begin = os.fstat(output).st_size
            server.isolation.own_output(account, output)
        return output

    def _life_ended(self, handle: WorkerHandle) -> None:
        self._close_life(handle)
        self._server.inbox.put_nowait(HelloLost(handle.id))

    def write_config(self, pool: str) -> bool:
        """The pool's reduced configuration; whether it is another.

        Raises ConfigNotWrittenError, and IdentityError where the pool has nobody to be.
        """
        server = self._server
        path = server.home.pool_config(pool)
        settings = server.config.app_pools[pool]
        content = server.configuration.reduced(pool)
        try:
            server.isolation.own_files(settings, server.config)
            is_another = not _holds(path, content)
            if is_another:
                # Made anew by the next manager: nothing of it must outlive the machine.
                write_file(path, content, mode=0o440, is_durable=False)
            server.isolation.own_config(settings, server.config)
        except IdentityError:
            raise
        except OSError as error:
            raise ConfigNotWrittenError(*error.args) from error
        return is_another

    def _open_output(self, pool: str) -> int:
        if self._server.options.is_command_line:
            return os.dup(sys.stdout.fileno())
        path = self._server.home.pool_log(pool)
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def adopt(self, record: Mapping[str, Any], pidfd: int, scoreboard_fd: int) -> WorkerHandle:
        """Take over a worker of an earlier manager, and both descriptors.

        It will connect and say Hello again; one that does not is given up, no sooner than one that
        does not answer a ping.
        """
        server = self._server
        pool = server.config.app_pools.get(record["app_pool"]) or AppPool(name=record["app_pool"])
        limit_s = server.clock.scaled(pool.process_model.ping_response_time_s)
        handle = WorkerHandle(
            id=record["worker_id"],
            pool=record["app_pool"],
            identity=bytes.fromhex(record["identity"]),
            generation=record["generation"],
            slots=record["slots"],
            reserve=record.get("reserve", 0),
            threads=record["threads"],
            scoreboard_fd=scoreboard_fd,
            started_at=record["started_at"],
            started_wall=record["started"],
            pid=record["pid"],
            pidfd=pidfd,
            link_lost_at=server.clock.monotonic() + max(RECONNECT_LIMIT_S, limit_s),
            is_announced=True,
            is_adopted=True,
            reach=tuple(record.get("reach", ())),
            log_begin=record.get("log_begin", 0),
        )
        self.handles[handle.id] = handle
        ended = ChildEnded("worker", pidfd, handle.id)
        server.loop.add_reader(pidfd, server.inbox.put_nowait, ended)
        return handle

    def _welcome_back(
        self, handle: WorkerHandle, peer: Peer, descriptors: list[int], epochs: list[int]
    ) -> WorkerHandle:
        for fd in descriptors:
            os.close(fd)  # its pidfd, which we have
        peer.worker_id = handle.id
        handle.peer = peer
        handle.link_lost_at = None
        # A listener that finishes may have requests in it; of others it has not been told.
        handle.epochs = [e for e in epochs if e == epochs[-1] or e in handle.epochs]
        folder = self._server.folder
        peer.send(SetEndpoints([folder.queue_endpoint(handle.pool, e) for e in handle.epochs]))
        # Its files may have been changed while nobody was there to notice.
        peer.send(ConfigurationChanged())
        return handle

    def welcome(
        self, peer: Peer, hello: WorkerHello, descriptors: list[int], epochs: list[int]
    ) -> WorkerHandle | None:
        """Recognise a worker and tell it what it is; None for an impostor.

        `epochs` of all listeners, the last of which takes what comes.
        """
        epoch = epochs[-1]
        handle = self.handles.get(hello.worker_id)
        if (
            handle is not None
            and handle.is_adopted
            and handle.peer is None
            and handle.pid == hello.pid == peer.pid
        ):
            return self._welcome_back(handle, peer, descriptors, epochs)
        if (
            handle is None
            or handle.pid
            or len(descriptors) != 1
            or (peer.pid, peer.uid) != (hello.pid, handle.uid)
            or process.pid_of(descriptors[0]) != peer.pid
        ):
            for fd in descriptors:
                os.close(fd)
            return None
        server = self._server
        peer.worker_id = handle.id
        handle.peer = peer
        handle.pid = hello.pid
        handle.pidfd = descriptors[0]
        handle.epochs = [epoch]
        self._close_life(handle)
        ended = ChildEnded("worker", handle.pidfd, handle.id)
        server.loop.add_reader(handle.pidfd, server.inbox.put_nowait, ended)
        self.record(handle)  # before the welcome: whoever serves is found by the next manager
        self.on_arrival(handle)
        stacks = self._open_stacks(handle.id)
        peer.send(
            WorkerWelcome(
                worker_id=handle.id,
                pool=handle.pool,
                identity=handle.identity,
                generation=handle.generation,
                home=str(server.home.path),
                config_file=str(server.home.pool_config(handle.pool)),
                threads=handle.threads,
                slots=handle.slots,
                concurrency=handle.reserve,
                endpoints=[server.folder.queue_endpoint(handle.pool, e) for e in handle.epochs],
                time_scale=server.time_scale,
                may_be_held=handle.may_be_held,
                is_replacement=handle.is_replacement,
                is_command_line=server.options.is_command_line,
                programs=handle.wanted_programs,
            ),
            [handle.scoreboard_fd, stacks],
        )
        os.close(stacks)
        return handle

    def record(self, handle: WorkerHandle) -> None:
        """What the next manager finds it by, and whether it serves or was told to finish."""
        record = {
            "worker_id": handle.id,
            "app_pool": handle.pool,
            "identity": handle.identity.hex(),
            "generation": handle.generation,
            "slots": handle.slots,
            "reserve": handle.reserve,
            "threads": handle.threads,
            "started": handle.started_wall,
            "started_at": handle.started_at,
            "reach": handle.reach,
            "log_begin": handle.log_begin,
            "is_active": handle.is_active,
            "is_draining": handle.is_draining,
        }
        self._server.files.write_process(f"worker-{handle.id}", handle.pid, record)

    def _open_stacks(self, worker_id: int) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self._server.home.stacks(worker_id), flags, 0o600)
        except OSError:  # a full disk: the worker lives, its death will be known less well
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def signal(self, worker_id: int, number: int) -> None:
        """Signal a worker that has a process."""
        handle = self.handles.get(worker_id)
        if handle is not None and handle.is_alive:
            process.kill(handle.pidfd, number)

    def prepare_suspend(self, worker_id: int) -> None:
        """Tell a worker's modules that it will be stopped; it is when they have come back."""
        handle = self.handles.get(worker_id)
        if handle is not None and handle.peer is not None:
            self._suspensions += 1
            handle.suspension = self._suspensions
            handle.peer.send(PrepareSuspend(handle.suspension))

    def suspend(self, worker_id: int, suspension: int) -> None:
        """Its modules have come back: stop it, unless something came up meanwhile."""
        handle = self.handles.get(worker_id)
        if handle is not None and handle.suspension == suspension:
            self.signal(worker_id, signal.SIGSTOP)

    def resume(self, worker_id: int) -> None:
        """Let a worker run that was stopped, or is about to be."""
        handle = self.handles.get(worker_id)
        if handle is not None:
            handle.suspension = 0
            self.signal(worker_id, signal.SIGCONT)
            if handle.peer is not None:
                handle.peer.send(ResumeWorker())

    def kill(self, worker_id: int) -> bool:
        """SIGKILL; True when there was no process yet and the fork has been taken back."""
        handle = self.handles.get(worker_id)
        if handle is None:
            return False
        handle.is_killed = True
        if handle.pidfd >= 0:
            process.kill(handle.pidfd)
            return False
        handle.is_condemned = True
        return self._template.cancel(worker_id)

    def remove(self, handle: WorkerHandle) -> None:
        """Forget a worker that has gone."""
        self._template.forget(handle.id)
        self.handles.pop(handle.id, None)
        self._dead[handle.id] = handle.pool
        if len(self._dead) > REMEMBERED_DEAD:
            self._dead.popitem(last=False)
        if handle.pidfd >= 0:
            self._server.loop.remove_reader(handle.pidfd)
        self._close_life(handle)
        handle.close()
        self._server.files.remove(f"worker-{handle.id}")
        with contextlib.suppress(OSError):
            self._server.home.stacks(handle.id).unlink(missing_ok=True)

    def _close_life(self, handle: WorkerHandle) -> None:
        if handle.life_fd >= 0:
            self._server.loop.remove_reader(handle.life_fd)
            os.close(handle.life_fd)
            handle.life_fd = -1


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
