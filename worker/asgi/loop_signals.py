"""LoopSignals: `loop.add_signal_handler` on a loop that is not in the main thread.

asyncio and uvloop refuse that there, and an application that asks for it while it starts would not
start. Servers that run one application to a process have their loop in the main thread, and their
SIGTERM is how an application learns that it is to end what would go on for ever. Here that is a
worker that takes no more requests, whoever wanted it, be it by SIGTERM. Other signals come to the
loop as they come to the process; Python sets their handlers in the main thread only, which does so
when it next looks.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from inspect import iscoroutinefunction

from was.log import log_exception
from was.worker.process.signals import handle

__all__ = ["LoopSignals"]

# Handlers of these would take from the process, or from the loop's own children, what it lives by.
_UNCATCHABLE = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


class LoopSignals:
    """Of one loop: one callback a signal, as asyncio has it; the last one that was added."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._to_handle: deque[int] = deque()
        loop.add_signal_handler = self.add  # type: ignore[method-assign]
        loop.remove_signal_handler = self.remove  # type: ignore[method-assign]

    def add(self, sig: int, callback: object, *args: object) -> None:
        """loop.add_signal_handler. Raises what asyncio's raises."""
        if not callable(callback) or iscoroutinefunction(callback):
            raise TypeError("add_signal_handler() takes a function, and none that is a coroutine")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")
        if sig in _UNCATCHABLE:
            raise RuntimeError(f"sig {sig} cannot be caught")
        context = copy_context()
        self._callbacks[sig] = lambda: self._soon(callback, args, context)
        if sig != signal.SIGTERM:
            self._to_handle.append(sig)

    def remove(self, sig: int) -> bool:
        """loop.remove_signal_handler: the signal does nothing any more."""
        return self._callbacks.pop(sig, None) is not None

    def _soon(
        self, callback: Callable[..., object], args: tuple[object, ...], context: Context
    ) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(callback, *args, context=context)

    def look(self) -> None:
        """By the main thread: have those signals that are new come to the loop."""
        while self._to_handle:
            number = self._to_handle.popleft()
            try:
                handle(number, lambda number, _frame: self.came(number))
            except OSError as error:  # one of the C library's own
                log_exception("unexpected_error", error, during="add_signal_handler")

    def came(self, number: int) -> None:
        """From any thread: the signal has come, or what stands for it."""
        callback = self._callbacks.get(number)
        if callback is not None:
            callback()
