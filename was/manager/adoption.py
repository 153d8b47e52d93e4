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
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.scoreboard import ScoreboardReader
from was.ipc.served import ListeningSocket
from was.log import log
from was.manager import process
from was.manager.control import Peer
from was.manager.held import Held, hear_listener
from was.manager.pool_record import AdoptedWorker
from was.recorded import open_recorded

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["Adoption"]

# How long a living listener may be silent, seconds: it may be stopped, and looks every 0.2 s.
LISTENER_LIMIT_S = 10.0
RETIRING_LIMIT_S = 2.0


@dataclass(slots=True)
class _Found:
    """A listener that lives, and what it has said; None when it says nothing."""

    record: dict[str, Any]
    pidfd: int
    held: Held | None

    @property
    def is_serving(self) -> bool:
        """Whether it takes clients, and so can be the listener."""
        return self.held is not None and not self.held.is_draining

    @property
    def is_finishing(self) -> bool:
        """Whether it has been told to end, and answers what it has."""
        return self.held is not None and self.held.is_draining


def _roles(
    current: _Found | None, before: _Found | None
) -> tuple[_Found | None, _Found | None, list[_Found]]:
    """Which is the listener, which one finishes, and who is of no use.

    `current` and `before` are what they were to the last manager.
    """
    useless: list[_Found] = []
    if current is not None and current.is_finishing and before is None:
        current, before = None, current  # its successor need not wait for it
    elif current is not None and not current.is_serving:
        useless.append(current)
        current = None
    if current is None and before is not None and before.is_serving:
        current, before = before, None  # its successor was not there yet, or is no more
    if before is not None and before.held is None and current is None:
        useless.append(before)
        before = None
    return current, before, useless


