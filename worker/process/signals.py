"""What signals do to a worker, and not to the processes that its application makes.

Handlers, not SIG_IGN: what is ignored stays ignored in a program that is executed, and whoever
started it could not interrupt it. A forked child has the handlers too, and is given Python's own:
`multiprocessing` ends its processes by SIGTERM.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["handle", "ignore"]

Handler = Callable[[int, FrameType | None], None]

_handlers: dict[int, Handler] = {}
_mask = threading.local()  # each thread has its own, and may fork while another does


def ignore(_number: int, _frame: FrameType | None) -> None:
    """The handler of a signal that is not for workers."""


def handle(number: int, handler: Handler) -> None:
    """Have the worker, but none of its children, do this; in the main thread."""
    if not _handlers:
        os.register_at_fork(
            before=_hold, after_in_parent=_release, after_in_child=_become_usual_and_release
        )
    _handlers[number] = handler
    signal.signal(number, handler)


def _hold() -> None:
    # One that comes before the child has handlers of its own waits until it has.
    _mask.before_fork = signal.pthread_sigmask(signal.SIG_BLOCK, _handlers)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before_fork)


def _become_usual_and_release() -> None:
    for number, handler in _handlers.items():
        if signal.getsignal(number) is handler:  # else the application has one of its own
            usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    _release()
