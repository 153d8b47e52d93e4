"""The stacks of a hung worker: it is asked for them, and nothing is done to it while it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from was.ipc.stacks import DUMP_SIGNAL, can_dump
from was.manager import process
from was.manager.handle import WorkerHandle
from was.manager.server import Server

__all__ = ["ask_for_stacks", "when_written"]

# The most it is waited for; a busy machine lets a process stand still for a second.
LIMIT_S = 2.0
# They have no end that one could read: they are whole when nothing has come for so long.
STEP_S = 0.1


def ask_for_stacks(server: Server, handle: WorkerHandle) -> bool:
    """Whether the worker writes them now; one that is stopped, or is none of ours yet, cannot."""
    if not can_dump(handle.pid) or process.is_stopped(handle.pid):
        return False
    handle.stacks_begin = _size(server.home.stacks(handle.id))
    process.kill(handle.pidfd, DUMP_SIGNAL)
    return True


def when_written(server: Server, handle: WorkerHandle, then: Callable[[], object]) -> None:
    """Call `then` as soon as the stacks that were asked for are there, or cannot be expected."""
    loop, file = server.loop, server.home.stacks(handle.id)
    deadline = loop.time() + LIMIT_S

    def look(before: int) -> None:
        size = _size(file)
        is_whole = handle.stacks_begin < size == before
        if is_whole or not handle.is_alive or loop.time() >= deadline:
            then()
        else:
            loop.call_later(STEP_S, look, size)

    look(-1)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