class Adoption:
    """The first thing a manager does: see what is there already."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._listener: _Found | None = None
        self._retiring: _Found | None = None
        self.workers: dict[str, list[AdoptedWorker]] = {}
        self.dead: list[tuple[str, int]] = []  # (pool, worker id): they died without a manager
        # Workers that the listener has found and was not told to use: they serve the one before it.
        self.unactivated: list[int] = []

    @property
    def peer(self) -> Peer | None:
        """The listener that was taken over, None when there is none."""
        found = self._listener
        return None if found is None or found.held is None else found.held.peer

    @property
    def has_taken_over(self) -> bool:
        """Whether there is a listener that workers and pools serve."""
        return self._listener is not None or self._retiring is not None

    async def take_over(self) -> None:
        """Take over what lives, end the rest, and keep only the records that are still true."""
        files = self._manager.server.files
        self._manager.performer.orphans.stop_again()
        self._end("template")
        await self._take_listeners()
        for worker in files.workers():
            self._take_worker(worker)
        for found in (self._listener, self._retiring):
            if found is not None and found.held is not None:
                found.held.close()
        if self._listener is not None:
            count = sum(len(workers) for workers in self.workers.values())
            log("manager_took_over", listener=self._listener.record["pid"], workers=count)
        elif self._retiring is None:
            files.remove_processes()

    async def _take_listeners(self) -> None:
        manager, files = self._manager, self._manager.server.files
        if files.read("retiring").get("pid") == files.read("listener").get("pid"):
            files.remove("retiring")  # the listener that was to follow it has no record yet
        current = await self._find(files.read("listener"), LISTENER_LIMIT_S)
        limit_s = LISTENER_LIMIT_S if current is None else RETIRING_LIMIT_S
        before = await self._find(files.read("retiring"), limit_s)
        self._listener, self._retiring, useless = _roles(current, before)
        for found in useless:
            await self._give_up(found)
        if before is not None and self._listener is before:
            files.write("listener", before.record)
            files.remove("retiring")
        if current is not None and self._retiring is current:
            files.write("retiring", current.record)
            files.remove("listener")
        if self._retiring is None:
            self._end("retiring")
        sockets = self._take_sockets()
        self._adopt_listeners()
        if self.has_taken_over:
            manager.sites.adopt(sockets.items())
        held = None if self._listener is None else self._listener.held
        if held is not None and held.wanted is not None:
            manager.sites.adopt_wanted(held.wanted)

    def _take_sockets(self) -> dict[ListeningSocket, int]:
        """Those that the listeners hold, one descriptor of each."""
        sockets: dict[ListeningSocket, int] = {}
        for found in (self._retiring, self._listener):
            if found is not None and found.held is not None:
                for item, fd in found.held.take_sockets():
                    if item in sockets:
                        os.close(sockets[item])
                    sockets[item] = fd
        return sockets

    def _adopt_listeners(self) -> None:
        side, current, before = self._manager.listener, self._listener, self._retiring
        if current is not None:
            record = current.record
            side.adopt(record["pid"], current.pidfd, record["epoch"], record["half"])
        if before is not None:
            record, peer = before.record, before.held.peer if before.held else None
            side.adopt_retiring(record["pid"], before.pidfd, record["epoch"], record["half"], peer)

    async def _find(self, record: dict[str, Any], limit_s: float) -> _Found | None:
        pidfd = open_recorded(record)
        if pidfd is None:
            return None
        held = None
        if record.get("protocol") == m.PROTOCOL_VERSION and "half" in record:
            inbox = self._manager.server.inbox
            held = await hear_listener(inbox, record["pid"], pidfd, limit_s)
        return _Found(record, pidfd, held)

    async def _give_up(self, found: _Found) -> None:
        """It is of no use. One that was told to end may answer what it has, for a while."""
        if found.held is not None:
            loop, ended = self._manager.server.loop, asyncio.Event()
            loop.add_reader(found.pidfd, ended.set)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTENER_LIMIT_S):
                    await ended.wait()
            loop.remove_reader(found.pidfd)
            found.held.close()
        process.kill_and_wait(found.pidfd)
        os.close(found.pidfd)

    def _take_worker(self, record: dict[str, Any]) -> None:
        manager = self._manager
        worker_id, pool = record["worker_id"], record["app_pool"]
        pidfd = open_recorded(record)
        # By epoch; the last one is the listener's that takes what comes.
        known: dict[int, tuple[lc.HeldWorker, int]] = {}
        for found in (self._retiring, self._listener):
            if found is not None and found.held is not None and worker_id in found.held.workers:
                known[found.record["epoch"]] = found.held.workers.pop(worker_id)
        served = manager.upgrade.is_under_way and record.get("is_active", False)
        is_kept = _is_of_use(known, has_served=served)
        told, scoreboard_fd = next(reversed(known.values())) if known else (None, -1)
        for _, fd in known.values():
            if fd != scoreboard_fd or pidfd is None or not is_kept:
                os.close(fd)
        if pidfd is None:
            if not record.get("is_draining", False):
                self.dead.append((pool, worker_id))
            manager.server.files.remove(f"worker-{worker_id}")
            return
        if told is None or not is_kept:
            process.kill(pidfd)
            os.close(pidfd)
            manager.server.files.remove(f"worker-{worker_id}")
            return
        process.kill(pidfd, signal.SIGCONT)  # it may have been suspended
        handle = manager.workers.adopt(record, pidfd, scoreboard_fd)
        epochs = manager.listener.epochs
        handle.epochs = [e for e in epochs if e in known or e == epochs[-1]]
        handle.attached = {e for e, (worker, _) in known.items() if worker.is_attached}
        handle.is_draining = any(worker.is_draining for worker, _ in known.values())
        handle.is_active = not handle.is_draining
        now = known.get(epochs[-1])
        if handle.is_active and now is not None and now[0].is_attached and not now[0].is_activated:
            self.unactivated.append(handle.id)
        self.workers.setdefault(pool, []).append(
            AdoptedWorker(
                handle.id,
                handle.generation,
                handle.started_at,
                ScoreboardReader(scoreboard_fd).finished(),
                handle.is_draining,
            )
        )

    def _end(self, name: str) -> None:
        pidfd = open_recorded(self._manager.server.files.read(name))
        if pidfd is not None:
            process.kill_and_wait(pidfd)
            os.close(pidfd)
        self._manager.server.files.remove(name)


def _is_of_use(known: Mapping[int, tuple[lc.HeldWorker, int]], *, has_served: bool) -> bool:
    """Whether it serves or finishes what it has, for any listener, or did so for one that is gone.

    One that was only starting has nothing to lose.
    """
    told = [worker for worker, _ in known.values()]
    is_needed = has_served or any(worker.is_activated or worker.is_draining for worker in told)
    return bool(told) and is_needed and not any(worker.is_faulty for worker in told)
