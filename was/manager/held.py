"""What a listener of an earlier manager says that it holds: sockets, workers, itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

from was.ipc import listener_control as lc
from was.ipc.served import ListeningSocket
from was.log import log
from was.manager import process
from was.manager.control import Peer
from was.manager.inbox import Inbox, Item, MessageArrived, PeerGone

__all__ = ["Held", "hear_listener"]

# Its end is looked for this often meanwhile, seconds.
LOOK_S = 0.1


class Held:
    """All that one listener has said. Descriptors in it belong to whoever takes them out."""

    def __init__(self) -> None:
        self.peer: Peer | None = None
        self.is_draining = False
        self.sockets: list[tuple[ListeningSocket, int]] = []
        self.workers: dict[int, tuple[lc.HeldWorker, int]] = {}
        self.wanted: lc.WantSockets | None = None
        self.is_complete = False

    def hear(self, item: MessageArrived) -> bool:
        """One message of that process; whether it belongs to this."""
        fds = item.descriptors
        match item.message:
            case lc.ListenerHello() as hello if hello.epoch:
                self.peer = item.peer
                self.is_draining = hello.is_draining
            case lc.HeldSockets(sockets) if len(sockets) == len(fds):
                self.sockets += zip(sockets, fds, strict=True)
            case lc.HeldWorker() as worker if len(fds) == 1:
                self.workers[worker.worker_id] = worker, fds[0]
            case lc.WantSockets() as wanted:
                self.wanted = wanted
            case lc.HeldEverything():
                self.is_complete = self.peer is not None
            case _:
                return False
        return True

    def take_sockets(self) -> list[tuple[ListeningSocket, int]]:
        """They are the caller's now."""
        taken, self.sockets = self.sockets, []
        return taken

    def close(self) -> None:
        """Give back the descriptors that nobody has taken."""
        for _, fd in (*self.sockets, *self.workers.values()):
            os.close(fd)
        self.sockets.clear()
        self.workers.clear()


async def hear_listener(inbox: Inbox, pid: int, pidfd: int, limit_s: float) -> Held | None:
    """Wait until the listener has said all, None when it does not; everything else is left."""
    held = Held()
    later: list[Item] = []
    deadline = time.monotonic() + limit_s
    while not held.is_complete and not process.has_ended(pidfd):
        if time.monotonic() > deadline:
            log("listener_error", error=f"pid {pid} does not speak to a new manager")
            break
        item: Item | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                item = await inbox.get()
        if item is None:
            continue
        if isinstance(item, MessageArrived) and item.peer.pid == pid and held.hear(item):
            continue
        later.append(item)
        if isinstance(item, PeerGone) and item.peer is held.peer:
            break
    while not inbox.empty():  # what one peer has said stays in its order
        later.append(inbox.get_nowait())
    for item in later:
        inbox.put_nowait(item)
    if held.is_complete:
        return held
    held.close()
    return None
