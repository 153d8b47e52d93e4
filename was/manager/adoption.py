"""Taking over what a killed manager left: its listener and the workers that listener serves.

The processes themselves say what is so: the listener which sockets and workers it has, each worker
that it lives. The records in run/state only say who they are, and what the pools had decided. What
cannot be taken over is ended: a worker that never got a request, everything when there is no
listener (its requests are lost with it), a listener that does not speak within LISTENER_LIMIT_S.
The template is always replaced: the workers that another process's template forks would not become
our children.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from typing import TYPE_CHECKING, Any

from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.scoreboard import ScoreboardReader
from was.log import log
from was.manager import process
from was.manager.control import Peer
from was.manager.inbox import Item, MessageArrived, PeerGone
from was.manager.pool_record import AdoptedWorker
from was.recorded import open_recorded

if TYPE_CHECKING:
    from was.manager.supervisor import Manager

__all__ = ["Adoption"]

# How long a living listener may be silent, seconds: it may be stopped, and looks every 0.2 s.
LISTENER_LIMIT_S = 10.0
END_LIMIT_MS = 2000


class Adoption:
    """The first thing a manager does: see what is there already."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._held: dict[int, tuple[lc.HeldWorker, int]] = {}
        self._sockets: list[tuple[lc.ListeningSocket, int]] = []
        self._peer: Peer | None = None
        self._is_complete = False
        self.workers: dict[str, list[AdoptedWorker]] = {}
        self.dead: list[tuple[str, int]] = []  # (pool, worker id): they died without a manager

    @property
    def peer(self) -> Peer | None:
        """The listener that was taken over, None when there is none."""
        return self._peer if self._is_complete else None

    async def take_over(self) -> None:
        """Take over what lives, end the rest, and keep only the records that are still true."""
        files = self._manager.server.files
        self._end("template")
        record = files.read("listener")
        await self._take_listener(record)
        before = files.read("retiring")
        if before:
            # An upgrade was under way: it goes on.
            self._manager.upgrade.is_under_way = True
            if self._is_complete:
                self._take_retiring(before, record["pid"])
            else:
                record = before  # its successor was not there yet
                await self._take_listener(record)
                files.remove("retiring")
                if self._is_complete:
                    files.write("listener", record)
        for worker in files.workers():
            self._take_worker(worker)
        for _, fd in self._held.values():
            os.close(fd)
        self._held.clear()
        if self._is_complete:
            count = sum(len(workers) for workers in self.workers.values())
            log("manager_took_over", listener=record["pid"], workers=count)
        else:
            files.remove_processes()

    async def _take_listener(self, record: dict[str, Any]) -> None:
        pidfd = open_recorded(record)
        if pidfd is None:
            return
        if record.get("protocol") == m.PROTOCOL_VERSION:
            await self._hear_listener(record["pid"], pidfd)
        if self._is_complete:
            self._manager.listener.adopt(record["pid"], pidfd, record["epoch"], record["half"])
            self._manager.sites.adopt(self._sockets)
        else:
            _kill_and_wait(pidfd)
            os.close(pidfd)

    def _take_retiring(self, record: dict[str, Any], successor: int) -> None:
        """The listener before: what it has accepted it answers, with the workers that are there."""
        pidfd = open_recorded(record) if record.get("pid") != successor else None
        if pidfd is None or "half" not in record:
            self._end("retiring")
            return
        self._manager.listener.adopt_retiring(record["pid"], pidfd, record["epoch"], record["half"])

    async def _hear_listener(self, pid: int, pidfd: int) -> None:
        """Wait until the listener has said all; everything else is left for later."""
        inbox = self._manager.server.inbox
        later: list[Item] = []
        try:
            async with asyncio.timeout(LISTENER_LIMIT_S):
                while not self._is_complete:
                    item = await inbox.get()
                    if isinstance(item, MessageArrived) and self._heard(item, pid):
                        continue
                    later.append(item)
                    if isinstance(item, PeerGone) and item.peer is self._peer:
                        break
                    if process.has_ended(pidfd):
                        break
        except TimeoutError:
            log("listener_error", error=f"pid {pid} does not speak to a new manager")
        while not inbox.empty():  # what one peer has said stays in its order
            later.append(inbox.get_nowait())
        for item in later:
            inbox.put_nowait(item)
        if not self._is_complete:
            for _, fd in (*self._sockets, *self._held.values()):
                os.close(fd)
            self._sockets.clear()
            self._held.clear()
            self._peer = None

    def _heard(self, item: MessageArrived, pid: int) -> bool:
        if item.peer.pid != pid:
            return False
        fds = item.descriptors
        match item.message:
            case lc.ListenerHello() as hello if hello.epoch:
                self._peer = item.peer
            case lc.HeldSockets(sockets) if len(sockets) == len(fds):
                self._sockets += zip(sockets, fds, strict=True)
            case lc.HeldWorker() as worker if len(fds) == 1:
                self._held[worker.worker_id] = worker, fds[0]
            case lc.WantSockets() as wanted:
                self._manager.sites.adopt_wanted(wanted)
            case lc.HeldEverything():
                self._is_complete = self._peer is not None
            case _:
                return False
        return True

    def _take_worker(self, record: dict[str, Any]) -> None:
        manager = self._manager
        worker_id, pool = record["worker_id"], record["app_pool"]
        pidfd = open_recorded(record)
        held = self._held.pop(worker_id, None)
        if pidfd is None:
            if held is not None:
                os.close(held[1])
            self.dead.append((pool, worker_id))
            manager.server.files.remove(f"worker-{worker_id}")
            return
        is_known = held is not None and pool in manager.server.config.app_pools
        if held is None or not is_known or not _is_of_use(held[0]):
            if held is not None:
                os.close(held[1])
            process.kill(pidfd)
            os.close(pidfd)
            manager.server.files.remove(f"worker-{worker_id}")
            return
        told, scoreboard_fd = held
        process.kill(pidfd, signal.SIGCONT)  # it may have been suspended
        handle = manager.workers.adopt(record, pidfd, scoreboard_fd)
        handle.epochs = manager.listener.epochs
        handle.is_draining = told.is_draining
        handle.is_active = not told.is_draining
        self.workers.setdefault(pool, []).append(
            AdoptedWorker(
                handle.id,
                handle.generation,
                handle.started_at,
                ScoreboardReader(scoreboard_fd).finished(),
                told.is_draining,
            )
        )

    def _end(self, name: str) -> None:
        pidfd = open_recorded(self._manager.server.files.read(name))
        if pidfd is not None:
            _kill_and_wait(pidfd)
            os.close(pidfd)
        self._manager.server.files.remove(name)


def _is_of_use(worker: lc.HeldWorker) -> bool:
    """Whether it serves or finishes what it has; one that was only starting has nothing to lose."""
    return (worker.is_activated or worker.is_draining) and not worker.is_faulty


def _kill_and_wait(pidfd: int) -> None:
    process.kill(pidfd)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(END_LIMIT_MS)
